"""What calibration finds out about a question, with models that write what they are told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from parse_engine import AsyncEngine, ParseConfig, SamplingParams
from parse_engine.bench.tasks import Grade, Question
from parse_engine.calibration.cases import FULL_ONLY, Case, Cases
from parse_engine.calibration.collect import Plan, collect, digest, read_costs, usable
from parse_engine.errors import BackendError, ConfigError, DataError
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

DRAFT = "One and one are 2.\nTwo and two are 5.\nSo it is 5.\n"
TARGET = "One and one are 2.\nTwo and two are 4.\nSo it is 4.\n"
LINE = len("One and one are 2.\n")
PLAN = Plan(SamplingParams(max_tokens=200), deltas=(LINE, 2 * LINE))


class Sums:
    """Two questions; an answer is right if it says 4."""

    name = "sums"
    version = "1"

    def __init__(self, keyed: bool = True):
        self.keyed = keyed

    def questions(self, limit: int | None = None) -> list[Question]:
        return [Question(f"sums/{number}", ("How many?",)) for number in range(2)][:limit]

    def grade(self, question: Question, text: str) -> Grade:
        return Grade(text.endswith("So it is 4.\n") if self.keyed else None)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


def engine(codec: Codec, draft: str = DRAFT, *, agrees: bool = False) -> AsyncEngine:
    def believes(prefix: str) -> float:
        return 0.1 if "5" in prefix else 0.9

    target = ScriptedModel(codec, TARGET, believes, agrees=agrees)
    return AsyncEngine(target, ScriptedModel(codec, draft), ParseConfig())


def cases(own: AsyncEngine, folder: Path, task: Sums | None = None, plan: Plan = PLAN, limit: int = 1) -> list[Case]:
    task = task or Sums()
    asked = [(task, question) for question in task.questions(limit)]
    return asyncio.run(collect(own, asked, plan, folder))


def test_every_boundary_has_its_outcome(codec: Codec, tmp_path: Path) -> None:
    [case] = cases(engine(codec), tmp_path)
    assert case.ends == (LINE, 2 * LINE, len(DRAFT))
    assert case.cuts == {LINE: (0, 1, 2), 2 * LINE: (1, 2)}
    assert (case.places(LINE), case.places(FULL_ONLY)) == ([0, 1, 2], [2])
    assert (case.target.right, case.target.tokens) == (True, len(TARGET))
    assert (case.draft.right, case.draft.tokens, case.complete) == (False, len(DRAFT), True)
    # From the second line on the target writes its own last line, which says 4 whatever stands before.
    assert [outcome.right for outcome in case.outcomes] == [True, True, False]
    assert [outcome.tokens for outcome in case.outcomes] == [len(TARGET) - LINE, len(TARGET) - 2 * LINE, 0]
    assert [outcome.same for outcome in case.outcomes] == [True, True, False]  # the final answers, 4, 4 and 5
    assert case.labels == ((0.9, pytest.approx(0.1)), (0.1, 0.9), (0.1, 0.9))
    assert case.drafted == (-0.5,) * len(DRAFT)
    assert (case.lost(None), case.lost(0), case.lost(2)) == (False, False, True)
    assert [case.safe(place) for place in range(3)] == [True, True, False]
    assert case.features(2 * LINE)["place.tokens"].shape == (2,)


def test_a_prefix_from_which_the_target_writes_the_draft_is_not_written_again(codec: Codec, tmp_path: Path) -> None:
    own = engine(codec, TARGET, agrees=True)
    [case] = cases(own, tmp_path)
    assert isinstance(own.target, ScriptedModel)
    continued = [tokens for tokens in own.target.decoded if codec.decode(tokens).endswith(".\n")]
    assert len(continued) == 1  # from the last boundary before the full answer
    assert [outcome.tokens for outcome in case.outcomes] == [len(TARGET) - LINE, len(TARGET) - 2 * LINE, 0]
    assert all(outcome.right and outcome.same for outcome in case.outcomes)


def test_without_a_key_the_targets_own_answer_is_the_key(codec: Codec, tmp_path: Path) -> None:
    [case] = cases(engine(codec), tmp_path, Sums(keyed=False))
    assert case.target.right
    assert [outcome.right for outcome in case.outcomes] == [True, True, False]


def test_a_draft_that_was_cut_off_is_a_prefix_to_the_end(codec: Codec, tmp_path: Path) -> None:
    plan = Plan(SamplingParams(max_tokens=2 * LINE), deltas=(LINE,))
    [case] = cases(engine(codec), tmp_path, plan=plan)
    assert (case.complete, case.ends) == (False, (LINE, 2 * LINE))
    assert [outcome.tokens for outcome in case.outcomes] == [LINE, 0]


def test_no_draft_no_boundary(codec: Codec, tmp_path: Path) -> None:
    [case] = cases(engine(codec, ""), tmp_path)
    assert (case.judged, case.ends, case.outcomes, case.labels) == (False, (), (), None)


def test_several_answers_give_a_share(codec: Codec, tmp_path: Path) -> None:
    [case] = cases(engine(codec), tmp_path, plan=Plan(PLAN.params, PLAN.deltas, answers=3))
    assert (case.target.share, case.outcomes[0].share, case.outcomes[-1].share) == (1.0, 1.0, 0.0)


def test_what_is_there_is_not_made_again(codec: Codec, tmp_path: Path) -> None:
    own = engine(codec)
    first = cases(own, tmp_path)
    assert isinstance(own.target, ScriptedModel)
    asked = len(own.target.decoded)
    with (tmp_path / Cases.FILE).open("a") as lines:
        lines.write('{"task": "su')  # a line that was being written
    both = cases(own, tmp_path, limit=2)
    assert both[0] == first[0]
    assert [case.question for case in both] == ["sums/0", "sums/1"]
    assert len(own.target.decoded) == 2 * asked
    assert len((tmp_path / Cases.FILE).read_text().splitlines()) == 2
    stages = [line["stage"] for line in read_costs(tmp_path, own.concurrency)]
    assert stages == ["target", "draft", "verify", "continue"] * 2
    own.concurrency = 7  # other costs, the same cases
    assert cases(own, tmp_path, limit=2) == both
    assert [line["stage"] for line in read_costs(tmp_path, 7)] == ["target", "draft"]
    (tmp_path / Cases.FILE).write_text(json.dumps({"task": "sums"}) + "\n")
    with pytest.raises(DataError, match="is not a file of calibration cases"):
        Cases(tmp_path)


@pytest.mark.parametrize("agrees", [False, True])
@pytest.mark.parametrize(
    "setting",
    [{"threshold": 0.5}, {"threshold": 0.05, "full_threshold": 1.0}, {"threshold": 1.0, "full_threshold": 1.0}],
)
def test_the_engine_does_what_the_case_says(
    codec: Codec, tmp_path: Path, setting: dict[str, float], agrees: bool
) -> None:
    """The outcome that a case has for a boundary is the answer of PARSE when it commits that boundary."""
    config = ParseConfig(delta=LINE, **setting)  # type: ignore[arg-type]
    own = AsyncEngine(engine(codec, agrees=agrees).target, ScriptedModel(codec, DRAFT), config)
    [case] = cases(own, tmp_path)
    answer = asyncio.run(own.generate("How many?", PLAN.params))
    kept = [boundary.end for boundary in answer.trace.boundaries if boundary.accepted]
    assert [boundary.end for boundary in answer.trace.boundaries] == [case.ends[at] for at in case.places(LINE)]
    place = case.ends.index(kept[-1]) if kept else None
    outcome = case.target if place is None else case.outcomes[place]
    assert answer.text.endswith("So it is 4.\n") == outcome.right
    assert answer.trace.target_tokens == outcome.tokens - case.agreeing(place)
    assert case.agreeing(None) == (LINE + len("Two and two are ") if agrees else 0)


def test_a_drafter_that_fails_ends_the_collection(codec: Codec, tmp_path: Path) -> None:
    """A question without its draft counted as one without a loss."""
    own = engine(codec)
    assert own.drafter is not None

    async def fail(*_: object) -> AsyncGenerator[int]:
        raise BackendError("the server is gone")
        yield 0

    own.drafter.decode = fail  # type: ignore[method-assign]
    with pytest.raises(BackendError, match=r"question sums/0 of sums: there is no draft.*the server is gone"):
        cases(own, tmp_path)
    assert not (tmp_path / Cases.FILE).exists()


def test_another_question_by_the_same_name_is_asked_again(codec: Codec, tmp_path: Path) -> None:
    """The outcomes of the old one were taken for it."""
    [case] = cases(engine(codec), tmp_path)
    task = Sums()
    other = Question("sums/0", ("How many are there?",))
    [again] = asyncio.run(collect(engine(codec), [(task, other)], PLAN, tmp_path))
    assert again.asked != case.asked == digest(task, task.questions(1)[0])
    assert [own.asked for own in Cases(tmp_path).done.values()] == [again.asked]


def test_what_cannot_be_calibrated_on(codec: Codec) -> None:
    """Duplicates counted twice, a long prompt ended the run, and the key of a last turn graded the first."""
    task = Sums()
    asked = [(task, Question(str(number), (text,))) for number, text in enumerate(["a", "b", "a", "c" * 2000])]
    good, said = usable(engine(codec), asked, PLAN)
    assert [question.id for _, question in good] == ["0", "1"]
    assert said == [
        "1 questions are asked twice and count once",
        "1 questions do not fit the models' context and are left out",
    ]
    with pytest.raises(ConfigError, match="'sums' has several turns"):
        usable(engine(codec), [(task, Question("x", ("a", "b")))], PLAN)


def test_stopping_changes_nothing(codec: Codec, tmp_path: Path) -> None:
    """Numbers are rounded in the file: those in memory must be the same."""
    first = cases(engine(codec), tmp_path)
    assert Cases(tmp_path).done[first[0].key] == first[0]

"""SpecReason, with models that write and score what they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

import pytest

from parse_engine import SamplingParams
from parse_engine.backends.base import Scores, Usage, VerifyRequest
from parse_engine.bench.specreason import QUESTION, REPLY, SpecReason
from parse_engine.text import Codec
from parse_engine.trace import Answer
from tests.conftest import ascii_tokenizer, byte_tokenizer
from tests.scripted import ScriptedModel

DRAFT = "Two and two are four.\n\nFour and two are six.\n\nSo it is six."
TARGET = "Two plus two is four.\n\nFour plus two is six.\n\nThe answer is 6"
STEPS = [f"{step}\n\n" for step in DRAFT.split("\n\n")[:2]] + [DRAFT.split("\n\n")[2]]


class ScoringModel(ScriptedModel):
    """A target that answers the published question with the score that `scores` gives to the answer so far."""

    def __init__(self, codec: Codec, answer: str, scores: Callable[[str], str]):
        super().__init__(codec, answer, ends=True)
        self.scores = scores
        self.scored: list[str] = []

    async def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        text = self.codec.decode(tokens)
        if not text.endswith(REPLY):
            async for token in super().decode(tokens, params, max_tokens, usage):
                yield token
            return
        assert max_tokens == 1
        assert params.greedy
        start = list(tokens).index(self.codec.encode("<|assistant|>")[0]) + 1
        answer = self.codec.decode(tokens[start:]).removesuffix(REPLY).partition(QUESTION)[0]
        self.scored.append(answer)
        usage.computed_tokens += 1
        yield self.codec.encode(self.scores(answer))[0]


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


def generate(target: ScriptedModel, draft: str = DRAFT, max_tokens: int = 200, **options: str) -> Answer:
    engine = SpecReason(target, ScriptedModel(target.codec, draft), **options)  # type: ignore[arg-type]
    return asyncio.run(engine.generate("How many?", SamplingParams(max_tokens=max_tokens)))


def test_steps_with_a_good_score_are_kept(codec: Codec) -> None:
    target = ScoringModel(codec, TARGET, lambda answer: "7")
    answer = generate(target)
    assert (answer.text, answer.finish_reason) == (DRAFT, "stop")
    assert (answer.trace.committed_tokens, answer.trace.target_tokens) == (len(DRAFT), 0)
    assert [boundary.end for boundary in answer.trace.boundaries] == [len("".join(STEPS[: n + 1])) for n in range(3)]
    assert [boundary.p for boundary in answer.trace.boundaries] == [7 / 9] * 3
    assert answer.trace.verify_passes == 3
    # One call after another, each with the steps so far.
    assert [text.removesuffix("<|end|>").strip() for text in target.scored] == [
        "".join(STEPS[: n + 1]).strip() for n in range(3)
    ]


@pytest.mark.parametrize("score", ["6", "0", "x", " "])
def test_the_target_writes_the_steps_that_fail(codec: Codec, score: str) -> None:
    second = STEPS[0] + STEPS[1].strip()
    target = ScoringModel(codec, TARGET, lambda answer: score if answer.strip().endswith(second) else "9")
    answer = generate(target)
    # Both scripts have the same lengths per step, so the target's second step is its own.
    assert answer.text == STEPS[0] + "Four plus two is six.\n\n" + STEPS[2]
    assert [boundary.accepted for boundary in answer.trace.boundaries] == [True, False, True]
    assert answer.trace.target_tokens == len("Four plus two is six.\n\n")
    assert answer.completion_tokens == len(answer.text)


def test_when_nothing_passes_the_answer_is_the_targets(codec: Codec) -> None:
    answer = generate(ScoringModel(codec, TARGET, lambda answer: "0"))
    assert answer.text == TARGET
    assert answer.trace.committed_tokens == 0


@pytest.mark.parametrize("limit", [1, 22, 23, 24, 30, 46])
@pytest.mark.parametrize("score", ["0", "9"])
def test_max_tokens_is_exact(codec: Codec, limit: int, score: str) -> None:
    answer = generate(ScoringModel(codec, TARGET, lambda answer: score), max_tokens=limit)
    assert answer.completion_tokens == len(answer.text) == limit
    assert answer.finish_reason == "length"
    assert answer.text == (DRAFT if score == "9" else TARGET)[:limit]


def test_a_step_said_twice_ends_the_answer_after_the_second(codec: Codec) -> None:
    """As published: from the third step on."""
    answer = generate(ScoringModel(codec, TARGET, lambda answer: "9"), draft="Same again.\n\n" * 9)
    assert answer.text == "Same again.\n\n" * 3


def test_lines_may_be_the_same(codec: Codec) -> None:
    """Code was cut off at the second of two equal lines."""
    code = "m = [\n" + "    0,\n" * 6 + "]"
    answer = generate(ScriptedModel(codec, TARGET), draft=code, step="line", score="labels")
    assert answer.text == code


@pytest.mark.parametrize("draft", ["", "Two and two are four.\n\n"])
def test_a_drafter_that_has_nothing_to_say_does_not_end_the_answer(codec: Codec, draft: str) -> None:
    target = ScoringModel(codec, "Two and two are four.\n\nThe answer is 6", lambda answer: "9")
    answer = generate(target, draft=draft)
    assert answer.text == "Two and two are four.\n\nThe answer is 6"
    assert answer.trace.committed_tokens == len(draft)


def test_a_target_that_does_not_answer_accepts_no_step(codec: Codec) -> None:
    class Reluctant(ScriptedModel):
        async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
            return Scores(labels=((0.002, 0.001),))

    answer = generate(Reluctant(codec, TARGET), step="line", score="labels")
    assert answer.text == TARGET
    assert not any(boundary.accepted for boundary in answer.trace.boundaries)
    assert {boundary.label_mass for boundary in answer.trace.boundaries} == {0.003}


def test_lines_as_steps_and_the_judges_labels_as_scores(codec: Codec) -> None:
    """For models that write no blank lines and give no digits."""
    draft, own = DRAFT.replace("\n\n", "\n"), TARGET.replace("\n\n", "\n")
    first = draft.split("\n")[0] + "\n"
    target = ScriptedModel(codec, own, lambda answer: 0.6 if answer == first else 0.4)  # PARSE's own threshold is 0.5
    answer = generate(target, draft, step="line", score="labels")
    assert answer.text == first + own[len(first) :]
    assert [boundary.accepted for boundary in answer.trace.boundaries] == [True, False, False]
    assert all(len(request.boundaries) == 1 for request in target.verified)


def test_a_step_that_the_targets_tokens_cannot_write_is_the_targets(codec: Codec) -> None:
    """What they could not write was dropped in silence: "naïve" became "nave"."""
    target = ScoringModel(Codec(ascii_tokenizer()), TARGET, lambda answer: "9")
    drafter = ScriptedModel(codec, DRAFT.replace("Four and", "Naïve and"))
    answer = asyncio.run(SpecReason(target, drafter).generate("How many?", SamplingParams(max_tokens=200)))
    assert answer.text.startswith(STEPS[0] + "Four plus two is six.\n\n")
    assert answer.trace.warnings == ("step 2 is not kept: the target's tokens cannot write it as drafted.",)

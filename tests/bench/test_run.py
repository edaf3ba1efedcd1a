from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parse_engine.bench import run as bench
from parse_engine.bench.batches import interleave
from parse_engine.bench.directory import open_run
from parse_engine.bench.records import read_records
from parse_engine.bench.report.pairs import group
from parse_engine.bench.report.plots import plots
from parse_engine.bench.report.sheets import detail_sheets
from parse_engine.bench.report.summary import Summary, to_plain
from parse_engine.bench.tasks import Grade, Question
from parse_engine.config import SamplingParams
from parse_engine.errors import BackendError, ConfigError
from parse_engine.trace import Answer

from .fakes import FakeLineup, FakeTask

METHODS = ("target", "draft", "parse")
Run = Callable[..., Summary]
TEXTS = {"target": "right", "draft": "wrong", "parse": "right"}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Summary]:
    """A run on the line-up's own clock."""

    def call(lineup: FakeLineup, *args: Any, **more: Any) -> Summary:
        monkeypatch.setattr(bench, "time", lineup)
        with open_run(*args, **more) as opened:
            return asyncio.run(bench.answer(opened, lineup))

    return call


def test_who_goes_first_rotates() -> None:
    task = FakeTask()
    asks = list(interleave([(task, [question]) for question in task.questions(4)], METHODS, rotating=True))
    assert [question.id for ask in asks for question in ask.questions] == [
        f"fake/{n}" for n in (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3)
    ]
    assert [ask.method for ask in asks[0:3]] == ["target", "draft", "parse"]
    assert [ask.method for ask in asks[3:6]] == ["draft", "parse", "target"]
    assert [ask.method for ask in asks[6:9]] == ["parse", "target", "draft"]
    assert [ask.method for ask in asks[9:12]] == ["target", "draft", "parse"]


def test_nobody_takes_turns_where_accuracy_alone_counts(run: Run) -> None:
    lineup = FakeLineup(TEXTS)
    run(lineup, [FakeTask(size=2)], METHODS, timed=False)
    assert [(text[-1], method) for text, method in lineup.asked if method] == [(q, m) for q in "01" for m in METHODS]


def test_every_method_warms_up_and_answers_everything(run: Run) -> None:
    lineup = FakeLineup(TEXTS)
    run(lineup, [FakeTask(size=2)], METHODS)
    asked = [(text[-1], method) for text, method in lineup.asked if method]
    warm_up, answers = asked[:3], asked[3:]
    assert warm_up == [("0", "target"), ("0", "draft"), ("0", "parse")]
    assert answers == [(q, m) for q, ms in (("0", METHODS), ("1", ("draft", "parse", "target"))) for m in ms]


def test_a_run_for_accuracy_alone_tells_no_seconds(run: Run, tmp_path: Path) -> None:
    lineup = FakeLineup(TEXTS)
    summary = run(lineup, [FakeTask(size=2)], METHODS, output=tmp_path, timed=False)
    assert len([method for _, method in lineup.asked if method]) == 6  # nobody warms up
    own = summary["fake"]["parse"]
    assert (own.accuracy, own.kept_share, own.total_rejections) == (1.0, 0.75, 0.0)
    figures = own.to_dict()
    told = [name for name in figures if "second" in name or "speed" in name or "latency" in name or "ttft" in name]
    assert all(figures[name] is None for name in (*told, "tokens_per_s", "throughput_ratio", "rejection_cost"))
    assert [sheet.title for sheet in detail_sheets(summary["fake"])] == ["Errors", "Drafts"]
    assert [plot.title for plot in plots(summary["fake"], group(read_records(tmp_path / "answers.jsonl"))["fake"])] == [
        "Acceptance along the answer"
    ]


def test_no_answer_finds_its_question_in_a_cache(run: Run) -> None:
    """The lineup re-uses the last sequence: the second method to answer would get prompt and answer for nothing."""
    lineup = FakeLineup(TEXTS)
    run(lineup, [FakeTask(size=2)], METHODS)
    timed = lineup.asked[4:]
    assert timed[::2] == [("forget", None)] * 6
    assert all(method for _, method in timed[1::2])


def test_with_concurrency_the_methods_take_turns_at_batches(run: Run) -> None:
    """Throughput counts the time of the batch, once: answers in flight together do not each count all of it."""

    class InFlight(FakeLineup):
        async def answer(self, *args: Any) -> Answer:
            answer = await super().answer(*args)
            self.now -= answer.trace.seconds.total / 2  # another one was in flight
            return answer

    lineup = InFlight(TEXTS)
    figures = to_plain(run(lineup, [FakeTask(size=11)], METHODS, concurrency=2))["fake"]
    asked = [method for _, method in lineup.asked[4:]]
    first = [None, *["target"] * 4, None, *["draft"] * 4, None, *["parse"] * 4]
    second = [None, *["draft"] * 4, None, *["parse"] * 4, None, *["target"] * 4]
    assert asked == [*first, *second, None, *["parse"] * 3, None, *["target"] * 3, None, *["draft"] * 3]
    assert figures["parse"]["answers"] == 11
    assert figures["parse"]["tokens_per_s"] == pytest.approx(20.0)
    assert figures["parse"]["seconds_per_answer"] == 2.0


def test_the_target_alone_needs_no_drafter(run: Run) -> None:
    lineup = FakeLineup(TEXTS)
    run(lineup, [FakeTask(size=2)], ["target"])
    assert {method for _, method in lineup.asked if method} == {"target"}


def test_figures_of_a_known_run(run: Run) -> None:
    plain = to_plain(run(FakeLineup(TEXTS), [FakeTask(size=6)], METHODS))
    assert list(plain) == ["fake"]
    assert list(plain["fake"]) == ["target", "draft", "parse"]
    parse, target, draft = (plain["fake"][method] for method in ("parse", "target", "draft"))
    assert [parse.pop("accuracy_diff_ci"), parse.pop("speed_ratio_ci")] == [None, None]  # six questions
    expected = {
        "answers": 6,
        "accuracy": 1.0,
        "accuracy_diff": 0.0,
        "tokens_per_s": 10.0,
        "seconds_per_answer": 2.0,
        "speed_ratio": 2.0,
        "throughput_ratio": 2.0,
        "kept_share": 0.75,
        "verify_passes": 1.0,
        "draft_seconds": 1.0,
        "verify_seconds": 0.2,
        "continue_seconds": 0.6,
        "overhead": 0.1,
    }
    assert {key: parse[key] for key in expected} == pytest.approx(expected)
    assert (target["speed_ratio"], target["accuracy_diff"], target["throughput_ratio"]) == (1.0, 0.0, 1.0)
    assert (draft["accuracy"], draft["accuracy_diff"], draft["speed_ratio"]) == (0.0, -1.0, 4.0)


def test_without_the_target_nothing_is_compared(run: Run) -> None:
    figures = to_plain(run(FakeLineup(TEXTS), [FakeTask(size=2)], ["parse"]))["fake"]["parse"]
    keys = ("accuracy_diff", "accuracy_diff_ci", "speed_ratio", "speed_ratio_ci", "throughput_ratio")
    assert [figures[key] for key in keys] == [None] * 5
    assert figures["accuracy"] == 1.0


def test_methods_come_in_the_order_given_for_every_task(run: Run) -> None:
    """With an odd number of questions another method begins the second task."""
    plain = to_plain(run(FakeLineup(TEXTS), [FakeTask("a", size=1), FakeTask("b", size=1)], METHODS))
    assert [list(methods) for methods in plain.values()] == [list(METHODS)] * 2


def test_output_holds_records_and_provenance(run: Run, tmp_path: Path) -> None:
    output = tmp_path / "new" / "results"
    params = SamplingParams(max_tokens=64, seed=3)
    settings = {"target": "big"}
    lineup = FakeLineup(TEXTS)
    summary = run(lineup, [FakeTask()], METHODS, limit=2, params=params, output=output, settings=settings)
    records = read_records(output / "answers.jsonl")
    assert [record.key for record in records] == [
        ("fake", f"fake/{n}", 0, method) for method in METHODS for n in range(2)
    ]
    last = records[-1]
    assert (last.grade, last.prompt, last.finished) == (Grade(True), "turn 0 of fake 1", 2.0)
    assert last.answer == asyncio.run(lineup.answer("parse", [{"role": "user", "content": last.prompt}], params))
    provenance = json.loads((output / "run.json").read_text())
    assert provenance["settings"] == {"target": "big"}
    assert (provenance["params"]["seed"], provenance["params"]["max_tokens"]) == (3, 64)
    assert provenance["tasks"]["fake"]["questions"] == 2
    assert {"command", "time", "load", "versions", "machine", "methods", "peak_memory_bytes"} <= provenance.keys()
    assert provenance["machine"]["cores"] >= 1
    assert provenance["figures"] == json.loads(json.dumps(to_plain(summary)))


def test_a_run_names_its_models(run: Run, tmp_path: Path) -> None:
    """Nothing but their names was kept, and two models can have one name."""
    lineup = FakeLineup(TEXTS)
    lineup.drafter.name = "smollm2-135m-instruct-q4_1"
    run(lineup, [FakeTask(size=1)], METHODS, output=tmp_path)
    models = json.loads((tmp_path / "run.json").read_text())["models"]
    assert models["target"] == {"name": "big", "fingerprint": "of big", "origin": None}
    assert models["drafter"]["fingerprint"] == "of small"
    assert models["drafter"]["origin"].startswith("Q4_1 of HuggingFaceTB/SmolLM2-135M-Instruct")


def test_a_run_goes_on_with_its_own_models_alone(run: Run, tmp_path: Path) -> None:
    run(FakeLineup(TEXTS), [FakeTask(size=1)], METHODS, output=tmp_path)
    changed = FakeLineup(TEXTS)
    changed.drafter.fingerprint = "of another"
    with pytest.raises(ConfigError, match="drafter fingerprint is 'of small' there and 'of another' here"):
        run(changed, [FakeTask(size=2)], METHODS, output=tmp_path)
    assert changed.asked == []


class Changed(FakeTask):
    """The questions of another version of the data."""

    def questions(self, limit: int | None = None) -> list[Question]:
        return [replace(question, reference="another") for question in super().questions(limit)]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"params": SamplingParams(seed=1)}, "other settings: seed is not set there and 1 here. Give the same ones"),
        (
            {"settings": {"target": "big", "config": {"threshold": 0.5, "delta": 8}}},
            "other settings: config.threshold is 0.7 there and 0.5 here. Give",
        ),
        (
            {"settings": {"target": "small"}, "params": SamplingParams(max_tokens=9)},
            "other settings: target is 'big' there and 'small' here; config is {'threshold': 0.7, 'delta': 8} there "
            "and not set here; max_tokens is 512 there and 9 here. Give",
        ),
        ({"methods": ["draft"]}, "more than is asked for here: the method target, the method parse. A run can grow"),
        ({"tasks": [FakeTask("other")]}, "more than is asked for here: the task fake. A run can grow"),
        ({"limit": 1}, "more than is asked for here: 2 questions of fake, not 1. A run can grow"),
        ({"tasks": [Changed()]}, "answers to other questions of fake: its data or its version has changed since."),
    ],
)
def test_what_differs_from_the_run_that_is_there_is_named(
    run: Run, tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    """Of what differed the largest part was named, "settings", and with one more question other "tasks"."""
    settings = {"target": "big", "config": {"threshold": 0.7, "delta": 8}}
    own: dict[str, Any] = {"tasks": [FakeTask()], "methods": ["target", "parse"], "limit": 2, "settings": settings}
    run(FakeLineup(TEXTS), **own, output=tmp_path)
    before = (tmp_path / "answers.jsonl").read_text()
    with pytest.raises(ConfigError) as caught:
        run(FakeLineup(TEXTS), **{**own, **asked}, output=tmp_path)
    assert f"{tmp_path} holds" in str(caught.value)
    assert said in str(caught.value)
    assert (tmp_path / "answers.jsonl").read_text() == before


def test_a_file_of_another_command_is_never_written_over(run: Run, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(ConfigError, match="was not written by this command"):
        run(FakeLineup(TEXTS), [FakeTask(size=1)], ["target"], output=tmp_path)


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"limit": 3}, {"limit": 6}),
        ({"limit": 3}, {}),
        ({"methods": ["target"]}, {}),
        ({"methods": ["parse", "target"]}, {}),
        ({"tasks": [FakeTask("a")]}, {}),
        ({"tasks": [FakeTask("b")], "methods": ["draft"], "limit": 1}, {}),
    ],
)
def test_a_run_can_grow(
    run: Run, tmp_path: Path, first: dict[str, Any], then: dict[str, Any], concurrency: int
) -> None:
    """Answers that are there stay, with their times, and no question is asked twice; in the end all is there."""
    whole: dict[str, Any] = {"tasks": [FakeTask("a"), FakeTask("b")], "methods": METHODS, "concurrency": concurrency}
    run(FakeLineup(TEXTS), **{**whole, **first}, output=tmp_path)
    before = {record.key: record for record in read_records(tmp_path / "answers.jsonl")}
    lineup = FakeLineup(TEXTS)
    summary = run(lineup, **{**whole, **then}, output=tmp_path)
    after = {record.key: record for record in read_records(tmp_path / "answers.jsonl")}
    assert len(after) == 2 * 6 * 3
    assert {key: after[key] for key in before} == before
    assert all(record.finished is not None for record in after.values())
    asked = [question for question in lineup.asked if question[1]][len(METHODS) :]  # without the warm-up
    assert len(asked) == len(set(asked)) == len(after) - len(before)
    assert {figures.answers for methods in summary.values() for figures in methods.values()} == {6}
    kept = json.loads((tmp_path / "run.json").read_text())
    assert (kept["methods"], list(kept["tasks"])) == (list(METHODS), ["a", "b"])
    assert kept["tasks"]["a"]["questions"] == 6
    assert kept["figures"] == json.loads(json.dumps(to_plain(summary)))
    assert len(kept["resumed"]) == 1


def test_a_directory_takes_one_run_at_a_time(run: Run, tmp_path: Path) -> None:
    """Two runs at once wrote each other's files anew, and records were lost."""
    tasks = [FakeTask(size=1)]
    with open_run(tasks, ["target"], output=tmp_path):
        with pytest.raises(ConfigError, match=f"another command is writing to {tmp_path}. Wait for it to end, or give"):
            run(FakeLineup(TEXTS), tasks, ["target"], output=tmp_path)
        run(FakeLineup(TEXTS), tasks, ["target"], output=tmp_path / "beside")
    run(FakeLineup(TEXTS), tasks, ["target"], output=tmp_path)


class Killed(FakeLineup):
    """Dies after so many answers, those of the warm-up included."""

    def __init__(self, texts: Mapping[str, str], left: int) -> None:
        super().__init__(texts)
        self.left = left

    async def answer(self, *args: Any) -> Answer:
        if not self.left:
            raise BackendError("it died")
        self.left -= 1
        return await super().answer(*args)


SPEED = {"target": 1.0, "draft": 4.0, "parse": 2.0}


def first_cut(killed_at: int) -> str:
    return METHODS[(killed_at - 3) // 4]


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("killed_at", range(14))
def test_a_run_that_was_killed_goes_on(run: Run, tmp_path: Path, killed_at: int, concurrency: int) -> None:
    """Nothing is lost and nothing done twice, wherever it stopped: between two answers, or before their grades."""

    tasks, whole = [FakeTask(size=4)], tmp_path / "whole"
    uninterrupted = run(FakeLineup(TEXTS), tasks, METHODS, output=whole, concurrency=concurrency)
    broken = tmp_path / "broken"
    with pytest.raises(BackendError, match="it died"):
        run(Killed(TEXTS, killed_at), tasks, METHODS, output=broken, concurrency=concurrency)
    if (broken / "answers.jsonl").exists():
        with (broken / "answers.jsonl").open("a") as lines:
            lines.write('{"task": "fa')  # a line that was being written
    again = FakeLineup(TEXTS)
    summary = run(again, tasks, METHODS, output=broken, concurrency=concurrency)
    asked = [question for question in again.asked if question[1]]
    assert len(asked) == 3 + 12 - max(0, killed_at - 3)  # the warm-up is not kept
    assert len(set(asked[3:])) == len(asked[3:])
    assert [r.key for r in read_records(broken / "answers.jsonl")] == [
        r.key for r in read_records(whole / "answers.jsonl")
    ]
    # The times of a batch that was cut off do not compare; nor do those of its rest, which is a smaller batch.
    untimed = [record.finished is None for record in read_records(broken / "answers.jsonl")]
    cut_off = concurrency == 2 and killed_at > 3 and (killed_at - 3) % 4
    assert sum(untimed) == (4 if cut_off else 0)
    for method, figures in summary["fake"].items():
        untimed_pair = cut_off and first_cut(killed_at) in (method, "target")
        assert figures.speed_ratio == (None if untimed_pair else pytest.approx(SPEED[method]))
        assert figures.accuracy == uninterrupted["fake"][method].accuracy
    resumed = json.loads((broken / "run.json").read_text()).get("resumed", [])
    assert len(resumed) == (killed_at > 3)


def test_a_run_may_be_killed_twice(run: Run, tmp_path: Path) -> None:
    """A line that was cut off stayed in the file, and what came next was written behind it."""
    tasks = [FakeTask(size=3)]
    for answers in (4, 5):
        with pytest.raises(BackendError):
            run(Killed(TEXTS, answers), tasks, METHODS, output=tmp_path)
        with (tmp_path / "answers.jsonl").open("a") as lines:
            lines.write('{"task": "fa')
    run(FakeLineup(TEXTS), tasks, METHODS, output=tmp_path)
    assert len(read_records(tmp_path / "answers.jsonl")) == 9


def test_questions_that_do_not_fit_are_left_out_for_all(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Long(FakeTask):
        def questions(self, limit: int | None = None) -> list[Question]:
            return [Question("fake/long", ("too long",), "right"), *super().questions(limit)]

    summary = run(FakeLineup(TEXTS), [Long(size=2)], METHODS, output=tmp_path)
    assert {figures.answers for figures in summary["fake"].values()} == {2}
    assert json.loads((tmp_path / "run.json").read_text())["left_out"] == {"fake": ["fake/long"]}
    assert "1 questions of fake do not fit" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="no question fits"):
        run(FakeLineup(TEXTS), [Long(size=0)], METHODS)


def test_a_server_that_keeps_its_cache_is_told_of(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lineup = FakeLineup(TEXTS)
    lineup.forgets = False
    run(lineup, [FakeTask(size=1)], METHODS, output=tmp_path)
    assert capsys.readouterr().err.count("warning: a server keeps its prefix cache") == 1
    assert json.loads((tmp_path / "run.json").read_text())["caches_emptied"] is False


def test_an_output_is_refused_before_anything_is_answered(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigError, match="cannot write to"),
        open_run([FakeTask()], ["target"], output=tmp_path / "file"),
    ):
        pass


def test_a_finished_run_is_only_summarized(run: Run, tmp_path: Path) -> None:
    first = run(FakeLineup(TEXTS), [FakeTask(size=2)], METHODS, output=tmp_path)
    lineup = FakeLineup(TEXTS)
    assert run(lineup, [FakeTask(size=2)], METHODS, output=tmp_path) == first
    assert lineup.asked == []


def test_every_method_answers_a_conversation_of_its_own(run: Run, tmp_path: Path) -> None:
    lineup = FakeLineup({"target": "from target", "draft": "from draft", "parse": "right"})
    run(lineup, [FakeTask(size=1, turns=2)], METHODS, output=tmp_path)
    methods = [method for _, method in lineup.asked if method]
    for method, answer in lineup.texts.items():
        (messages,) = [
            messages
            for messages, asked in zip(lineup.conversations, methods, strict=True)
            if asked == method and len(messages) > 1
        ]
        assert messages == [
            {"role": "user", "content": "turn 0 of fake 0"},
            {"role": "assistant", "content": answer},
            {"role": "user", "content": "turn 1 of fake 0"},
        ]
    records = {record.key: record for record in read_records(tmp_path / "answers.jsonl")}
    grades = [records["fake", "fake/0", turn, "parse"].grade for turn in range(2)]
    assert grades == [Grade(None), Grade(True)]  # only the last turn has a key


def test_without_a_key_answers_are_likened_to_the_target(run: Run, tmp_path: Path) -> None:
    run(FakeLineup(TEXTS), [FakeTask(size=1, turns=2, keyed=False)], ["target", "parse"], output=tmp_path)
    records = read_records(tmp_path / "answers.jsonl")
    assert [(record.grade, record.similarity) for record in records] == [(Grade(None), -1.0), (Grade(None), -3.0)] * 2


def test_an_output_that_is_no_directory(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write to"):
        run(FakeLineup(TEXTS), [FakeTask(size=1)], ["target"], output=tmp_path / "file" / "sub")


def test_what_cannot_be_run_is_refused(run: Run) -> None:
    lineup = FakeLineup(TEXTS)
    with pytest.raises(ConfigError, match="no method given"):
        run(lineup, [FakeTask()], [])
    with pytest.raises(ConfigError, match="no task given"):
        run(lineup, [], ["target"])
    with pytest.raises(ConfigError, match="a task is named twice in 'fake,fake'"):
        run(lineup, [FakeTask(), FakeTask()], ["target"])
    with pytest.raises(ConfigError, match="limit is 0"):
        run(lineup, [FakeTask()], ["target"], limit=0)
    assert lineup.asked == []


def test_progress_goes_to_stderr_only(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(FakeLineup(TEXTS), [FakeTask(size=1)], ["target"])
    assert capsys.readouterr().out == ""


def test_a_warning_is_shown_once_per_method(run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run(FakeLineup(TEXTS, ("the labels are [rare]",)), [FakeTask(size=3)], METHODS, output=tmp_path)
    assert capsys.readouterr().err.count("warning: method parse: the labels are [rare]") == 1
    assert sum(len(record.answer.trace.warnings) for record in read_records(tmp_path / "answers.jsonl")) == 3

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parse_engine.bench.records import Record
from parse_engine.bench.report.compare import Change, changes_to_plain, compare, differences, remarks
from parse_engine.bench.report.load import Run
from parse_engine.bench.report.pairs import MIN_QUESTIONS
from parse_engine.bench.tasks.base import Grade
from parse_engine.trace import Seconds

from .samples import info, record, small_run


def run(records: list[Record], **changed: object) -> Run:
    return Run(Path("here"), info(**changed), records)


def many(right: int, seconds: float, machine: float = 1.0, questions: int = 40) -> list[Record]:
    """Questions of which `parse` has the first `right` right, in so many times the target's seconds."""
    rows = [(n, machine * (1 + n % 3)) for n in range(questions)]
    return [
        *(record(f"q/{n}", "target", seconds=Seconds(total=s)) for n, s in rows),
        *(record(f"q/{n}", "parse", right=n < right, seconds=Seconds(total=seconds * s)) for n, s in rows),
    ]


def parse_of(now: list[Record], then: list[Record]) -> Change:
    (change,) = (change for change in compare(run(now), run(then)) if change.method == "parse")
    return change


def noisy(rng: np.random.Generator, questions: int) -> list[Record]:
    """One code on a machine of its own speed, which drifts, and with noise in every answer; parse is twice as fast, but
    for some percent that are each run's own."""
    lengths = np.random.default_rng(0).lognormal(0, 0.5, questions)
    pace = rng.uniform(0.7, 1.4) * (1 + rng.normal(0, 0.2) * np.linspace(0, 1, questions))
    ratio = 0.5 * rng.lognormal(0, 0.02)
    return [
        record(f"q/{n}", method, seconds=Seconds(total=float(times * length * own * rng.lognormal(0, 0.2))))
        for n, (length, own) in enumerate(zip(lengths, pace, strict=True))
        for method, times in (("target", 1.0), ("parse", ratio))
    ]


def test_a_run_against_itself_is_the_same() -> None:
    records = many(30, 0.5)
    target, parse = compare(run(records), run(records))
    assert (parse.accuracy_diff, parse.speed_ratio) == (0.0, 1.0)
    assert parse.accuracy_diff_ci == pytest.approx((-0.109, 0.109), abs=0.001)  # 40 questions that do not differ
    assert parse.speed_ratio_ci == pytest.approx((1.0, 1.0))
    assert (parse.answers, parse.verdict) == (40, "accuracy not told apart, same speed")
    assert (target.speed_ratio, target.verdict) == (
        None,
        "accuracy not told apart",
    )  # the yardstick has no speed of its own
    assert differences(run(records), run(records)) == []


@pytest.mark.parametrize("machine", [1.3, 1 / 1.3])
def test_a_machine_of_another_speed_changes_nothing(machine: float) -> None:
    """Two runs of the same code were called faster: their seconds were compared, not their speeds over the target."""
    change = parse_of(many(30, 0.5, machine), many(30, 0.5))
    assert change.speed_ratio == pytest.approx(1.0)
    assert change.verdict == "accuracy not told apart, same speed"


@pytest.mark.parametrize("questions", [MIN_QUESTIONS, 40, 400])
def test_noise_alone_seldom_gives_a_verdict(questions: int) -> None:
    """About 1 in 20, for few questions as for many: of many, the drift of the ratio alone was called a change."""
    rng = np.random.default_rng(3)
    verdicts = [
        parse_of(noisy(rng, questions), noisy(rng, questions)).verdict for _ in range(120 if questions < 400 else 30)
    ]
    assert sum("faster" in verdict or "slower" in verdict for verdict in verdicts) <= 0.1 * len(verdicts)
    if questions < 400:
        assert not any("same" in verdict for verdict in verdicts)


def test_what_the_intervals_tell_from_no_change() -> None:
    change = parse_of(many(35, 0.5), many(20, 1.0, machine=0.1))
    assert change.accuracy_diff == pytest.approx(15 / 40)
    assert change.speed_ratio == pytest.approx(2.0)
    assert change.verdict == "better, faster"
    back = parse_of(many(20, 1.0), many(35, 0.5))
    assert (back.speed_ratio, back.verdict) == (pytest.approx(0.5), "worse, slower")


def test_what_lies_within_noise_is_not_told_apart() -> None:
    """One question of forty, and every second answer slower by as much as the others are faster."""
    noise = [replace(one, finished=one.finished * (1.2 if n % 2 else 0.8)) for n, one in enumerate(many(21, 1.0))]
    change = parse_of(noise, many(20, 1.0))
    assert change.accuracy_diff == pytest.approx(1 / 40)
    assert change.verdict.startswith("accuracy not told apart")
    assert "faster" not in change.verdict
    assert "slower" not in change.verdict


@pytest.mark.parametrize("without", [(True, False), (False, True), (True, True)])
def test_without_the_target_in_both_runs_there_is_no_verdict_on_speed(without: tuple[bool, bool]) -> None:
    runs = [
        run([one for one in records if one.method == "parse" or not drop])
        for records, drop in zip((many(35, 1.0), many(20, 0.5)), without, strict=True)
    ]
    changes = compare(*runs)
    assert (changes[-1].speed_ratio, changes[-1].verdict) == (None, "better")
    (said,) = remarks(changes)
    assert said.startswith("sums: no speeds are compared. That takes the target's own answers")


def test_times_that_do_not_compare_are_no_target_either() -> None:
    untimed = [replace(one, finished=None) for one in many(30, 0.5)]
    changes = compare(run(many(30, 0.5)), run(untimed))
    assert (changes[1].speed_ratio, changes[1].verdict) == (None, "accuracy not told apart")
    assert len(remarks(changes)) == 1


def test_too_few_questions_give_no_interval_and_no_verdict() -> None:
    few = [many(MIN_QUESTIONS - 1, speed, questions=MIN_QUESTIONS - 1) for speed in (0.1, 1.0)]
    change = parse_of(*few)
    assert (change.speed_ratio, change.accuracy_diff) == (pytest.approx(10.0), 0.0)
    assert (change.speed_ratio_ci, change.accuracy_diff_ci, change.verdict) == (None, None, "")
    (said,) = remarks([change])
    assert said.startswith("sums: fewer than 12 questions")
    enough = [many(MIN_QUESTIONS, speed, questions=MIN_QUESTIONS) for speed in (0.1, 1.0)]
    assert parse_of(*enough).verdict == "accuracy not told apart, faster"
    assert remarks([parse_of(*enough)]) == []


def test_a_task_without_a_key_is_compared_by_speed() -> None:
    unkeyed = [replace(one, grade=Grade(None)) for one in many(0, 0.5)]
    assert parse_of(unkeyed, unkeyed).verdict == "same speed"


@pytest.mark.parametrize(
    ("accuracy", "speed", "verdict"),
    [
        ((-0.01, 0.02), (0.96, 1.04), "same"),
        ((-0.01, 0.03), (0.6, 1.7), "not told apart"),
        ((-0.01, 0.01), (0.6, 1.7), "same accuracy, speed not told apart"),
        ((-0.1, 0.1), (0.98, 1.02), "accuracy not told apart, same speed"),
        ((-0.03, -0.01), (1.01, 1.03), "worse, same speed"),
        ((0.01, 0.3), (1.03, 1.2), "better, speed not told apart"),
        ((-0.01, 0.01), (1.06, 1.2), "same accuracy, faster"),
        ((-0.1, 0.1), (0.5, 0.94), "accuracy not told apart, slower"),
        (None, (0.6, 1.7), "speed not told apart"),
        ((0.0, 0.0), None, "same accuracy"),
        (None, None, ""),
    ],
)
def test_the_same_is_what_the_whole_interval_says(
    accuracy: tuple[float, float] | None, speed: tuple[float, float] | None, verdict: str
) -> None:
    """Two speeds of which one might be 1.7 times the other were called the same."""
    assert Change("sums", "parse", 40, 0.0, accuracy, 1.0, speed).verdict == verdict


def test_only_what_both_have_is_compared() -> None:
    other = [one for one in small_run() if one.method != "draft" and one.question != "q/3"]
    changes = compare(run(small_run()), run(other))
    assert [(change.method, change.answers) for change in changes] == [("target", 3), ("parse", 3)]


def test_as_plain_data_a_change_is_found_by_task_and_method() -> None:
    plain = json.loads(json.dumps(changes_to_plain(compare(run(small_run()), run(small_run())))))
    assert list(plain["sums"]) == ["target", "draft", "parse"]
    assert plain["sums"]["parse"]["verdict"] == ""  # four questions
    assert "task" not in plain["sums"]["parse"]


def test_circumstances_that_differ_are_listed() -> None:
    ours = run([], machine={"cpu": "Slide rule", "cores": 2}, versions={"parse-engine": "0.2.0"})
    theirs = run([], settings={**info()["settings"], "config": {"delta": 32}}, methods=["target"])
    theirs_data = {"sums": {**info()["tasks"]["sums"], "sha256": "f" * 64}}
    theirs = Run(theirs.directory, {**theirs.info, "tasks": theirs_data}, [])
    assert differences(ours, theirs) == [
        "machine.cpu: Abacus -> Slide rule",
        "versions.parse-engine: 0.1.0 -> 0.2.0",
        "versions.torch: 2.13.0 -> nothing",
        "settings.config.delta: 32 -> 16",
        f"tasks.sums.sha256: {'f' * 64} -> {'0123456789abcdef' * 4}",
        "methods: target -> target, draft, parse",
    ]


def test_another_time_or_load_is_no_difference() -> None:
    assert differences(run([]), run([], time="2026-06-01", load=7.0, figures=None, command="other")) == []

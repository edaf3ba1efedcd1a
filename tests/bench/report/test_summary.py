"""Every figure of the small run of samples.py, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parse_engine.bench.records import Record
from parse_engine.bench.report.summary import MethodSummary, summarize, to_plain
from parse_engine.trace import Seconds

from .samples import METHODS, record, small_run

OLD_KEYS = [
    "answers",
    "accuracy",
    "accuracy_diff",
    "accuracy_diff_ci",
    "tokens_per_s",
    "seconds_per_answer",
    "speed_ratio",
    "speed_ratio_ci",
    "throughput_ratio",
    "kept_share",
    "verify_passes",
    "draft_seconds",
    "verify_seconds",
    "continue_seconds",
    "overhead",
]


def figures(records: list[Record], method: str = "parse") -> MethodSummary:
    return summarize(records)["sums"][method]


def test_tasks_and_methods_keep_their_order_and_keys() -> None:
    plain = to_plain(summarize(small_run()))
    assert list(plain) == ["sums"]
    assert list(plain["sums"]) == list(METHODS)
    assert set(OLD_KEYS) <= plain["sums"]["parse"].keys()


def test_figures_worked_out_by_hand() -> None:
    """Seconds: target 2 + 4 + 6 + 8 = 20; parse 1.6 + 2.6 + 7.6 + 1.6 = 13.4. Tokens: 80 each."""
    parse = to_plain(summarize(small_run()))["sums"]["parse"]
    assert {key: parse[key] for key in ("answers", "ungraded", "gained", "lost", "judged", "categories")} == {
        "answers": 4,
        "ungraded": 0,
        "gained": 1,  # the third question
        "lost": 1,  # the fourth
        "judged": (0, 0, 0, 4, 0, 0, 0, 0, 0, 4),
        "categories": {},
    }
    shares = {
        "accuracy": 3 / 4,
        "accuracy_diff": 0.0,
        "mcnemar_p": 1.0,
        "unparsed": 1 / 4,
        "cut": 1 / 4,
        "mixed_wrong": 1 / 4,  # the fourth: target and draft are right
        "tokens_per_s": 80 / 13.4,
        "throughput_ratio": 20 / 13.4,
        "speed_ratio": 20 / 13.4,
        "seconds_per_answer": 13.4 / 4,
        "latency_p50": (1.6 + 2.6) / 2,
        "latency_p95": 2.6 + 0.85 * (7.6 - 2.6),  # between the third and the fourth of four: 0.95 * 3 = 2.85
        "latency_p99": 2.6 + 0.97 * (7.6 - 2.6),
        "ttft_mean": (3 * 1.5 + 1.7) / 4,
        "ttft_p50": 1.5,
        "ttft_p95": 1.5 + 0.85 * 0.2,
        "kept_share": 48 / 80,
        "computed_tokens": 101.5,
        "verify_passes": 1.0,
        "draft_seconds": 1.0,
        "verify_seconds": 0.5,
        "continue_seconds": 7 / 4,
        "overhead": 4 * 0.1 / 13.4,
        "total_rejections": 1 / 4,
        "rejection_seconds": 1.5,
        "rejection_cost": 1.5 / 13.4,
    }
    assert {key: parse[key] for key in shares} == pytest.approx(shares)
    assert parse["acceptance"] == (None, None, None, 3 / 4, None, None, None, None, None, 2 / 4)


def test_a_model_alone_has_no_drafts_to_reject_and_no_spliced_answers() -> None:
    for method in ("target", "draft"):
        alone = figures(small_run(), method)
        assert (alone.total_rejections, alone.rejection_seconds, alone.rejection_cost) == (None, None, None)
        assert (alone.acceptance, alone.judged, alone.mixed_wrong) == (None, None, None)
    assert figures([r for r in small_run() if r.method != "draft"]).mixed_wrong is None


def test_the_target_against_itself_differs_by_nothing() -> None:
    target = figures(small_run(), "target")
    assert (target.accuracy_diff, target.speed_ratio, target.throughput_ratio) == (0.0, 1.0, 1.0)
    assert (target.accuracy_diff_ci, target.speed_ratio_ci) == (None, None)  # four questions
    assert (target.gained, target.lost, target.mcnemar_p) == (0, 0, 1.0)


def test_pairs_are_found_by_question_and_turn_not_by_order() -> None:
    rights = [True, True, False, False] * 3
    target = [record(f"q/{n}", "target", right=right) for n, right in enumerate(rights)]
    parse = [record(f"q/{n}", "parse", right=right) for n, right in enumerate(rights)]
    reversed_ = figures([*target, *parse[::-1]])
    assert (reversed_.gained, reversed_.lost, reversed_.accuracy_diff_ci) == (0, 0, (0.0, 0.0))


def test_a_stopped_run_compares_what_both_have_answered() -> None:
    """Without the target's last two answers: 2 + 4 seconds against 1.6 + 2.6, all four right."""
    stopped = [r for r in small_run() if not (r.method == "target" and r.question in ("q/2", "q/3"))]
    parse = figures(stopped)
    assert (parse.answers, parse.accuracy, parse.accuracy_diff) == (4, 3 / 4, 0.0)
    assert parse.speed_ratio == parse.throughput_ratio == pytest.approx(6 / 4.2)
    assert (parse.gained, parse.lost) == (0, 0)


def test_answers_that_wait_for_their_grade_are_counted_and_left_out() -> None:
    waiting = [replace(r, grade=None) if r.key[1::2] == ("q/2", "parse") else r for r in small_run()]
    parse = figures(waiting)
    assert (parse.answers, parse.ungraded) == (3, 1)
    assert parse.accuracy == 2 / 3
    assert parse.speed_ratio == pytest.approx(14 / 5.8)
    assert parse.total_rejections == 0.0


def test_a_method_without_a_grade_yet_has_no_figures() -> None:
    waiting = figures([replace(r, grade=None) for r in small_run()])
    assert (waiting.answers, waiting.ungraded) == (0, 4)
    assert (waiting.accuracy, waiting.tokens_per_s, waiting.latency_p50, waiting.speed_ratio) == (None,) * 4


def test_a_task_without_a_key_has_a_similarity_and_no_accuracy() -> None:
    values = {"target": (-0.2, -0.4), "parse": (-0.5, -0.7)}
    plain = [
        record(f"q/{n}", method, right=None, similarity=value)
        for method, both in values.items()
        for n, value in enumerate(both)
    ]
    parse = figures(plain)
    assert (parse.accuracy, parse.accuracy_diff, parse.accuracy_diff_ci, parse.mcnemar_p, parse.unparsed) == (None,) * 5
    assert parse.similarity == pytest.approx(-0.6)
    assert parse.speed_ratio == 1.0


def test_categories() -> None:
    rows = [("q/0", "algebra", True), ("q/1", "algebra", False), ("q/2", "law", True)]
    records = [record(q, "target", category=c, seconds=Seconds(total=3.0)) for q, c, _ in rows]
    records += [record(q, "parse", category=c, right=right, seconds=Seconds(total=1.5)) for q, c, right in rows]
    assert to_plain(summarize(records))["sums"]["parse"]["categories"] == {
        "algebra": {"answers": 2, "accuracy": 0.5, "speed_ratio": 2.0},
        "law": {"answers": 1, "accuracy": 1.0, "speed_ratio": 2.0},
    }


def test_throughput_counts_the_time_of_a_batch_once() -> None:
    """Two answers in flight, done after 3 and 4 seconds: 20 tokens in 4 seconds, though each took longer than 2."""
    both = [
        record(f"q/{n}", "parse", batch=1, finished=end, seconds=Seconds(total=end)) for n, end in enumerate((3.0, 4.0))
    ]
    assert figures(both).tokens_per_s == 5.0
    assert figures(both).seconds_per_answer == 3.5


def test_turns_of_a_question_are_paired_one_by_one() -> None:
    """Right at the first turn only, against right at the second only: one gained, one lost."""
    records = [
        record("q/0", method, turn=turn, right=turn == (method == "parse"))
        for method in ("target", "parse")
        for turn in (0, 1)
    ]
    parse = figures(records)
    assert (parse.answers, parse.gained, parse.lost) == (2, 1, 1)
    assert parse.accuracy_diff_ci is None  # one question


def test_tokens_that_equal_the_targets_choice_do_not_make_a_rejection_less_total() -> None:
    """A rejected draft of which such tokens were kept did not count."""
    rejected = [
        record(f"q/{n}", "parse", drafted=20, kept=kept, boundaries=((10, False), (20, False)))
        for n, kept in enumerate((0, 3))
    ]
    assert summarize(rejected)["sums"]["parse"].total_rejections == 1.0

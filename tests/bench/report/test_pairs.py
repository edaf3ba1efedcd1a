from __future__ import annotations

import pytest

from parse_engine.bench.records import Record
from parse_engine.bench.report.pairs import MIN_BATCHES, MIN_QUESTIONS, group, paired, speed_groups
from parse_engine.bench.report.summary import summarize
from parse_engine.trace import Seconds

from .samples import record


def batched(batches: int, size: int, slow: float = 2.0) -> list[Record]:
    """Every second batch takes the target `slow` times as long, the others as long as the method."""
    records = []
    for batch in range(batches):
        for n in range(size):
            question = f"q/{batch * size + n}"
            end = slow if batch % 2 else 1.0
            records.append(record(question, "target", batch=2 * batch, finished=end, seconds=Seconds(total=end)))
            records.append(record(question, "parse", batch=2 * batch + 1, finished=1.0, seconds=Seconds(total=1.0)))
    return records


def sizes(records: list[Record]) -> list[int]:
    methods = group(records)["sums"]
    groups = speed_groups(paired(methods["parse"], methods["target"]))
    assert groups is not None
    return sorted(groups.count(one) for one in set(groups))


def test_a_speed_is_resampled_by_batch() -> None:
    assert sizes(batched(MIN_BATCHES, 8)) == [8] * MIN_BATCHES


def test_few_batches_say_nothing() -> None:
    """Answers of one batch have equal shares of its time: by question the interval would be far too narrow."""
    records = batched(MIN_BATCHES - 1, 8)
    methods = group(records)["sums"]
    assert speed_groups(paired(methods["parse"], methods["target"])) is None
    figures = summarize(records)["sums"]["parse"]
    assert figures.speed_ratio == pytest.approx(1.5)
    assert figures.speed_ratio_ci is None


def test_answers_that_come_alone_are_resampled_by_question_with_all_its_turns() -> None:
    """Three turns of twelve questions, each in a batch of its own."""
    records = [
        record(f"q/{question}", method, turn=turn, batch=100 * question + 10 * turn + number)
        for question in range(MIN_QUESTIONS)
        for turn in (0, 1, 2)
        for number, method in enumerate(("target", "parse"))
    ]
    assert sizes(records) == [3] * MIN_QUESTIONS


def test_batches_that_share_questions_are_drawn_together() -> None:
    """A run that was stopped and resumed: the target's questions 0 and 1 came in one batch, the method's in two."""
    records = []
    for question in range(12):
        pair = question // 2
        records.append(record(f"q/{question}", "target", batch=pair))
        records.append(record(f"q/{question}", "parse", batch=100 + (question if pair == 0 else pair + 10)))
    assert sizes(records) == [2] * 6


def test_batches_make_the_interval_as_wide_as_it_is() -> None:
    """Of eight batches half are twice as fast. By question, 64 answers would seem to tell far more than 8 batches."""
    wide = summarize(batched(8, 8))["sums"]["parse"]
    narrow = summarize(batched(64, 1))["sums"]["parse"]
    assert wide.speed_ratio == narrow.speed_ratio == 1.5
    assert wide.speed_ratio_ci is not None
    assert narrow.speed_ratio_ci is not None
    width, narrow_width = (high - low for low, high in (wide.speed_ratio_ci, narrow.speed_ratio_ci))
    assert 2 < width / narrow_width < 4  # the square root of 8

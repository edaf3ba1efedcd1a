from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from parse_engine import SamplingParams
from parse_engine.bench.records import Record, append, published, read_records, wall_seconds, write_records
from parse_engine.bench.tasks import Grade
from parse_engine.errors import DataError

from .fakes import FakeLineup

LINEUP = FakeLineup({"target": "from target", "parse": "sécret\u2028answer"}, warnings=("mind this",))


def record(question: str = "fake/0", method: str = "parse", batch: int = 0, finished: float = 2.0) -> Record:
    answer = asyncio.run(LINEUP.answer(method, [{"role": "user", "content": "secret prompt"}], SamplingParams()))
    return Record(
        task="fake",
        question=question,
        category="sums",
        method=method,
        batch=batch,
        finished=finished,
        prompt="secret prompt",
        answer=answer,
    )


def test_a_record_survives_the_file(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    ungraded = record()
    graded = replace(ungraded, grade=Grade(False, parsed=False), similarity=-0.5)
    other = record("fake/1", "target")
    for each in (ungraded, other, graded):
        append(file, each)
    assert read_records(file) == [graded, other]  # of two with one key the last counts
    write_records(file, [other])
    assert read_records(file) == [other]


def test_a_line_that_was_cut_off_is_left_out_and_a_broken_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    append(file, record())
    with file.open("a") as lines:
        lines.write('{"task": "fake", "que')
    assert len(read_records(file)) == 1
    with file.open("a") as lines:
        lines.write("\n")
    with pytest.raises(DataError, match="is not a file of records"):
        read_records(file)
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path / "none")


def test_what_is_published_has_the_answer_and_no_prompt() -> None:
    kept = published(record())
    assert "secret" not in json.dumps(kept.to_dict(), ensure_ascii=False)
    assert kept.answer.text == "sécret\u2028answer"
    assert kept.answer.trace.seconds == record().answer.trace.seconds
    assert (kept.category, kept.answer.trace.warnings) == ("sums", ("mind this",))


def test_answers_in_flight_together_share_their_batchs_time() -> None:
    records = [
        record("0", finished=1.0),
        record("1", finished=4.0),
        record("2", batch=1, finished=3.0),
        record("0", "target", finished=10.0),
    ]
    assert wall_seconds(records) == [2.0, 2.0, 3.0, 10.0]

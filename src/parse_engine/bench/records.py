"""One record per answer, with its whole trace; a run is the list of its records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from parse_engine.bench.tasks.base import Grade
from parse_engine.errors import DataError
from parse_engine.files import write_atomically
from parse_engine.trace import Answer

ANSWERS_FILE = "answers.jsonl"
RUN_FILE = "run.json"
UNPUBLISHED = frozenset({"gpqa"})
"""Tasks whose authors ask that they not be put where crawlers find them. An answer repeats parts of its question."""


def run_files(place: Path) -> tuple[Path, Path]:
    """The description and the records of a run: in its directory, or published as FILE.json and records/FILE.jsonl."""
    if place.suffix == ".json":
        return place, place.parent / "records" / f"{place.stem}.jsonl"
    return place / RUN_FILE, place / ANSWERS_FILE


@dataclass(frozen=True, kw_only=True)
class Record:
    """One answer of one method to one turn of a question."""

    task: str
    question: str
    """The question's id."""
    turn: int = 0
    category: str = ""
    method: str
    batch: int = 0
    """Answers of one batch were in flight together; each batch belongs to one task and one method."""
    finished: float | None
    """Seconds from the start of the batch to the end of this answer; None where times do not compare: in a batch that
    was stopped and resumed, and in a run for accuracy alone."""
    grade: Grade | None = None
    """None until the answer is graded, which happens between batches."""
    similarity: float | None = None
    """Where the task has no key: the target's mean log-likelihood of the answer, in nats per token."""
    prompt: str = ""
    """What the user said; empty in published records, as are the texts of the draft."""
    answer: Answer

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What there is one record of in a run."""
        return self.task, self.question, self.turn, self.method

    def to_dict(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "question": self.question,
            "turn": self.turn,
            "category": self.category,
            "method": self.method,
            "batch": self.batch,
            "finished": self.finished,
            "grade": None if self.grade is None else {"right": self.grade.right, "parsed": self.grade.parsed},
            "similarity": self.similarity,
            "prompt": self.prompt,
            **self.answer.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        names = ("task", "question", "turn", "category", "method", "batch", "finished", "similarity", "prompt")
        grade = None if values["grade"] is None else Grade(**values["grade"])
        return cls(**{name: values[name] for name in names}, grade=grade, answer=Answer.from_dict(values))


def published(record: Record) -> Record:
    """What of a record is for everyone: what was measured, and the answer, so that others can grade it; no prompt and
    no draft."""
    trace = replace(record.answer.trace, draft_text="", committed_text="", boundary_offsets=())
    text = "" if record.task in UNPUBLISHED else record.answer.text
    return replace(record, prompt="", answer=replace(record.answer, text=text, thinking=None, trace=trace))


def read_records(path: Path) -> list[Record]:
    """The records of a file, in its order; of several with one key the last counts.

    A last line that was cut off, as when a run is killed, is left out.

    Raises:
        DataError: the file is missing or broken.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Give the directory of a run.") from None
    try:
        records = [Record.from_dict(json.loads(line)) for line in lines[:-1]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a file of records ({type(error).__name__}: {error}).") from None
    return list({record.key: record for record in records}.values())


def append(path: Path, record: Record) -> None:
    """Add one record to a file."""
    with path.open("a", encoding="utf-8") as lines:
        lines.write(_line(record))


def _line(record: Record) -> str:
    return json.dumps(record.to_dict(), ensure_ascii=False) + "\n"


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write a file of records in one go: it is there whole, or as it was before."""
    write_atomically(path, "".join(_line(record) for record in records))


def wall_seconds(records: Sequence[Record]) -> list[float | None]:
    """Seconds that each answer took of its method's time: the time of its batch, shared equally by its answers.

    Answers that come one at a time take their own; those in flight together do not each count all of it.
    """
    ends: dict[tuple[str, str, int], list[float]] = {}
    for record in records:
        if record.finished is not None:
            ends.setdefault((record.task, record.method, record.batch), []).append(record.finished)
    shares = {batch: max(finished) / len(finished) for batch, finished in ends.items()}
    return [None if record.finished is None else shares[record.task, record.method, record.batch] for record in records]

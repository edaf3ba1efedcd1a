"""A run as it lies in its directory, finished or not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parse_engine.bench.records import Record, read_records, run_files
from parse_engine.errors import DataError

NEEDED = ("command", "time", "versions", "machine", "settings", "methods")


@dataclass(frozen=True)
class Run:
    """Where a run comes from, and its records: methods in the order in which they were given."""

    directory: Path
    info: Mapping[str, Any]
    """The content of run.json."""
    records: Sequence[Record]

    @property
    def finished(self) -> bool:
        """A run that was stopped has no figures of its own."""
        return "figures" in self.info

    @property
    def progress(self) -> str:
        """How far a run is: questions answered by a method, of those that the methods were to answer."""
        answered = {(record.task, record.question, record.method) for record in self.records}
        questions = sum(task["questions"] for task in self.info.get("tasks", {}).values())
        of_all = f" of {questions * len(self.info['methods'])}" if questions else ""
        return f"{len(answered)}{of_all} answers are there"


def load_run(directory: Path) -> Run:
    """Read a run's directory, or a published run (FILE.json).

    Raises:
        DataError: it is not the directory of a run, a file is broken, or nothing is answered yet.
    """
    path, answers = run_files(directory)
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        missing = [key for key in NEEDED if key not in info]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Give the directory of a run.") from None
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is not a run's description: {error}. Give the directory of a run.") from None
    if missing:
        raise DataError(f"{path} has no '{missing[0]}'. Give the directory of a run of this version.")
    records = read_records(answers)
    if not records:
        raise DataError(f"no question is answered yet in {directory}. Let the run go on.")
    order = {method: number for number, method in enumerate(info["methods"])}
    return Run(directory, info, sorted(records, key=lambda record: order.get(record.method, len(order))))

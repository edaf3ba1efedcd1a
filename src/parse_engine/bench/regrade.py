"""Grading again: the answers of a run are kept, so that better graders can judge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from parse_engine.bench.provenance import describe, describe_task, hold, write_json
from parse_engine.bench.records import RUN_FILE, Record, run_files, write_records
from parse_engine.bench.report.load import Run, load_run
from parse_engine.bench.report.summary import summarize, to_plain
from parse_engine.bench.run import progress_bar
from parse_engine.bench.tasks import Grade, Question, Task, load_task
from parse_engine.errors import ConfigError, DataError, did_you_mean


@dataclass(frozen=True)
class Regraded:
    """What today's graders change of the answers of one method to one task."""

    answers: int
    """Those with a key."""
    right_before: int
    right: int
    now_right: int
    """Answers that were wrong."""
    now_wrong: int
    """Answers that were right."""

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


Verdicts = dict[str, dict[str, Regraded]]
"""Task -> method -> what has changed."""


def regrade(place: Path, tasks: Sequence[str] | None = None) -> Verdicts:
    """Grade the answers of a run again, and write its records and figures anew; a progress bar goes to stderr.

    What the grades were before is added to the run's description, under `regraded`. Answers that wait for their first
    grade go on waiting, and a run that is not finished gets no figures.

    Args:
        place: the directory of a run, or a published run (FILE.json).
        tasks: names of the run's tasks, or paths where they are files; not given: all of the run.

    Raises:
        ConfigError: a task is not one of the run, another command writes to it, or it cannot be written.
        DataError: there is no run, it holds no texts of answers, or they answer other questions than today's.
    """
    if tasks is not None and not tasks:
        raise ConfigError("no task given; name at least one.")
    with hold(place) if (place / RUN_FILE).is_file() else nullcontext():
        run = load_run(place)
        loaded = [load_task(name) for name in tasks or dict.fromkeys(record.task for record in run.records)]
        questions = {task.name: _questions(run, task) for task in loaded}
        regraded = _grade(run.records, {task.name: task for task in loaded}, questions)
        pairs = list(zip(run.records, regraded, strict=True))
        before = [_grade_of(old) for old, new in pairs if old.grade != new.grade]
        info = {**run.info, "regraded": [*run.info.get("regraded", ()), {**describe(), "before": before}]}
        if run.finished:
            info["figures"] = to_plain(summarize(regraded))
        description, answers = run_files(place)
        write_records(answers, regraded)
        write_json(description, info)
    return _verdicts([(old, new) for old, new in pairs if old.task in questions])


def _questions(run: Run, task: Task) -> Mapping[str, Question]:
    """The task's questions by id, which must be those that the run has answered."""
    records = [record for record in run.records if record.task == task.name]
    if not records:
        known = list(dict.fromkeys(record.task for record in run.records))
        hint = did_you_mean(task.name, known)
        raise ConfigError(f"{run.directory} has no task '{task.name}'.{hint} Its tasks: {', '.join(known)}.")
    if not any(record.answer.text for record in records):
        raise DataError(
            f"the records of {run.directory} hold no texts of answers to {task.name}, so nothing can be graded again. "
            "Give the directory of the run itself."
        )
    described: Mapping[str, Any] | None = run.info.get("tasks", {}).get(task.name)
    asked = task.questions(described["questions"] if described else None)
    questions = {question.id: question for question in asked}
    prompts = [
        (record.prompt, questions[record.question].turns[record.turn : record.turn + 1])
        for record in records
        if record.question in questions
    ]
    if any(prompt for prompt, _ in prompts):
        same = all((prompt,) == turn for prompt, turn in prompts)
    else:  # published records hold no prompts
        same = described is None or describe_task(task, asked)["sha256"] == described["sha256"]
    if not same or len(prompts) < len(records):
        raise DataError(
            f"{run.directory} holds answers to other questions of {task.name} than today's: its data or its version "
            "has changed since. Grade them with the version that asked them."
        )
    return questions


def _grade(
    records: Sequence[Record], tasks: Mapping[str, Task], questions: Mapping[str, Mapping[str, Question]]
) -> list[Record]:
    """The same records with today's grades, as `bench.run` gives them: only the last turn has a key, if any."""
    graded = []
    with progress_bar() as progress:
        for record in progress.track(records, description="grading"):
            if record.task in tasks and record.grade is not None:
                question = questions[record.task][record.question]
                last = record.turn == len(question.turns) - 1
                grade = tasks[record.task].grade(question, record.answer.text) if last else Grade(None)
                record = replace(record, grade=grade)
            graded.append(record)
    return graded


def _grade_of(record: Record) -> dict[str, Any]:
    values = record.to_dict()
    return {name: values[name] for name in ("task", "question", "turn", "method", "grade")}


def _verdicts(pairs: Sequence[tuple[Record, Record]]) -> Verdicts:
    verdicts: Verdicts = {}
    for task, method in dict.fromkeys((old.task, old.method) for old, _ in pairs):
        rights = [
            (old.grade.right, new.grade.right)
            for old, new in pairs
            if (old.task, old.method) == (task, method) and old.grade and new.grade and new.grade.right is not None
        ]
        verdicts.setdefault(task, {})[method] = Regraded(
            answers=len(rights),
            right_before=sum(before is True for before, _ in rights),
            right=sum(now is True for _, now in rights),
            now_right=sum(not before and now is True for before, now in rights),
            now_wrong=sum(before is True and not now for before, now in rights),
        )
    return verdicts

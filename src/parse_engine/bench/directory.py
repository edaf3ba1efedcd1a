"""A run that answers are put into: in memory, and with a directory also on disk, where it can go on and grow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from parse_engine.backends.base import Model
from parse_engine.bench.batches import Block, add_blocks
from parse_engine.bench.provenance import check_same, describe, describe_task, open_folder, with_models, write_json
from parse_engine.bench.records import ANSWERS_FILE, RUN_FILE, Record, append, read_records, write_records
from parse_engine.bench.tasks.base import Question, Task
from parse_engine.config import SamplingParams
from parse_engine.errors import ConfigError

SAME = ("settings", "params")  # what a run that goes on must have in common with its start

Key = tuple[str, str, int, str]


@dataclass(frozen=True)
class Run:
    """What is to be answered, and what has been: in memory, and with a directory also on disk."""

    tasks: Sequence[Task]
    methods: Sequence[str]
    questions: Mapping[str, Sequence[Question]]
    """Task -> questions."""
    params: SamplingParams
    concurrency: int
    timed: bool
    """Whether times compare; they do not where methods share what they have in common."""
    info: dict[str, Any]
    """Plain data: where the run comes from."""
    output: Path | None
    records: dict[Key, Record]

    def add(self, record: Record) -> None:
        self.records[record.key] = record
        if self.output is not None:
            append(self.output / ANSWERS_FILE, record)

    @property
    def blocks(self) -> Mapping[str, Sequence[Block]]:
        """Task -> how its questions are cut into batches."""
        blocks: Mapping[str, Sequence[Block]] = self.info["batches"]
        return blocks

    def note(self, **facts: Any) -> None:
        """Add to where the run comes from."""
        self.info.update(facts)
        if self.output is not None:
            write_json(self.output / RUN_FILE, self.info)


@contextmanager
def open_run(
    tasks: Sequence[Task],
    methods: Sequence[str],
    limit: int | None = None,
    params: SamplingParams | None = None,
    output: Path | None = None,
    *,
    concurrency: int = 1,
    timed: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Run]:
    """A run of the first `limit` questions of every task; nothing is answered yet.

    With `output` the run is kept there, or the one that is there goes on: answers that were given are not given again,
    and there may be more methods, tasks and questions than before. Nobody else can write there meanwhile. `settings` is
    plain data: models, config.

    Raises:
        ConfigError: methods, tasks or limit are not usable, or `output` holds another run, is in use, or cannot be
            written.
        DataError: a task's data is missing or broken.
    """
    _check_names("method", methods)
    _check_names("task", [task.name for task in tasks])
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}; it must be at least 1.")
    params = params or SamplingParams()
    params = replace(params, max_tokens=params.most_tokens)  # one limit for all methods, whatever room they have
    questions = {task.name: task.questions(limit) for task in tasks}
    info = {
        **describe(),
        "settings": dict(settings or {}),
        "params": asdict(params),
        "methods": list(methods),
        "tasks": {task.name: describe_task(task, questions[task.name]) for task in tasks},
        "batches": add_blocks({}, {task: len(asked) for task, asked in questions.items()}, concurrency),
    }
    if output is None:
        yield Run(tasks, methods, questions, params, concurrency, timed, info, None, {})
        return
    with open_folder(output / RUN_FILE, info, SAME) as known:
        run = Run(tasks, methods, questions, params, concurrency, timed, known, output, {})
        _grow(run, output, info)
        if (file := output / ANSWERS_FILE).exists():
            run.records.update({record.key: record for record in read_records(file)})
            write_records(file, run.records.values())  # without a line that was cut off
        yield run


def _grow(run: Run, folder: Path, now: Mapping[str, Any]) -> None:
    """Let the run that is there become what is asked for now.

    Raises:
        ConfigError: it has more methods, tasks or questions than that, or other questions.
    """
    known: Mapping[str, Mapping[str, Any]] = run.info["tasks"]
    lacking = [f"the method {method}" for method in run.info["methods"] if method not in run.methods]
    lacking += [f"the task {task}" for task in known if task not in run.questions]
    for task in run.tasks:
        before, asked = known.get(task.name), run.questions[task.name]
        if before is None:
            continue
        if before["questions"] > len(asked):
            lacking.append(f"{before['questions']} questions of {task.name}, not {len(asked)}")
        elif describe_task(task, asked[: before["questions"]]) != before:
            raise ConfigError(
                f"{folder} holds answers to other questions of {task.name}: its data or its version has changed since. "
                "Give another directory."
            )
    if lacking:
        raise ConfigError(
            f"{folder} holds more than is asked for here: {', '.join(lacking)}. A run can grow, not shrink: ask for "
            "these too, or give another directory."
        )
    sizes = {task: len(asked) for task, asked in run.questions.items()}
    blocks = add_blocks(run.info.get("batches", {}), sizes, run.concurrency)
    run.note(command=now["command"], methods=now["methods"], tasks=now["tasks"], batches=blocks)


def note_models(run: Run, target: Model, drafter: Model | None) -> None:
    """Say which models answer, and how many threads compute them.

    Raises:
        ConfigError: the run that goes on has answers of others.
    """
    known: Mapping[str, Mapping[str, Any]] = run.info.get("models", {})
    loaded = with_models(run.info, target, drafter)
    models = loaded["models"]
    if run.output is not None:
        shared = [role for role in known if role in models]
        before, now = (
            {f"{role} fingerprint": each[role]["fingerprint"] for role in shared} for each in (known, models)
        )
        check_same(run.output, before, now)
    machine = run.info["machine"] if run.records else loaded["machine"]
    run.note(models={**known, **models}, machine=machine)


def _check_names(what: str, names: Sequence[str]) -> None:
    if not names:
        raise ConfigError(f"no {what} given; name at least one.")
    if len(set(names)) < len(names):
        raise ConfigError(f"a {what} is named twice in '{','.join(names)}'; name each one once.")

"""A bench run: every method answers every question, interleaved, so that a drift of the machine hits all alike.

A run is a directory: `answers.jsonl` gets a record as soon as an answer is there, and the same once more with its grade
(of two with one key the last counts); `run.json` says where it comes from. A run that was killed goes on there.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from parse_engine.bench.provenance import describe, describe_task, open_folder, peak_memory, write_json
from parse_engine.bench.records import ANSWERS_FILE, RUN_FILE, Record, append, read_records, write_records
from parse_engine.bench.report.summary import Summary, summarize, to_plain
from parse_engine.bench.tasks.base import Grade, Question, Task
from parse_engine.config import SamplingParams
from parse_engine.engine import cancel
from parse_engine.errors import ConfigError, PromptError
from parse_engine.trace import Answer

if TYPE_CHECKING:
    from parse_engine.text import Message

SAME = ("settings", "params", "methods", "tasks")  # what a run that goes on must have in common with its start

Key = tuple[str, str, int, str]


class Answers(Protocol):
    """What a run asks of a line-up."""

    def check(self, method: str, messages: Sequence[Message], params: SamplingParams) -> None:
        """Refuse a conversation that does not fit the method's models.

        Raises:
            PromptError: so it is.
        """

    async def answer(self, method: str, messages: Sequence[Message], params: SamplingParams) -> Answer:
        """Answer a conversation by a method."""

    async def similarity(self, messages: Sequence[Message], text: str) -> float | None:
        """The target's mean log-likelihood of an answer, in nats per token."""

    async def forget(self) -> bool:
        """Empty the prefix caches; whether all could be emptied."""


@dataclass(frozen=True)
class Batch:
    """Questions that one method answers in one go."""

    task: Task
    questions: Sequence[Question]
    method: str


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

    def note(self, **facts: Any) -> None:
        """Add to where the run comes from."""
        self.info.update(facts)
        if self.output is not None:
            write_json(self.output / RUN_FILE, self.info)


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
) -> Run:
    """A run of the first `limit` questions of every task; nothing is answered yet.

    With `output` the run is kept there, or the one that is there goes on: answers that were given are not given again.
    `settings` is plain data: models, config.

    Raises:
        ConfigError: methods, tasks or limit are not usable, or `output` holds another run or cannot be written.
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
    }
    records: dict[Key, Record] = {}
    if output is not None:
        info = open_folder(output / RUN_FILE, info, SAME)
        if (file := output / ANSWERS_FILE).exists():
            records = {record.key: record for record in read_records(file)}
            write_records(file, records.values())  # without a line that was cut off
    return Run(tasks, methods, questions, params, concurrency, timed, info, output, records)


async def answer(run: Run, lineup: Answers) -> Summary:
    """Let every method answer every question of the run that it has not answered yet, and summarize.

    Each method answers one question before the clock counts, and no batch finds anything of its questions in the
    models' prefix caches. The methods take turns question by question; with more answers in flight, at batches. Who
    goes first rotates if the run is timed; else they keep their order, so that a method that goes early can write
    what others share. Grading happens between batches and is not timed. Questions that do not fit the models of every
    method are left out for all. A progress bar goes to stderr.
    """
    fitting, left_out = _fitting(run, lineup)
    for task, ids in left_out.items():
        print(
            f"warning: {len(ids)} questions of {task} do not fit the models' context and are left out", file=sys.stderr
        )
    size = _batch_size(sum(map(len, fitting.values())), run.concurrency)
    parts = [(task, part) for task in run.tasks for part in _parts(fitting[task.name], size)]
    batches = list(interleave(parts, run.methods, rotating=run.timed))
    wanted = [key for batch in batches for question in batch.questions for key in _keys(batch, question)]
    if not wanted:
        raise ConfigError("no question fits the models' context with so many max_tokens. Set max_tokens lower.")
    run.note(left_out=left_out)
    if any(key not in run.records for key in wanted):
        if run.records:
            here = {part: value for part, value in describe().items() if part != "command"}
            run.note(resumed=[*run.info.get("resumed", []), here])
        await _answer_all(run, lineup, batches, wanted)
    records = sorted((run.records[key] for key in wanted), key=lambda record: run.methods.index(record.method))
    summary = summarize(records)
    if run.output is not None:
        write_records(run.output / ANSWERS_FILE, records)
    run.note(peak_memory_bytes=peak_memory(), figures=to_plain(summary))
    return summary


def _fitting(run: Run, lineup: Answers) -> tuple[dict[str, list[Question]], dict[str, list[str]]]:
    """The questions that every method has room for, and the ids of the others."""
    fitting: dict[str, list[Question]] = {}
    left_out: dict[str, list[str]] = {}
    for task, questions in run.questions.items():
        for question in questions:
            try:
                for method in run.methods:
                    lineup.check(method, _messages(question, []), run.params)
                fitting.setdefault(task, []).append(question)
            except PromptError:
                left_out.setdefault(task, []).append(question.id)
    return {task: fitting.get(task, []) for task in run.questions}, left_out


def _batch_size(questions: int, concurrency: int) -> int:
    """Questions in a batch: two to four times the answers in flight, so that filling and draining weigh little, and
    that there are enough batches to compare."""
    return 1 if concurrency == 1 else min(4 * concurrency, max(2 * concurrency, questions // 6))


def interleave(
    parts: Sequence[tuple[Task, Sequence[Question]]], methods: Sequence[str], *, rotating: bool
) -> Iterator[Batch]:
    """Part by part, every method; who goes first rotates from part to part if it is `rotating`."""
    for number, (task, questions) in enumerate(parts):
        first = number % len(methods) if rotating else 0
        for method in [*methods[first:], *methods[:first]]:
            yield Batch(task, questions, method)


def _parts(questions: Sequence[Question], size: int) -> Iterator[Sequence[Question]]:
    for start in range(0, len(questions), size):
        yield questions[start : start + size]


def _keys(batch: Batch, question: Question) -> list[Key]:
    return [(batch.task.name, question.id, turn, batch.method) for turn in range(len(question.turns))]


async def _answer_all(run: Run, lineup: Answers, batches: Sequence[Batch], wanted: Sequence[Key]) -> None:
    """Answer and grade what is not there. The first warning of each method is shown; the records keep all."""
    warned: set[str] = set()
    number = 1 + max((record.batch for record in run.records.values()), default=-1)
    with progress_bar() as progress:
        done = sum(key in run.records for key in wanted)
        bar = progress.add_task("warming up" if run.timed else "", total=len(wanted), completed=done)
        for method in run.methods if run.timed else ():
            await lineup.answer(method, _messages(batches[0].questions[0], []), run.params)
        if not await lineup.forget():
            run.note(caches_emptied=False)
            progress.console.print("warning: a server keeps its prefix cache, which helps the method that comes later")
        for batch in batches:
            for turn in range(max(len(question.turns) for question in batch.questions)):
                asked = [question for question in batch.questions if turn < len(question.turns)]
                progress.update(bar, description=f"{batch.task.name} {batch.method}")
                part = replace(batch, questions=asked)
                for record in await _answer_batch(run, lineup, part, turn, number, lambda: progress.advance(bar)):
                    if record.answer.trace.warnings and record.method not in warned:
                        warned.add(record.method)
                        text = f"warning: method {record.method}: {record.answer.trace.warnings[0]}"
                        progress.console.print(text, markup=False)
                number += 1
                await _grade(run, lineup, part, turn)


async def _answer_batch(
    run: Run, lineup: Answers, batch: Batch, turn: int, number: int, advance: Callable[[], None]
) -> list[Record]:
    """One turn of the batch's questions, as many at a time as may be in flight; the new records."""
    keys = {question.id: (batch.task.name, question.id, turn, batch.method) for question in batch.questions}
    asked = [question for question in batch.questions if keys[question.id] not in run.records]
    if not asked:
        return []
    whole = len(asked) == len(batch.questions)
    timed = run.timed and whole
    if not whole:  # the batch was stopped half-way: its answers count, their times do not compare
        for key in keys.values():
            if key in run.records and run.records[key].finished is not None:
                run.add(replace(run.records[key], finished=None))
    await lineup.forget()
    room = asyncio.Semaphore(run.concurrency)
    began = time.perf_counter()

    async def answer_one(question: Question) -> Record:
        async with room:
            messages = _messages(question, _said(run, batch, question, turn))
            given = await lineup.answer(batch.method, messages, run.params)
        record = Record(
            task=batch.task.name,
            question=question.id,
            turn=turn,
            category=question.category,
            method=batch.method,
            batch=number,
            finished=time.perf_counter() - began if timed else None,
            prompt=question.turns[turn],
            answer=given,
        )
        run.add(record)
        advance()
        return record

    running = [asyncio.create_task(answer_one(question)) for question in asked]
    try:
        return await asyncio.gather(*running)
    finally:
        await cancel(running)


async def _grade(run: Run, lineup: Answers, batch: Batch, turn: int) -> None:
    """Grade what is not graded yet. Only the last turn has a key, if any."""
    for question in batch.questions:
        record = run.records[batch.task.name, question.id, turn, batch.method]
        if record.grade is not None:
            continue
        last = turn == len(question.turns) - 1
        grade = batch.task.grade(question, record.answer.text) if last else Grade(None)
        similarity = None
        if grade.right is None and record.answer.text:
            messages = _messages(question, _said(run, batch, question, turn))
            similarity = await lineup.similarity(messages, record.answer.text)
        run.add(replace(record, grade=grade, similarity=similarity))


def _said(run: Run, batch: Batch, question: Question, turn: int) -> list[str]:
    """The method's own answers to the turns before."""
    before = [(batch.task.name, question.id, earlier, batch.method) for earlier in range(turn)]
    return [run.records[key].answer.text for key in before]


def _messages(question: Question, said: Sequence[str]) -> list[Message]:
    """The conversation up to the user's turn that follows the answers `said`."""
    messages: list[Message] = []
    for turn, answer in zip(question.turns, said, strict=False):
        messages += [{"role": "user", "content": turn}, {"role": "assistant", "content": answer}]
    return [*messages, {"role": "user", "content": question.turns[len(said)]}]


def progress_bar() -> Progress:
    """On stderr, with an estimate of the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    times = (TimeElapsedColumn(), TextColumn("left"), TimeLeftColumn())
    return Progress(*columns, *times, console=Console(stderr=True), refresh_per_second=1, speed_estimate_period=3600)


def _check_names(what: str, names: Sequence[str]) -> None:
    if not names:
        raise ConfigError(f"no {what} given; name at least one.")
    if len(set(names)) < len(names):
        raise ConfigError(f"a {what} is named twice in '{','.join(names)}'; name each one once.")

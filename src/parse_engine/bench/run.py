"""A bench run: every method answers every question, interleaved, so that a drift of the machine hits all alike.

A run is a directory: `answers.jsonl` gets a record as soon as an answer is there, and the same once more with its grade
(of two with one key the last counts); `run.json` says where it comes from. A run that was killed goes on there, and one
that has ended can grow: by questions, methods or tasks.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from parse_engine.backlog import cancel
from parse_engine.bench.batches import Batch, cut, interleave
from parse_engine.bench.directory import Key, Run, note_models
from parse_engine.bench.provenance import describe, peak_memory
from parse_engine.bench.records import ANSWERS_FILE, Record, write_records
from parse_engine.bench.report.summary import Summary, summarize, to_plain
from parse_engine.bench.tasks.base import Grade, Question
from parse_engine.config import SamplingParams
from parse_engine.errors import ConfigError, PromptError
from parse_engine.trace import Answer

if TYPE_CHECKING:
    from parse_engine.backends.base import Model
    from parse_engine.text import Message


class Answers(Protocol):
    """What a run asks of a line-up."""

    @property
    def target(self) -> Model:
        """The plain target."""

    @property
    def drafter(self) -> Model | None: ...

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


async def answer(run: Run, lineup: Answers) -> Summary:
    """Let every method answer every question of the run that it has not answered yet, and summarize.

    Each method answers one question before the clock counts, and no batch finds anything of its questions in the
    models' prefix caches. The methods take turns question by question; with more answers in flight, at batches. Who
    goes first rotates if the run is timed; else they keep their order, so that a method that goes early can write
    what others share. Grading happens between batches and is not timed. Questions that do not fit the models of every
    method are left out for all. A progress bar goes to stderr.
    """
    note_models(run, lineup.target, lineup.drafter)
    fitting, left_out = _fitting(run, lineup)
    for task, ids in left_out.items():
        print(
            f"warning: {len(ids)} questions of {task} do not fit the models' context and are left out", file=sys.stderr
        )
    parts = [
        (task, part)
        for task in run.tasks
        for whole in cut(run.questions[task.name], run.blocks[task.name])
        if (part := [question for question in whole if question.id in fitting[task.name]])
    ]
    batches = list(interleave(parts, run.methods, rotating=run.timed))
    wanted = [key for batch in batches for question in batch.questions for key in _keys(batch, question)]
    if not wanted:
        raise ConfigError("no question fits the models' context with so many max_tokens. Set max_tokens lower.")
    run.note(left_out=left_out)
    if any(key not in run.records for key in wanted):
        if run.records:
            run.info.pop("figures", None)
            run.note(resumed=[*run.info.get("resumed", []), describe()])
        await _answer_all(run, lineup, batches, wanted)
    records = sorted((run.records[key] for key in wanted), key=lambda record: run.methods.index(record.method))
    summary = summarize(records)
    if run.output is not None:
        write_records(run.output / ANSWERS_FILE, records)
    run.note(peak_memory_bytes=peak_memory(), figures=to_plain(summary))
    return summary


def _fitting(run: Run, lineup: Answers) -> tuple[dict[str, set[str]], dict[str, list[str]]]:
    """The ids of the questions that every method has room for, and those of the others."""
    fitting: dict[str, set[str]] = {task: set() for task in run.questions}
    left_out: dict[str, list[str]] = {}
    for task, questions in run.questions.items():
        for question in questions:
            try:
                for method in run.methods:
                    lineup.check(method, _messages(question, []), run.params)
                fitting[task].add(question.id)
            except PromptError:
                left_out.setdefault(task, []).append(question.id)
    return fitting, left_out


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

"""The engine asked for the answers to many prompts: an error takes the place of its own prompt's answer alone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from parse_engine.cli.prompts import Entry
from parse_engine.cli.settings import GenerateSettings
from parse_engine.errors import ParseEngineError
from parse_engine.trace import Answer, Done, Event

if TYPE_CHECKING:
    from parse_engine.blocking import Engine

Outcome = Answer | ParseEngineError


def refusal(engine: Engine, entry: Entry, settings: GenerateSettings) -> ParseEngineError | None:
    """Why a prompt would be refused before the models are asked; None where it would not be."""
    try:
        engine.check(entry.prompt, entry.sampling, **settings.asking)
    except ParseEngineError as error:
        return error
    return None


def answers(engine: Engine, entries: Sequence[Entry], settings: GenerateSettings) -> Generator[tuple[Entry, Outcome]]:
    """Each prompt with its answer or its error, as they come: several at a time where the models can."""
    if len(entries) == 1 or engine.concurrency == 1:
        return ((entry, _followed(engine, entry, settings)) for entry in entries)
    came = _together(engine, entries, settings)
    return _counted(came, len(entries)) if settings.watched else came


def _followed(engine: Engine, entry: Entry, settings: GenerateSettings) -> Outcome:
    """One answer, shown on stderr as it is decided."""
    events: Iterator[Event] = engine.stream(entry.prompt, entry.sampling, **settings.asking)
    if settings.watched:
        from parse_engine.render.terminal import watch

        events = watch(events, keep=not sys.stdout.isatty() and not settings.json)
    try:
        *_, last = events
    except ParseEngineError as error:
        return error
    assert isinstance(last, Done)
    return last.answer


def _together(engine: Engine, entries: Sequence[Entry], settings: GenerateSettings) -> Generator[tuple[Entry, Outcome]]:
    """All are in the engine's queue at once; what is not yet answered ends when nobody takes more."""
    from parse_engine.backlog import cancel

    Task = asyncio.Task[tuple[Entry, Outcome]]
    done: asyncio.Queue[Task] = asyncio.Queue()

    async def answer(entry: Entry) -> tuple[Entry, Outcome]:
        try:
            return entry, await engine.inner.generate(entry.prompt, entry.sampling, **settings.asking)
        except ParseEngineError as error:
            return entry, error

    async def start() -> list[Task]:
        tasks = [asyncio.create_task(answer(entry)) for entry in entries]
        for task in tasks:
            task.add_done_callback(done.put_nowait)
        return tasks

    tasks = engine.run(start())
    try:
        for _ in tasks:
            yield engine.run(done.get()).result()
    finally:
        engine.run(cancel(tasks))


def _counted(came: Generator[tuple[Entry, Outcome]], total: int) -> Generator[tuple[Entry, Outcome]]:
    """The same, under a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    with closing(came), Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("answers", total=total)
        for each in came:
            yield each
            progress.advance(bar)

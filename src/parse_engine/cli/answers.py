"""The engine asked for the answers to many prompts: an error takes the place of its own prompt's answer alone."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from parse_engine.cli.prompts import Request
from parse_engine.cli.settings import GenerateSettings
from parse_engine.errors import ParseEngineError
from parse_engine.trace import Answer, Done, Event

if TYPE_CHECKING:
    from parse_engine.blocking import Engine

Outcome = Answer | ParseEngineError


def refusal(engine: Engine, request: Request, settings: GenerateSettings) -> ParseEngineError | None:
    """Why a prompt would be refused before the models are asked; None where it would not be."""
    try:
        engine.inner.check(request.prompt, request.sampling, **settings.asking)
    except ParseEngineError as error:
        return error
    return None


def answers(
    engine: Engine, requests: Sequence[Request], settings: GenerateSettings
) -> Generator[tuple[Request, Outcome]]:
    """Each prompt with its answer or its error, as they come: several at a time where the models can."""
    if len(requests) == 1 or engine.concurrency == 1:
        return ((request, _followed(engine, request, settings)) for request in requests)
    came = _together(engine, requests, settings)
    return _counted(came, len(requests)) if settings.watched else came


def _followed(engine: Engine, request: Request, settings: GenerateSettings) -> Outcome:
    """One answer, shown on stderr as it is decided."""
    events: Iterator[Event] = engine.stream(request.prompt, request.sampling, **settings.asking)
    if settings.watched:
        from parse_engine.render.terminal import watch

        events = watch(events, keep=not sys.stdout.isatty() and not settings.json)
    try:
        *_, last = events
    except ParseEngineError as error:
        return error
    assert isinstance(last, Done)
    return last.answer


def _together(
    engine: Engine, requests: Sequence[Request], settings: GenerateSettings
) -> Generator[tuple[Request, Outcome]]:
    """All are in the engine's queue at once; what is not yet answered ends when nobody takes more."""
    from parse_engine.engine import cancel

    Task = asyncio.Task[tuple[Request, Outcome]]
    done: asyncio.Queue[Task] = asyncio.Queue()

    async def answer(request: Request) -> tuple[Request, Outcome]:
        try:
            return request, await engine.inner.generate(request.prompt, request.sampling, **settings.asking)
        except ParseEngineError as error:
            return request, error

    async def start() -> list[Task]:
        tasks = [asyncio.create_task(answer(request)) for request in requests]
        for task in tasks:
            task.add_done_callback(done.put_nowait)
        return tasks

    tasks = engine.run(start())
    try:
        for _ in tasks:
            yield engine.run(done.get()).result()
    finally:
        engine.run(cancel(tasks))


def _counted(came: Generator[tuple[Request, Outcome]], total: int) -> Generator[tuple[Request, Outcome]]:
    """The same, under a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    with closing(came), Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("answers", total=total)
        for each in came:
            yield each
            progress.advance(bar)

"""A command line with a small engine of its own, so that no model is loaded and torch is not imported."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from parse_engine.backends.base import Model
from parse_engine.cli import main
from parse_engine.errors import PromptError
from parse_engine.prompt import encode
from parse_engine.trace import Answer, Done, Event
from tests.render.samples import events, parse_answer, plain_answer


@dataclass
class Calls:
    """What the command line asked of the engine."""

    loads: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[Any] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    error: BaseException | None = None
    errors: dict[str, BaseException] = field(default_factory=dict)
    """By prompt."""
    too_long: tuple[str, ...] = ()
    """Prompts that are refused."""
    reader: Model | None = None
    """Whose tokens the prompts are checked in, if at all."""
    steps: dict[str, int] = field(default_factory=dict)
    """Turns of the event loop that a prompt's answer takes."""
    concurrency: int = 1
    closed: int = 0
    target: str = "scripted"
    """The name of the target that was loaded."""


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """Replaces the engine; the record of its calls."""
    calls = Calls()

    class Inner:
        """Answers that are under way at the same time."""

        async def generate(self, prompt: Any, params: Any, **options: Any) -> Answer:
            for _ in range(calls.steps.get(prompt, 0)):
                await asyncio.sleep(0)
            *_, last = Engine().stream(prompt, params, **options)
            assert isinstance(last, Done)
            return last.answer

    class Engine:
        inner = Inner()

        @property
        def target(self) -> SimpleNamespace:
            return SimpleNamespace(name=calls.target)

        @property
        def concurrency(self) -> int:
            return calls.concurrency

        def __enter__(self) -> Engine:
            return self

        def __exit__(self, *_: object) -> None:
            calls.closed += 1

        @classmethod
        def load(cls, target: str, draft: str | None, **options: Any) -> Engine:
            calls.loads.append({"target": target, "draft": draft, **options})
            return cls()

        def check(self, prompt: Any, params: Any, **options: Any) -> None:
            if prompt in ("", *calls.too_long):
                raise PromptError("the prompt is empty." if prompt == "" else "the prompt has 9999 tokens.")
            if calls.reader is not None:
                encode(calls.reader, prompt)

        def run(self, work: Coroutine[Any, Any, Any]) -> Any:
            return loop.run_until_complete(work)

        def stream(self, prompt: Any, params: Any, **options: Any) -> Iterator[Event]:
            calls.prompts.append(prompt)
            calls.params.append(params)
            calls.options.append(options)
            error = calls.errors.get(prompt) if isinstance(prompt, str) else None
            if error is not None or calls.error is not None:
                raise error or calls.error
            method = options["method"]
            yield from events(parse_answer(warnings=calls.warnings) if method == "parse" else plain_answer(method))

    loop = asyncio.new_event_loop()
    module = ModuleType("parse_engine.blocking")
    module.Engine = Engine  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "parse_engine.blocking", module)
    yield calls
    loop.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `parse-engine` with these arguments and this stdin (None: a terminal on which nobody types)."""

    def call(*args: str, stdin: str | None = None, terminal: tuple[str, ...] = ()) -> Result:
        typed = io.StringIO(stdin or "")
        monkeypatch.setattr(typed, "isatty", lambda: stdin is None)
        monkeypatch.setattr(sys, "stdin", typed)
        for name in terminal:
            monkeypatch.setattr(getattr(sys, name), "isatty", lambda: True)
        with pytest.raises(SystemExit) as stopped:
            main(args)
        shown = capsys.readouterr()
        return Result(stopped.value.code or 0, shown.out, shown.err)  # type: ignore[arg-type]

    return call

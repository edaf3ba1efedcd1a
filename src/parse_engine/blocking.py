"""The engine for ordinary code: `AsyncEngine` on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from parse_engine.backends.base import Model
from parse_engine.backlog import Backlog
from parse_engine.config import ParseConfig
from parse_engine.engine import CLOSED, AsyncEngine
from parse_engine.errors import ClosedError, ParseEngineError
from parse_engine.loadable import EngineOptions, Loadable
from parse_engine.prompt import Prompt
from parse_engine.request import Params, RequestOptions
from parse_engine.trace import Answer, Event

T = TypeVar("T")

_LONGEST_CLEANUP = 10.0  # seconds that interrupted answers have to stop their models


class Engine(Loadable):
    """Answers prompts with a target and a drafter. Usable as a context manager, which closes it.

    On transformers one answer is computed at a time, and the models keep the last sequence in their prefix caches,
    which the next turn of a conversation re-uses.
    """

    def __init__(
        self,
        target: Model,
        drafter: Model | None,
        config: ParseConfig | Mapping[str, Any] | None = None,
        **options: Unpack[EngineOptions],
    ):
        """Use two loaded models; `drafter` may be None for method `target`."""
        self.inner = AsyncEngine(target, drafter, config, **options)
        self._loop = _Loop()
        self._stop = weakref.finalize(self, self._loop.stop)  # at the interpreter's exit too

    @property
    def target(self) -> Model:
        return self.inner.target

    @property
    def drafter(self) -> Model | None:
        return self.inner.drafter

    @property
    def concurrency(self) -> int:
        """Most answers in flight."""
        return self.inner.concurrency

    @overload
    def generate(  # type: ignore[overload-overlap]  # a text is also a sequence of texts; it is one prompt
        self, prompt: Prompt, params: Params = None, **options: Unpack[RequestOptions]
    ) -> Answer: ...
    @overload
    def generate(
        self, prompt: Sequence[Prompt], params: Params = None, **options: Unpack[RequestOptions]
    ) -> list[Answer | ParseEngineError]: ...
    def generate(
        self, prompt: Any, params: Params = None, **options: Unpack[RequestOptions]
    ) -> Answer | list[Answer | ParseEngineError]:
        """Answer a prompt: a question, a list of chat messages, or with `raw` a text to be continued as it stands.

        A list of prompts is answered concurrently and gives a list of answers in the same order, as `map` does: in the
        place of a prompt that cannot be answered stands the error.

        Raises:
            PromptError: the prompt is empty or too long.
            ConfigError: an option is not allowed, or the method needs a drafter and there is none.
            BackendError: the target failed; the error names the phase and has the text so far.
            ClosedError: the engine was closed, before or meanwhile.
        """
        several = isinstance(prompt, Sequence) and not isinstance(prompt, str | bytes) and prompt
        if several and not isinstance(prompt[0], Mapping):
            return list(self.map(prompt, params, **options))
        return self._loop.run(self.inner.generate(prompt, params, **options))

    def check(self, prompt: Prompt, params: Params = None, **options: Unpack[RequestOptions]) -> None:
        """Refuse what `generate` would refuse before the models are asked, with the same errors."""
        self.inner.check(prompt, params, **options)

    def stream(self, prompt: Prompt, params: Params = None, **options: Unpack[RequestOptions]) -> Generator[Event]:
        """One answer as it is decided: events of trace.py, the last of them `Done`.

        What is wrong with the options is raised by the call itself, the rest where the events are read.
        """
        return self._iterate(self.inner.stream(prompt, params, **options))

    def map(
        self, prompts: Iterable[Prompt], params: Params = None, **options: Unpack[RequestOptions]
    ) -> Generator[Answer | ParseEngineError]:
        """Answer many prompts concurrently; answers come in the order of the prompts, as soon as they are there.

        In the place of a prompt that cannot be answered stands the error, which names its number; the others are
        answered. What is wrong with all of them (ConfigError, ClosedError) is raised, by the call itself where it can
        be seen there. Prompts are taken in the caller's thread, as there is room for them: behind a slow answer at most
        twice `concurrency`.
        """
        return self._map(prompts, self.inner.backlog(prompts, params, **options))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine of `inner`; an interrupt (Ctrl-C) cancels it and waits until it has cleaned up."""
        return self._loop.run(work)

    def forget(self) -> bool:
        """Empty the models' prefix caches, and whether all could be emptied; see `AsyncEngine.forget`."""
        return self._loop.run(self.inner.forget())

    def close(self) -> None:
        """End the answers under way, whose callers get ClosedError, and free the models. A second call does nothing."""
        with suppress(ClosedError):
            try:
                self._loop.run(self.inner.close())
            finally:
                self._stop()

    def _iterate(self, items: AsyncGenerator[T]) -> Generator[T]:
        """An asynchronous generator, which is closed at the end."""

        async def following() -> T | None:
            return await anext(items, None)

        try:
            while (item := self._loop.run(following())) is not None:
                yield item
        finally:
            with suppress(ClosedError):  # then it has been closed with the loop
                self._loop.run(items.aclose())

    def _map(self, prompts: Iterable[Prompt], backlog: Backlog) -> Generator[Answer | ParseEngineError]:
        """As `Backlog.answers`, but an iterable that takes long, or uses the engine itself, holds nothing up."""
        try:
            for prompt in prompts:
                self._loop.run(backlog.add(prompt))
                while backlog.is_due:
                    yield self._loop.run(backlog.first())
            while backlog:
                yield self._loop.run(backlog.first())
        finally:
            with suppress(ClosedError):
                self._loop.run(backlog.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._stopping = asyncio.Event()
        self._is_open = True
        self._lock = threading.Lock()  # nothing is handed over to a loop that is being stopped
        self._thread = threading.Thread(target=self._turn, name="parse-engine", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine; an interrupt (Ctrl-C) cancels it and waits until it has cleaned up.

        Raises:
            ClosedError: the loop was stopped, before or meanwhile.
        """
        result: Future[T] = Future()  # there when the task has ended, however it does
        tasks: list[asyncio.Task[T]] = []

        def start() -> None:
            tasks.append(self._loop.create_task(work))
            tasks[0].add_done_callback(lambda task: _hand_over(task, result))

        with self._lock:
            if not self._is_open:
                work.close()
                raise ClosedError(CLOSED)
            self._loop.call_soon_threadsafe(start)
        try:
            return result.result()
        except CancelledError:
            raise ClosedError(CLOSED) from None
        except KeyboardInterrupt:
            self._cancel(tasks)
            with suppress(CancelledError, TimeoutError):
                result.exception(_LONGEST_CLEANUP)
            raise

    def stop(self) -> None:
        """Cancel what still runs, and end the thread."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not threading.current_thread():  # a forgotten engine may be collected in its own thread
            self._thread.join(_LONGEST_CLEANUP)

    def _cancel(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        """Cancel tasks of the loop, of which some may have yet to be made there."""
        with suppress(RuntimeError):  # the loop is closed, and they with it
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])

    def _turn(self) -> None:
        with self._runner:  # which cancels what is left, closes generators that are left open, and then the loop
            self._runner.run(self._stopping.wait())


def _hand_over(task: asyncio.Task[T], result: Future[T]) -> None:
    """How a task has ended, to whom waits for it in another thread."""
    if task.cancelled():
        result.cancel()
    elif (error := task.exception()) is not None:
        result.set_exception(error)
    else:
        result.set_result(task.result())

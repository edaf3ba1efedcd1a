"""The engine for ordinary code: `AsyncEngine` on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from parse_engine.backends.base import Model
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
        """One answer as it is decided: events of trace.py, the last of them `Done`."""
        yield from self._loop.iterate(self.inner.stream(prompt, params, **options))  # keeps the engine

    def map(
        self, prompts: Iterable[Prompt], params: Params = None, **options: Unpack[RequestOptions]
    ) -> Generator[Answer | ParseEngineError]:
        """Answer many prompts concurrently; answers come in the order of the prompts, as soon as they are there.

        In the place of a prompt that cannot be answered stands the error, which names its number; the others are
        answered. What is wrong with all of them (ConfigError, ClosedError) is raised.
        """
        yield from self._loop.iterate(self.inner.map(prompts, params, **options))

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
        ended = threading.Event()

        async def watched() -> T:
            try:
                return await work
            finally:
                ended.set()

        with self._lock:
            if not self._is_open:
                work.close()
                raise ClosedError(CLOSED)
            future = asyncio.run_coroutine_threadsafe(watched(), self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ClosedError(CLOSED) from None
        except KeyboardInterrupt:
            if future.cancel():
                ended.wait(_LONGEST_CLEANUP)
            raise

    def iterate(self, items: AsyncGenerator[T]) -> Generator[T]:
        """The same for an asynchronous generator, which is closed at the end."""

        async def following() -> T | None:
            return await anext(items, None)

        try:
            while (item := self.run(following())) is not None:
                yield item
        finally:
            with suppress(ClosedError):  # then it has been closed with the loop
                self.run(items.aclose())

    def stop(self) -> None:
        """Cancel what still runs, and end the thread."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not threading.current_thread():  # a forgotten engine may be collected in its own thread
            self._thread.join(_LONGEST_CLEANUP)

    def _turn(self) -> None:
        with self._runner:  # which cancels what is left, closes generators that are left open, and then the loop
            self._runner.run(self._stopping.wait())

"""The engine for ordinary code: `AsyncEngine` on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Coroutine, Generator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, overload

from parse_engine.backends.base import Model
from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.engine import AsyncEngine
from parse_engine.loadable import EngineOptions, Loadable
from parse_engine.prompt import Prompt
from parse_engine.text import Message
from parse_engine.trace import Answer, Event, Method

T = TypeVar("T")

_LONGEST_CLEANUP = 10.0  # seconds that an interrupted answer has to stop its models


class Engine(Loadable):
    """Answers prompts with a target and a drafter. Usable as a context manager, which closes it.

    On transformers one answer is computed at a time, and the models keep the last sequence in their prefix caches,
    which the next turn of a conversation re-uses.
    """

    def __init__(
        self, target: Model, drafter: Model | None, config: ParseConfig | None = None, **options: Unpack[EngineOptions]
    ):
        """Use two loaded models; `drafter` may be None for method `target`."""
        self.inner = AsyncEngine(target, drafter, config, **options)
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, name="parse-engine", daemon=True)
        thread.start()
        self._stop = weakref.finalize(self, _stop, self._loop, thread)

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
        self,
        prompt: str | Sequence[Message],
        params: SamplingParams | None = None,
        *,
        method: Method = "parse",
        raw: bool = False,
    ) -> Answer: ...
    @overload
    def generate(
        self,
        prompt: Sequence[str] | Sequence[Sequence[Message]],
        params: SamplingParams | None = None,
        *,
        method: Method = "parse",
        raw: bool = False,
    ) -> list[Answer]: ...
    def generate(
        self, prompt: Any, params: SamplingParams | None = None, *, method: Method = "parse", raw: bool = False
    ) -> Answer | list[Answer]:
        """Answer a prompt: a question, a list of chat messages, or with `raw` a text to be continued as it stands.

        A list of prompts is answered concurrently and gives a list of answers in the same order.

        Raises:
            PromptError: the prompt is empty or too long.
            ConfigError: the method needs a drafter and there is none.
            BackendError: the target failed; the error names the phase and has the text so far.
        """
        several = isinstance(prompt, Sequence) and not isinstance(prompt, str) and prompt
        if several and not isinstance(prompt[0], Mapping):
            return list(self.map(prompt, params, method=method, raw=raw))
        return self.run(self.inner.generate(prompt, params, method=method, raw=raw))

    def stream(
        self, prompt: Prompt, params: SamplingParams | None = None, *, method: Method = "parse", raw: bool = False
    ) -> Generator[Event]:
        """One answer as it is decided: events of trace.py, the last of them `Done`."""
        return self._iterate(self.inner.stream(prompt, params, method=method, raw=raw))

    def map(
        self,
        prompts: Iterable[Prompt],
        params: SamplingParams | None = None,
        *,
        method: Method = "parse",
        raw: bool = False,
    ) -> Generator[Answer]:
        """Answer many prompts concurrently; answers come in the order of the prompts, as soon as they are there."""
        return self._iterate(self.inner.map(prompts, params, method=method, raw=raw))

    def forget(self) -> bool:
        """Empty the models' prefix caches, and whether all could be emptied; see `AsyncEngine.forget`."""
        return self.run(self.inner.forget())

    def close(self) -> None:
        """Free the models; no call may follow."""
        if self._stop.alive:
            self.run(self.inner.close())
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for a coroutine of `inner`; an interrupt (Ctrl-C) cancels it and waits until it has cleaned up."""
        ended = threading.Event()

        async def watched() -> T:
            try:
                return await work
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(watched(), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            if future.cancel():
                ended.wait(_LONGEST_CLEANUP)
            raise

    def _iterate(self, items: AsyncGenerator[T]) -> Generator[T]:
        async def following() -> T | None:
            return await anext(items, None)

        try:
            while (item := self.run(following())) is not None:
                yield item
        finally:
            self.run(items.aclose())


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():  # a forgotten engine may be collected in its own thread
        thread.join()
        loop.close()

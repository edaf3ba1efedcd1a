"""vLLM engines of this process: one thread steps them all, and requests of one group enter between two steps."""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from parse_engine.errors import BackendError

T = TypeVar("T")

PATIENCE = 16  # most steps that an engine waits while others go on


class Group:
    """Requests that enter an engine together, as the event loop sees them. Leaving the block aborts what is left."""

    _serial = itertools.count()

    def __init__(self, pump: Pump, engine: StepEngine, requests: Sequence[tuple[list[int], Any]]):
        self.loop = asyncio.get_running_loop()
        self.added_at = 0  # the engine's steps when they were added
        self._pump, self._engine, self._requests = pump, engine, requests
        self._numbers = {f"parse-{next(self._serial)}": number for number in range(len(requests))}
        self._open = set(self._numbers)
        self._arrived: asyncio.Queue[tuple[str, Any, int]] = asyncio.Queue()

    def __enter__(self) -> Group:
        self._pump.call(
            lambda: self._engine.add(self, [(id, *self._requests[number]) for id, number in self._numbers.items()])
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._open:
            self._pump.call(lambda: self._engine.abort(self._open))

    def arrive(self, id: str, output: Any, step: int) -> None:
        """In the event loop: an output of a request, or the exception that ended it."""
        self._arrived.put_nowait((id, output, step))

    async def next(self) -> tuple[int, Any, int]:
        """The next output: the request's number, its RequestOutput, and the steps that the engine took for it."""
        id, output, step = await self._arrived.get()
        if isinstance(output, BaseException):
            self._open.discard(id)
            raise BackendError(f"vLLM failed: {output}") from output
        if output.finished:
            self._open.discard(id)
        return self._numbers[id], output, step - self.added_at


Arrival = tuple[Group, str, Any]  # whose, the request's id, and its RequestOutput or the exception that ended it


class StepEngine:
    """A vLLM engine and the requests in it. Used on the pump's thread alone."""

    def __init__(self, arguments: Any):
        from vllm.v1.engine.llm_engine import LLMEngine

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of libraries, at each other
            self.core = LLMEngine.from_engine_args(arguments)
        self.groups: dict[str, Group] = {}
        self.waited = 0  # steps of other engines since its last one
        self._steps = 0
        self._failure: Exception | None = None

    def add(self, group: Group, requests: Sequence[tuple[str, list[int], Any]]) -> None:
        """Add requests that no step may part."""
        group.added_at = self._steps
        for id, tokens, params in requests:
            try:
                if self._failure is not None:
                    raise self._failure
                self.core.add_request(id, {"prompt_token_ids": tokens}, params)
                self.groups[id] = group
            except Exception as error:  # vLLM refuses the request, or has failed before
                _tell([(group, id, error)], self._steps)

    def abort(self, ids: set[str]) -> None:
        left = [id for id in ids if self.groups.pop(id, None) is not None]
        if left:
            self.core.abort_request(left)

    def step(self) -> None:
        """One scheduler step, and its outputs to whom they belong."""
        self._steps += 1
        arrived: list[Arrival] = []
        try:
            for output in self.core.step():
                id = output.request_id
                if id in self.groups:  # else it was aborted meanwhile
                    arrived.append((self.groups.pop(id) if output.finished else self.groups[id], id, output))
            self.abort(_tell(arrived, self._steps))
        except Exception as error:
            self._lose(error)

    def close(self) -> None:
        """Free all that vLLM holds; what is still in it ends with an error."""
        self._lose(RuntimeError("its engine was closed"))
        core, self.core = self.core, None
        core.engine_core.shutdown()

    def _lose(self, error: Exception) -> None:
        """The engine is lost, and with it all that is in it."""
        self._failure = error
        lost: list[Arrival] = [(group, id, error) for id, group in self.groups.items()]
        self.groups = {}
        _tell(lost, self._steps)


def _tell(arrivals: Sequence[Arrival], step: int) -> set[str]:
    """Hand outputs over to their event loops, all of a step at once; returns the ids whose loop is closed."""
    batches: dict[asyncio.AbstractEventLoop, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        batches[arrival[0].loop].append(arrival)

    def arrive(batch: list[Arrival]) -> None:
        for group, id, output in batch:
            group.arrive(id, output, step)

    gone = set[str]()
    for loop, batch in batches.items():
        try:
            loop.call_soon_threadsafe(arrive, batch)
        except RuntimeError:  # it is closed; to ask beforehand would not do, as it may close meanwhile
            gone |= {id for _, id, _ in batch}
    return gone


class Pump:
    """Steps all engines of the process, on one thread: what a forward pass knows of its batch is global to the process
    in vLLM, so two engines must never run at the same time."""

    _this: Pump | None = None
    _making = threading.Lock()

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._engines: list[StepEngine] = []
        threading.Thread(target=self._run, name="parse-engine-vllm", daemon=True).start()

    @classmethod
    def of_this_process(cls) -> Pump:
        with cls._making:
            if cls._this is None:
                cls._this = Pump()
            return cls._this

    def call(self, job: Callable[[], T]) -> Future[T]:
        """Run `job` on the pump's thread, between two steps; not if its future was cancelled before."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)

        self._jobs.put(run)
        return future

    def start(self, arguments: Any) -> Future[StepEngine]:
        def job() -> StepEngine:
            engine = StepEngine(arguments)
            self._engines.append(engine)
            return engine

        return self.call(job)

    def remove(self, engine: StepEngine) -> None:
        """Shut an engine down, unless that was done before; on the pump's thread."""
        if engine in self._engines:
            self._engines.remove(engine)
            engine.close()

    def _run(self) -> None:
        while True:
            if not any(engine.groups for engine in self._engines):
                self._jobs.get()()
            while not self._jobs.empty():
                self._jobs.get()()
            busy = [engine for engine in self._engines if engine.groups]
            if busy:
                chosen = fullest(busy)
                for engine in busy:
                    engine.waited += 1
                chosen.waited = 0
                chosen.step()


def fullest(engines: Sequence[StepEngine]) -> StepEngine:
    """The engine to step next: the one with the most answers, and of equals the one that waited longest.

    A step costs nearly the same for one answer as for many. An engine that waits gathers company: the drafts that end
    meanwhile, or the prompts that come. None waits for more than PATIENCE steps of the others.
    """
    overdue = [engine for engine in engines if engine.waited >= PATIENCE]
    return max(overdue or engines, key=lambda engine: (len(set(map(id, engine.groups.values()))), engine.waited))

"""Which engine is stepped next, and the thread that steps them; what vLLM does in a step is in test_vllm.py."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest

from parse_engine.backends.pump import PATIENCE, Group, Pump, StepEngine, fullest
from parse_engine.backends.vllm import VLLMModel
from parse_engine.errors import BackendError
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer


def engine(answers: Sequence[int], waited: int = 0) -> StepEngine:
    """An engine with answers of so many requests each."""
    groups = {
        f"{number}-{request}": answer
        for number, size in enumerate(answers)
        for answer in [object()]
        for request in range(size)
    }
    return cast(StepEngine, SimpleNamespace(groups=groups, waited=waited))


def test_the_engine_with_more_answers_goes_first_however_many_requests_they_have() -> None:
    drafter, target = engine([1, 1, 1]), engine([16, 1], waited=3)
    assert fullest([target, drafter]) is drafter


def test_of_equals_the_one_that_waited_goes_first() -> None:
    drafter, target = engine([1, 1]), engine([1, 16], waited=1)
    assert fullest([drafter, target]) is target


def test_nobody_waits_for_ever() -> None:
    crowd, one = engine([1] * 100), engine([1], waited=PATIENCE)
    assert fullest([crowd, one]) is one
    one.waited = PATIENCE - 1
    assert fullest([crowd, one]) is crowd


def test_an_engine_alone_is_stepped() -> None:
    alone: Any = engine([1])
    assert fullest([alone]) is alone


# The thread


class Core:
    """A vLLM engine that gives every request a token at each step, and ends it with the third."""

    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.engine_core = SimpleNamespace(shutdown=self.shut_down)
        self.shut = 0
        self.vllm_config = SimpleNamespace(
            model_config=SimpleNamespace(max_model_len=64),
            scheduler_config=SimpleNamespace(max_num_seqs=4),
            cache_config=SimpleNamespace(block_size=16),
            speculative_config=None,
        )

    def add_request(self, id: str, prompt: object, params: object) -> None:
        self.requests[id] = 0

    def abort_request(self, ids: Sequence[str]) -> None:
        for id in ids:
            del self.requests[id]

    def step(self) -> list[SimpleNamespace]:
        outputs = []
        for id in [*self.requests]:
            self.requests[id] += 1
            finished = self.requests[id] == 3
            if finished:
                del self.requests[id]
            outputs.append(SimpleNamespace(request_id=id, finished=finished))
        return outputs

    def shut_down(self) -> None:
        self.shut += 1


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Core:
    """What vLLM starts."""
    core = Core()
    made = SimpleNamespace(LLMEngine=SimpleNamespace(from_engine_args=lambda _: core))
    for module in ("vllm", "vllm.v1", "vllm.v1.engine"):
        monkeypatch.setitem(sys.modules, module, SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "vllm.v1.engine.llm_engine", made)  # type: ignore[arg-type]
    return core


async def answered(pump: Pump, engine: StepEngine) -> int:
    """The steps that a request took."""
    finished, steps = False, 0
    with Group(pump, engine, [([1, 2], None)]) as group:
        while not finished:
            _, output, steps = await group.next()
            finished = output.finished
    return steps


class Closing:
    """An event loop that closes as soon as it has said that it is open."""

    def is_closed(self) -> bool:
        return False

    def call_soon_threadsafe(self, *_: object) -> None:
        raise RuntimeError("Event loop is closed")


def test_an_event_loop_that_closes_meanwhile_ends_its_own_requests_alone(core: Core) -> None:
    """The thread died of it, and every later call of any engine hung."""
    pump = Pump()
    engine = pump.start(None).result(600)
    group = cast(Group, SimpleNamespace(loop=Closing(), added_at=0))
    pump.call(lambda: engine.add(group, [("left", [1], None)])).result(600)
    while pump.call(lambda: engine.groups).result(600):  # it is stepped, and nobody hears of it
        pass
    assert core.requests == {}
    assert asyncio.run(asyncio.wait_for(answered(pump, engine), 600)) == 3


def test_a_call_that_was_cancelled_is_not_made_and_the_next_one_is(core: Core) -> None:
    """An event loop that ends cancels what its tasks wait for; the thread died when it came to it."""
    pump, go, made = Pump(), threading.Event(), list[str]()
    busy = pump.call(go.wait)
    cancelled = pump.call(lambda: made.append("cancelled"))
    assert cancelled.cancel()
    go.set()
    busy.result(600)
    pump.call(lambda: made.append("next")).result(600)
    assert made == ["next"]


def test_threads_that_load_at_once_share_the_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each made one of its own, and two engines ran at the same time."""
    start = Pump.__init__

    def slow(pump: Pump) -> None:
        time.sleep(0.05)  # the others come meanwhile
        start(pump)

    monkeypatch.setattr(Pump, "__init__", slow)
    monkeypatch.setattr(Pump, "_this", None)
    with ThreadPoolExecutor(4) as threads:
        pumps = [threads.submit(Pump.of_this_process) for _ in range(4)]
        assert len({pump.result() for pump in pumps}) == 1


def test_a_model_that_is_closed_ends_what_is_in_it_and_is_closed_once(core: Core) -> None:
    """One model as drafter and target was closed as both, and the second time was a traceback."""
    pump = Pump()
    engine = pump.start(None).result(600)
    model = VLLMModel(engine, pump, Codec(byte_tokenizer()), frozenset(), "m", "f")

    async def close() -> None:
        with Group(pump, engine, [([1], None)]) as group:
            await asyncio.gather(model.close(), model.close())
            with pytest.raises(BackendError, match="closed"):
                await group.next()
        with pytest.raises(BackendError, match="closed"):
            await answered(pump, engine)

    core.step = list  # type: ignore[method-assign]  # it is not done by itself
    asyncio.run(asyncio.wait_for(close(), 600))
    assert core.shut == 1

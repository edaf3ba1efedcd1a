"""What the tests of servers share: questions, a pair of models behind fronts, and ways to ask them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from parse_engine import Engine, ParseConfig, SamplingParams
from parse_engine.backends.base import Scores, Usage, VerifyRequest
from parse_engine.backends.http import HTTPModel
from parse_engine.errors import BackendError, ConfigError, UnsupportedModelError
from tests.servers import Front

QUESTION = "Tom has 12 apples and buys 5 more. How many apples does Tom have?"
SHORT = SamplingParams(max_tokens=24)
T = TypeVar("T")
KEY = "sk-abracadabra"
# Nothing passes, so that the target always has to go on.
NOTHING = ParseConfig(threshold=1.0, full_threshold=1.0, delta=4, min_label_mass=0.0)


@dataclass
class Place:
    """A pair of models behind fronts that can be made to fail."""

    target: Front
    drafter: Front

    def engine(self, *, read_timeout: float = 120, draft_timeout: float | None = None) -> Engine:
        target = HTTPModel.connect(self.target.url, read_timeout=read_timeout)
        drafter = HTTPModel.connect(self.drafter.url, role="draft", read_timeout=read_timeout)
        for one in (self.target, self.drafter):
            one.seen.clear()
            one.connections = 0
        return Engine(target, drafter, NOTHING, draft_timeout=draft_timeout)


def alone(engine: Engine) -> str:
    """What the target answers without a drafter."""
    return engine.generate(QUESTION, SHORT, method="target").text


def run(model: HTTPModel, work: Coroutine[Any, Any, T]) -> T:
    """A model's work, and the end of its connections, which belong to one event loop."""

    async def closed() -> T:
        try:
            return await work
        finally:
            await model.close()
            model.closed = False

    return asyncio.run(closed())


def decoded(model: HTTPModel, tokens: Sequence[int], most: int) -> tuple[list[int], Usage]:
    usage = Usage()

    async def collect() -> list[int]:
        async with aclosing(model.decode(tokens, SamplingParams(), most, usage)) as ids:
            return [token async for token in ids]

    return run(model, collect()), usage


def verified(model: HTTPModel, request: VerifyRequest) -> tuple[Scores, Usage]:
    usage = Usage()

    async def work() -> Scores:
        await model.forget()
        return await model.verify(request, usage)

    return run(model, work()), usage


def one_line(error: BaseException) -> bool:
    return "\n" not in str(error) and KEY not in str(error)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 600
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def refused(url: str, **options: Any) -> str:
    with pytest.raises((ConfigError, UnsupportedModelError, BackendError)) as caught:
        HTTPModel.connect(url, **options)
    assert one_line(caught.value)
    return f"{type(caught.value).__name__.strip('_')}: {caught.value}"

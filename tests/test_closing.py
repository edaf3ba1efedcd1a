"""What happens to answers under way, to open streams and to later calls when an engine is closed or a script ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parse_engine import AsyncEngine, Engine
from parse_engine.errors import BackendError, ClosedError
from parse_engine.text import Codec
from parse_engine.trace import Done
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel
from tests.test_concurrency import TEXT, Fickle, rejecting, run


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


class Closable(ScriptedModel):
    """Counts how often it is closed, and may fail at it."""

    closings = 0
    fails = False

    async def close(self) -> None:
        self.closings += 1
        if self.fails:
            raise BackendError("it cannot be closed")


async def listed(items: Any) -> list[Any]:
    return [item async for item in items]


@pytest.mark.parametrize("way", ["generate", "stream", "map"])
def test_closing_ends_the_answers_under_way(codec: Codec, way: str) -> None:
    """An open stream went on, on models that were closed."""
    calls: dict[str, Callable[[AsyncEngine], Any]] = {
        "generate": lambda engine: engine.generate("How many?"),
        "stream": lambda engine: listed(engine.stream("How many?")),
        "map": lambda engine: listed(engine.map(["one", "two", "three"])),
    }

    async def check() -> None:
        drafter = Fickle(codec, TEXT, hangs_after=5)
        engine = AsyncEngine(rejecting(codec), drafter, concurrency=1)
        before = asyncio.all_tasks()
        waiting = [asyncio.create_task(calls[way](engine)) for _ in range(3)]  # two of them for their turn
        while not drafter.in_flight:
            await asyncio.sleep(0)
        await engine.close()
        assert drafter.in_flight == 0
        for error in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(error, ClosedError)
            assert "the engine was closed" in str(error)
        assert asyncio.all_tasks() == before

    run(check())


def test_who_cancels_an_answer_is_not_told_that_the_engine_was_closed(codec: Codec) -> None:
    async def check() -> None:
        drafter = Fickle(codec, TEXT, hangs_after=5)
        engine = AsyncEngine(rejecting(codec), drafter)
        answer = asyncio.create_task(engine.generate("How many?"))
        while not drafter.in_flight:
            await asyncio.sleep(0)
        answer.cancel()
        await engine.close()
        assert answer.cancelled()

    run(check())


def test_nothing_can_be_asked_of_a_closed_engine(codec: Codec) -> None:
    engine = Engine(rejecting(codec), ScriptedModel(codec, TEXT))
    events, answers = engine.stream("How many?"), engine.map(["one", "two"])
    next(events)
    next(answers)
    engine.close()
    engine.close()
    calls: list[Callable[[], object]] = [
        lambda: engine.generate("How many?"),
        lambda: engine.generate(["one", "two"]),
        lambda: engine.check("How many?"),
        lambda: list(engine.stream("How many?")),
        lambda: list(engine.map(["one"])),
        lambda: next(events),
        lambda: next(answers),
        engine.forget,
    ]
    for call in calls:
        with pytest.raises(ClosedError, match="the engine was closed"):
            call()
    events.close()

    async def check() -> None:
        async with AsyncEngine(rejecting(codec), None) as inner:
            assert (await inner.generate("How many?", method="target")).text == TEXT.upper()
        await inner.close()
        for work in (inner.generate("x"), inner.forget()):
            with pytest.raises(ClosedError, match="the engine was closed"):
                await work
        calls: list[Callable[[], object]] = [
            lambda: inner.stream("x"),
            lambda: inner.map(["x"]),
            lambda: inner.check("x"),
        ]
        for call in calls:
            with pytest.raises(ClosedError, match="the engine was closed"):
                call()

    run(check())


def test_an_answer_in_another_thread_ends_with_the_engine(codec: Codec) -> None:
    drafter = Fickle(codec, TEXT, hangs_after=5)
    engine = Engine(rejecting(codec), drafter)
    caught: list[BaseException] = []
    begun = threading.Event()

    def ask() -> None:
        try:
            for _ in engine.stream("How many?"):
                begun.set()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(60)
    engine.close()
    thread.join(60)
    assert [type(error) for error in caught] == [ClosedError]
    assert drafter.in_flight == 0


def test_a_stream_keeps_its_engine(codec: Codec) -> None:
    """An engine that nobody else holds is not collected, and its loop not stopped, while it answers."""
    events = list(Engine(ScriptedModel(codec, TEXT), None).stream("How many?", method="target"))
    [answer] = Engine(ScriptedModel(codec, TEXT), None).map(["How many?"], method="target")
    assert isinstance(events[-1], Done)
    assert str(events[-1].answer) == str(answer) == TEXT


def test_every_model_is_closed_once(codec: Codec) -> None:
    """A model that is target and drafter was closed twice; behind one that failed the other was left open."""
    both = Closable(codec, TEXT)
    with Engine(both, both):
        pass
    assert both.closings == 1
    for failing in (0, 1):
        models = [Closable(codec, TEXT), Closable(codec, TEXT)]
        models[failing].fails = True
        with pytest.raises(BackendError, match="cannot be closed"), Engine(*models):
            pass
        assert [model.closings for model in models] == [1, 1]


@pytest.mark.parametrize("shared", [0, 1], ids=["the target", "the drafter"])
@pytest.mark.parametrize("kind", [Engine, AsyncEngine])
def test_a_model_that_another_engine_closed_is_refused(
    codec: Codec, kind: type[Engine] | type[AsyncEngine], shared: int
) -> None:
    """It ended in a traceback, where the models were in two engines."""
    models = rejecting(codec), ScriptedModel(codec, TEXT)
    other = Engine(*models)
    asyncio.run(models[shared].close())
    calls: list[Callable[[], object]] = [
        lambda: other.generate("How many?"),
        lambda: other.check("How many?"),
        lambda: other.stream("How many?"),
        lambda: other.map(["one"]),
        other.forget,
        lambda: kind(*models),
    ]
    for call in calls:
        with pytest.raises(ClosedError, match="the model scripted was closed"):
            call()


OPEN = """
import asyncio
from parse_engine import AsyncEngine, Engine
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

target = ScriptedModel(Codec(byte_tokenizer()), "x" * 500)
engine = Engine(target, None)
events, answers = engine.stream("How many?", method="target"), engine.map(["one", "two", "three"], method="target")
print(type(next(events)).__name__, type(next(answers)).__name__)


async def main():
    async for event in AsyncEngine(target, None).stream("How many?", method="target"):
        break


asyncio.run(main())
"""


def test_a_script_may_end_with_an_open_stream() -> None:
    """It printed a traceback: the event loop had been closed already."""
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", OPEN], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Continuing Answer\n", "")

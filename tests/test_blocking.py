"""What the engine for ordinary code does in two threads: the caller's, and that of its event loop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from parse_engine import AsyncEngine, Engine, blocking
from parse_engine.errors import ConfigError, PromptError
from parse_engine.text import Codec
from parse_engine.trace import Answer
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

TEXT = "Two and two are four.\n"


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


def texts(answers: Iterator[object]) -> list[str]:
    given = list(answers)
    assert all(isinstance(answer, Answer) for answer in given)
    return list(map(str, given))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_prompts_may_come_from_the_engine_itself(codec: Codec, concurrency: int) -> None:
    """It waited for ever: the prompts were made on the event loop, which the answers for them needed."""
    engine = Engine(ScriptedModel(codec, TEXT), None, concurrency=concurrency)
    given: list[str] = []

    def ask() -> None:
        first = (engine.generate(prompt, method="target").text for prompt in ("one", "two", "three", "four"))
        given.extend(texts(engine.map(map(str, engine.map(first, method="target")), method="target")))

    thread = threading.Thread(target=ask, daemon=True)  # it would end no test run
    thread.start()
    thread.join(120)
    assert given == [TEXT] * 4


def test_prompts_that_take_long_hold_up_nobody_else(codec: Codec) -> None:
    """All answers of the engine stood still while the next prompt was made."""
    engine = Engine(ScriptedModel(codec, TEXT), None)
    answered: list[str] = []

    def prompts() -> Iterator[str]:
        yield "one"
        other = threading.Thread(target=lambda: answered.append(engine.generate("two", method="target").text))
        other.start()
        other.join(120)
        yield "three"

    assert texts(engine.map(prompts(), method="target")) == [TEXT, TEXT]
    assert answered == [TEXT]


def test_no_more_prompts_are_taken_than_twice_what_is_in_flight(codec: Codec) -> None:
    engine = Engine(ScriptedModel(codec, TEXT), None, concurrency=3)
    taken = 0

    def prompts() -> Iterator[str]:
        nonlocal taken
        for _ in range(40):
            taken += 1
            yield "x"

    for given, _ in enumerate(engine.map(prompts(), method="target")):
        assert taken - given <= 2 * 3
    assert taken == 40


def test_prompts_that_fail_end_the_answers_under_way(codec: Codec) -> None:
    engine = Engine(ScriptedModel(codec, TEXT), None)

    def prompts() -> Iterator[str]:
        yield "one"
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        list(engine.map(prompts(), method="target"))
    assert engine.generate("two", method="target").text == TEXT


@pytest.mark.parametrize("kind", [Engine, AsyncEngine])
@pytest.mark.parametrize("way", ["stream", "map"])
def test_wrong_options_are_reported_by_the_call(codec: Codec, kind: type[Engine] | type[AsyncEngine], way: str) -> None:
    """They were reported where the first answer was read, in other code perhaps."""
    call: Callable[..., Any] = getattr(kind(ScriptedModel(codec, TEXT), None), way)
    for options, message in (
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"tempreature": 1}, "Did you mean 'temperature'"),
        ({"params": 5}, "5 was given"),
        ({"method": "parse"}, "needs a drafter"),
    ):
        with pytest.raises(ConfigError, match=message):
            call(["one"], **options)
    if way == "map":
        with pytest.raises(PromptError, match="must be a list"):
            call("one text", method="target")


def test_an_interrupt_before_an_answer_has_begun(codec: Codec, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waited until the time for cleaning up was over, since nobody said that there was nothing to clean up."""
    monkeypatch.setattr(blocking, "_LONGEST_CLEANUP", 120)
    engine = Engine(ScriptedModel(codec, TEXT), None)
    busy = threading.Event()
    engine._loop._loop.call_soon_threadsafe(busy.wait)
    start = time.monotonic()
    for seconds, action in ((0.2, lambda: os.kill(os.getpid(), signal.SIGINT)), (0.5, busy.set)):
        threading.Timer(seconds, action).start()
    with pytest.raises(KeyboardInterrupt):
        engine.generate("How many?", method="target")
    assert time.monotonic() - start < 100
    assert engine.generate("How many?", method="target").text == TEXT

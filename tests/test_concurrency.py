"""Many answers in flight, and what happens when a model fails, hangs, or nobody waits for the answer any more."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Coroutine, Sequence
from typing import Any

import pytest

from parse_engine import AsyncEngine, Engine, ParseConfig, SamplingParams
from parse_engine.backends.base import Scores, Usage, VerifyRequest
from parse_engine.errors import BackendError, OverloadedError, PromptError
from parse_engine.text import Codec
from parse_engine.trace import Answer, Committed, Done, Drafting, Event
from tests.conftest import byte_tokenizer, tiny_model
from tests.scripted import ScriptedModel

TEXT = "Two and two are four.\nFour and two are six.\nSo it is six.\n"


class Fickle(ScriptedModel):
    """Fails, or hangs, after so many tokens or at the verification; counts what is in flight and what was closed."""

    def __init__(self, *args: Any, fails_after: int | None = None, hangs_after: int | None = None, **more: Any):
        super().__init__(*args, **more)
        self.fails_after, self.hangs_after = fails_after, hangs_after
        self.fails_verifying = False
        self.in_flight = self.most_in_flight = 0

    async def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            number = 0
            async for token in super().decode(tokens, params, max_tokens, usage):
                if number == self.fails_after:
                    raise BackendError("the engine stopped.")
                if number == self.hangs_after:
                    await asyncio.Event().wait()
                number += 1
                yield token
        finally:
            self.in_flight -= 1

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        if self.fails_verifying:
            raise BackendError("the engine stopped.")
        return await super().verify(request, usage)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


def rejecting(codec: Codec, **more: Any) -> Fickle:
    return Fickle(codec, TEXT.upper(), lambda prefix: 0.1, **more)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 600))


@pytest.mark.parametrize("concurrency", [1, 3])
def test_answers_come_in_order_and_no_more_than_asked_are_in_flight(codec: Codec, concurrency: int) -> None:
    async def check() -> None:
        target, drafter = rejecting(codec), Fickle(codec, TEXT)
        engine = AsyncEngine(target, drafter, ParseConfig(delta=22), concurrency=concurrency)
        prompts = ["x" * length for length in range(1, 13)]
        answers = [answer async for answer in engine.map(prompts)]
        assert [answer.text for answer in answers] == [TEXT.upper()] * 12
        lengths = [answer.prompt_tokens for answer in answers]
        assert lengths == sorted(set(lengths))
        assert target.most_in_flight <= concurrency
        assert drafter.most_in_flight == concurrency

    run(check())


def test_models_that_take_one_answer_at_a_time_get_one() -> None:
    engine = Engine(tiny_model(1), tiny_model(2), concurrency=8)
    params = SamplingParams(max_tokens=20)
    prompts = [f"How many {word}?" for word in ("apples", "pears", "plums")]
    assert engine.inner.concurrency == 1
    assert [a.text for a in engine.generate(prompts, params)] == [engine.generate(p, params).text for p in prompts]


def test_a_failing_drafter_leaves_the_answer_to_the_target(codec: Codec) -> None:
    for drafter in (Fickle(codec, TEXT, fails_after=5), Fickle(codec, TEXT, fails_after=0)):
        answer = Engine(rejecting(codec), drafter).generate("How many?")
        assert answer.text == TEXT.upper()
        assert (answer.trace.draft_tokens, answer.trace.verify_passes) == (0, 0)
        assert "the target answered alone: the engine stopped." in answer.trace.warnings[0]


def test_a_drafter_that_hangs_is_given_up(codec: Codec) -> None:
    drafter = Fickle(codec, TEXT, hangs_after=5)
    answer = Engine(rejecting(codec), drafter, draft_timeout=0.05).generate("How many?")
    assert answer.text == TEXT.upper()
    assert "longer than 0.05 s" in answer.trace.warnings[0]
    assert drafter.in_flight == 0


def test_a_target_that_dies_names_the_phase_and_leaves_the_text(codec: Codec) -> None:
    target = Fickle(codec, TEXT, lambda prefix: 0.9 if prefix.count("\n") < 2 else 0.1, fails_after=7)
    engine = Engine(target, ScriptedModel(codec, TEXT), ParseConfig(delta=22))
    with pytest.raises(BackendError) as caught:
        engine.generate("How many?")
    assert (caught.value.phase, caught.value.text) == ("continue", TEXT[: len("Two and two are four.\n") + 7])
    target.fails_verifying = True
    with pytest.raises(BackendError) as caught:
        engine.generate("How many?")
    assert (caught.value.phase, caught.value.text) == ("verify", "")


def test_cancelled_answers_stop_their_models_and_leave_the_others(codec: Codec) -> None:
    """Every third of 60 is cancelled; the rest are right, and nothing stays behind."""

    async def check() -> None:
        target, drafter = rejecting(codec), Fickle(codec, TEXT)
        engine = AsyncEngine(target, drafter, ParseConfig(delta=22))
        before = asyncio.all_tasks()
        tasks = [asyncio.create_task(engine.generate("How many?")) for _ in range(60)]
        for number, task in enumerate(tasks):
            if number % 3 == 0:
                await asyncio.sleep(0.001 * (number % 4))
                task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for number, answer in enumerate(answers):
            if number % 3:
                assert not isinstance(answer, BaseException)
                assert answer.text == TEXT.upper()
        assert any(isinstance(answer, asyncio.CancelledError) for answer in answers)
        assert (target.in_flight, drafter.in_flight) == (0, 0)
        assert asyncio.all_tasks() == before
        assert (await engine.generate("Once more?")).text == TEXT.upper()

    run(check())


def test_closing_a_stream_ends_its_answer(codec: Codec) -> None:
    drafter = Fickle(codec, TEXT)
    engine = Engine(rejecting(codec), drafter)
    events = engine.stream("How many?")
    assert isinstance(next(events), Drafting)
    events.close()
    assert drafter.in_flight == 0
    assert engine.generate("How many?").text == TEXT.upper()


def test_an_error_in_the_middle_reaches_the_reader_of_a_stream(codec: Codec) -> None:
    engine = Engine(rejecting(codec, fails_after=9), ScriptedModel(codec, TEXT))
    seen: list[Event] = []
    with pytest.raises(BackendError, match="stopped"):
        seen.extend(engine.stream("How many?"))
    assert any(isinstance(event, Committed) for event in seen)
    assert not any(isinstance(event, Done) for event in seen)


def test_an_error_comes_in_its_prompts_turn_and_ends_the_rest(codec: Codec) -> None:
    engine = Engine(rejecting(codec), ScriptedModel(codec, TEXT))
    answers: list[Answer] = []
    with pytest.raises(PromptError, match="empty"):
        answers.extend(engine.map(["one", "two", " ", "four"]))
    assert len(answers) == 2


def test_a_full_queue_refuses(codec: Codec) -> None:
    async def check() -> None:
        engine = AsyncEngine(rejecting(codec), Fickle(codec, TEXT), concurrency=1, max_waiting=2)
        tasks = [asyncio.create_task(engine.generate("How many?")) for _ in range(5)]
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(answer, OverloadedError) for answer in answers] == [False] * 3 + [True] * 2
        assert (await engine.generate("Again?")).text == TEXT.upper()

    run(check())


def test_a_closed_engine_leaves_no_thread(codec: Codec) -> None:
    before = threading.active_count()
    with Engine(rejecting(codec), ScriptedModel(codec, TEXT)) as engine:
        engine.generate("How many?")
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    engine.close()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_interrupt_ends_the_answer_and_leaves_the_engine_usable(codec: Codec, streamed: bool) -> None:
    """Ctrl-C in a stream came out as "asynchronous generator is already running"."""
    drafter = Fickle(codec, TEXT, hangs_after=5)
    engine = Engine(rejecting(codec), drafter)
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        list(engine.stream("How many?")) if streamed else engine.generate("How many?")
    assert drafter.in_flight == 0
    drafter.hangs_after = None
    assert engine.generate("How many?").text == TEXT.upper()

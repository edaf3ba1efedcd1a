"""Many answers in flight, and what happens when a model fails, hangs, or nobody waits for the answer any more."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from typing import Any

import pytest

from parse_engine import AsyncEngine, Engine, ParseConfig, SamplingParams
from parse_engine.backends.base import Scores, Usage, VerifyRequest
from parse_engine.errors import BackendError, ConfigError, OverloadedError, PromptError
from parse_engine.text import Codec
from parse_engine.trace import Answer, Committed, Done, Drafting, Event
from tests.conftest import byte_tokenizer, tiny_model
from tests.scripted import ScriptedModel

TEXT = "Two and two are four.\nFour and two are six.\nSo it is six.\n"


class Fickle(ScriptedModel):
    """Fails, or hangs, after so many tokens or at the verification; counts what is in flight and what was closed."""

    def __init__(
        self,
        *args: Any,
        fails_after: int | None = None,
        hangs_after: int | None = None,
        fault: Exception | None = None,
        **more: Any,
    ):
        super().__init__(*args, **more)
        self.fault = fault or BackendError("the engine stopped.")
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
                    raise self.fault
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


def test_no_more_prompts_are_taken_than_twice_what_is_in_flight(codec: Codec) -> None:
    """Behind one slow answer all others were taken, answered, and kept until it was done."""

    async def check() -> None:
        slow, taken, given, most = asyncio.Event(), 0, 0, 0

        class Slow(ScriptedModel):
            async def decode(self, tokens: Sequence[int], *args: Any) -> AsyncGenerator[int]:
                if self.codec.encode("slow")[0] in tokens:
                    await slow.wait()
                async for token in super().decode(tokens, *args):
                    yield token

        def prompts() -> Iterator[str]:
            nonlocal taken, most
            for number in range(40):
                taken += 1
                most = max(most, taken - given)
                yield "s" if number in (0, 20) else "x"

        async def release() -> None:
            for _ in range(40 * len(TEXT)):  # turns in which all others could have been answered
                await asyncio.sleep(0)
            slow.set()

        engine = AsyncEngine(Slow(codec, TEXT), None, concurrency=3)
        releasing = asyncio.create_task(release())
        async for _ in engine.map(prompts(), method="target"):
            given += 1
        await releasing
        assert (taken, given) == (40, 40)
        assert most == 2 * 3

    run(check())


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
    with pytest.warns(UserWarning, match="these models give one answer at a time, so concurrency 8 is 1"):
        engine = Engine(tiny_model(1), tiny_model(2), concurrency=8)
    params = SamplingParams(max_tokens=20)
    prompts = [f"How many {word}?" for word in ("apples", "pears", "plums")]
    assert engine.inner.concurrency == 1
    assert [a.text for a in engine.generate(prompts, params)] == [engine.generate(p, params).text for p in prompts]


@pytest.mark.parametrize(
    ("fault", "why"), [({"fails_after": 0}, "the engine stopped."), ({"hangs_after": 0}, "longer than 0.05 s")]
)
def test_without_a_draft_the_target_answers_alone(codec: Codec, fault: dict[str, int], why: str) -> None:
    drafter = Fickle(codec, TEXT, **fault)  # type: ignore[arg-type]
    answer = Engine(rejecting(codec), drafter, draft_timeout=0.05).generate("How many?")
    assert answer.text == TEXT.upper()
    assert (answer.trace.draft_tokens, answer.trace.verify_passes) == (0, 0)
    assert "the target answered alone: " in answer.trace.warnings[0]
    assert why in answer.trace.warnings[0]
    assert drafter.in_flight == 0


LINE = "Two and two are four.\n"


@pytest.mark.parametrize(
    ("fault", "why"),
    [(BackendError("the engine stopped."), "the engine stopped."), (TimeoutError(), "longer than 60 s")],
)
@pytest.mark.parametrize("stop", [(), ("no such text",)])
def test_an_unfinished_draft_is_a_draft(codec: Codec, fault: Exception, why: str, stop: tuple[str, ...]) -> None:
    """What was drafted until the time was up, or the drafter failed, was thrown away."""
    target = Fickle(codec, TEXT[: len(LINE)] + TEXT[len(LINE) :].upper(), lambda prefix: float(prefix == LINE))
    drafter = Fickle(codec, TEXT, fails_after=30, fault=fault)
    engine = Engine(target, drafter, ParseConfig(delta=len(LINE)), draft_timeout=60)
    events = list(engine.stream("How many?", SamplingParams(stop=stop)))
    assert isinstance(events[-1], Done)
    answer = events[-1].answer
    assert answer.text == LINE + TEXT[len(LINE) :].upper()
    assert (answer.trace.draft_text, answer.trace.committed_text) == (TEXT[:30], LINE)
    assert "".join(event.text for event in events if isinstance(event, Drafting)) == TEXT[:30]
    assert "unfinished" in answer.trace.warnings[0]
    assert why in answer.trace.warnings[0]
    assert drafter.in_flight == 0


def test_an_unfinished_draft_is_no_full_answer(codec: Codec) -> None:
    """However sure the target is of it, it goes on."""
    answer = Engine(Fickle(codec, TEXT), Fickle(codec, TEXT, fails_after=30)).generate("How many?")
    assert (answer.text, answer.trace.committed_tokens, answer.finish_reason) == (TEXT, 30, "stop")


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


@pytest.mark.parametrize("listed", [False, True])
def test_an_error_stands_in_its_prompts_place(codec: Codec, listed: bool) -> None:
    """One bad prompt ended all the others."""
    engine = Engine(rejecting(codec), ScriptedModel(codec, TEXT))
    prompts: list[Any] = ["one", " ", 5, "four", "x" * 3000, [{"role": "robot", "content": "x"}], "seven"]
    given = engine.generate(prompts) if listed else list(engine.map(iter(prompts)))
    assert [str(each) for each in given if isinstance(each, Answer)] == [TEXT.upper()] * 3
    errors = {number: each for number, each in enumerate(given, start=1) if not isinstance(each, Answer)}
    assert [*errors] == [2, 3, 5, 6]
    for (number, error), words in zip(
        errors.items(), ("is empty", "of type int", "beyond", "role 'robot'"), strict=True
    ):
        assert isinstance(error, PromptError)
        assert str(error).startswith(f"prompt {number}: ")
        assert words in str(error)


def test_an_answer_that_fails_leaves_the_others(codec: Codec) -> None:
    class Once(ScriptedModel):
        async def decode(self, tokens: Sequence[int], *args: Any) -> AsyncGenerator[int]:
            if self.codec.encode("z")[0] in tokens:
                raise BackendError("the engine stopped.")
            async for token in super().decode(tokens, *args):
                yield token

    one, error, three = Engine(Once(codec, TEXT), None).generate(["one", "z", "three"], method="target")
    assert str(one) == str(three) == TEXT
    assert isinstance(error, BackendError)
    assert (error.prompt_number, str(error)) == (2, "prompt 2: the engine stopped. (phase: continue)")


def test_what_is_wrong_with_all_prompts_is_raised(codec: Codec) -> None:
    engine = Engine(rejecting(codec), None)
    with pytest.raises(ConfigError, match="needs a drafter"):
        engine.generate(["one", "two"])
    for prompts in ("one text", 5):
        with pytest.raises(PromptError, match="must be a list"):
            list(engine.map(prompts, method="target"))  # type: ignore[arg-type]


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

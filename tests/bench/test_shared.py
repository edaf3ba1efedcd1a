"""What methods have in common is written once, and is the same as if it were written each time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from parse_engine.backends.base import Usage
from parse_engine.bench import lineup
from parse_engine.bench.lineup import load_lineup
from parse_engine.bench.methods import parse_method
from parse_engine.bench.shared import SharedModel
from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.text import Codec
from parse_engine.trace import Answer
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

GREEDY = SamplingParams(max_tokens=50)
METHODS = ("target", "draft", "cascade", "parse")


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


def written(
    model: SharedModel, tokens: list[int], params: SamplingParams, *, logprobs: bool
) -> tuple[list[int], Usage]:
    async def write() -> tuple[list[int], Usage]:
        usage = Usage(logprobs=[] if logprobs else None)
        return [token async for token in model.decode(tokens, params, params.max_tokens, usage)], usage

    return asyncio.run(write())


def prompt(codec: Codec) -> list[int]:
    return codec.encode("<|user|>How many?<|end|><|assistant|>")


def test_a_greedy_answer_is_written_once(codec: Codec) -> None:
    inner = ScriptedModel(codec, "It is six.")
    model = SharedModel(inner)
    first, usage = written(model, prompt(codec), GREEDY, logprobs=False)
    again, more = written(model, prompt(codec), GREEDY, logprobs=True)
    assert first == again == [*codec.encode("It is six."), *inner.eos]
    assert (usage.logprobs, more.logprobs) == (None, [-0.5] * len(again))
    assert usage.computed_tokens == more.computed_tokens
    assert len(inner.decoded) == 1


@pytest.mark.parametrize(
    "params", [replace(GREEDY, max_tokens=5), replace(GREEDY, temperature=0.7)], ids=["shorter", "drawn"]
)
def test_another_answer_is_written_again(codec: Codec, params: SamplingParams) -> None:
    inner = ScriptedModel(codec, "It is six.")
    model = SharedModel(inner)
    for own in (GREEDY, params, params):
        written(model, prompt(codec), own, logprobs=False)
    assert len(inner.decoded) == (2 if params.greedy else 3)


def test_an_answer_that_was_given_up_is_not_kept(codec: Codec) -> None:
    inner = ScriptedModel(codec, "It is six.")
    model = SharedModel(inner)

    async def give_up() -> None:
        async with aclosing(model.decode(prompt(codec), GREEDY, 50, Usage())) as generated:
            await anext(generated)

    asyncio.run(give_up())
    whole, _ = written(model, prompt(codec), GREEDY, logprobs=False)
    assert codec.decode(whole).startswith("It is six.")
    assert len(inner.decoded) == 2


@pytest.mark.parametrize("belief", [0.1, 0.9])
def test_methods_answer_as_they_do_alone(codec: Codec, monkeypatch: pytest.MonkeyPatch, belief: float) -> None:
    def answers(*, share: bool) -> tuple[list[Answer], ScriptedModel, ScriptedModel]:
        target = ScriptedModel(codec, "It is six.", lambda prefix: belief)
        drafter = ScriptedModel(codec, "It is seven.")
        monkeypatch.setattr(lineup, "load_pair", lambda *names, **options: (target, drafter))
        own = load_lineup(
            [parse_method(name) for name in METHODS], "big", "small", ParseConfig(delta=4), 1, share=share
        )
        messages: Any = [{"role": "user", "content": "How many?"}]

        async def run() -> list[Answer]:
            return [await own.answer(method, messages, GREEDY) for method in METHODS]

        return asyncio.run(run()), target, drafter

    shared, target, drafter = answers(share=True)
    alone, _, _ = answers(share=False)
    for mine, theirs in zip(shared, alone, strict=True):
        assert replace(mine, trace=replace(mine.trace, seconds=theirs.trace.seconds)) == theirs
    assert len(drafter.decoded) == 1
    assert len(target.decoded) == 1  # a draft that was rejected as a whole leads to the plain answer

"""Answers that methods have in common, written once: for runs that compare accuracy alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from parse_engine.backends.base import Model, Usage
from parse_engine.bench.wrapped import WrappedModel
from parse_engine.config import SamplingParams


@dataclass(frozen=True)
class _Written:
    """What a model wrote, to the end."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    """None of them where the back end does not tell."""
    computed_tokens: int


class SharedModel(WrappedModel):
    """A model that writes each greedy answer once, and says the same when asked again.

    Methods have the same draft, and a target that rejects all of it writes what the plain target writes. Answers that
    are drawn, or not taken to their end, are not kept. Passes are computed every time.
    """

    def __init__(self, model: Model):
        super().__init__(model)
        self._kept: dict[tuple[tuple[int, ...], int], _Written] = {}

    async def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        key = tuple(tokens), max_tokens
        if params.greedy and key in self._kept:
            kept = self._kept[key]
            usage.computed_tokens += kept.computed_tokens
            if usage.logprobs is not None:
                usage.logprobs += kept.logprobs
            for token in kept.tokens:
                yield token
            return
        told = usage.logprobs if usage.logprobs is not None else []  # whoever asks next may want them
        own = Usage(logprobs=told if "sampled" in self.signals else None)
        before, first = usage.computed_tokens, len(told)
        written: list[int] = []

        def keep() -> None:
            if params.greedy:
                self._kept[key] = _Written(tuple(written), tuple(told[first:]), own.computed_tokens)

        async with aclosing(self._model.decode(tokens, params, max_tokens, own)) as generated:
            async for token in generated:
                usage.computed_tokens = before + own.computed_tokens
                written.append(token)
                if token in self.eos or len(written) == max_tokens:
                    keep()  # nobody need ask whether there is more
                yield token
        keep()

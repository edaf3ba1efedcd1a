"""A model that writes what it is told to, for tests of the loop."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence

from parse_engine.backends.base import Scores, Signal, Usage, VerifyRequest
from parse_engine.config import SamplingParams
from parse_engine.text import Codec


class ScriptedModel:
    """Continues `answer` from wherever the text after the prompt agrees with it, then ends.

    `believes` gives the confidence for a prefix of draft text; requests are kept in `verified`.
    """

    def __init__(
        self,
        codec: Codec,
        answer: str,
        believes: Callable[[str], float] = lambda prefix: 1.0,
        *,
        ends: bool = True,
        context_length: int = 2048,
        agrees: bool = False,
    ):
        self.name = "scripted"
        self.codec = codec
        self.context_length = context_length
        self.eos = frozenset(codec.encode("<|end|>"))
        self.fingerprint = self.name
        self.signals: frozenset[Signal] = frozenset({"logprobs", "sampled"})
        self.concurrency = 4
        self.block_size = 1
        self.closed = False
        self.answer = codec.encode(answer)
        self.believes = believes
        self.ends = ends
        self.agrees = agrees
        self.verified: list[VerifyRequest] = []
        self.decoded: list[list[int]] = []
        self.prompt: list[int] = []

    async def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        self.decoded.append(list(tokens))
        for token in self._script(tokens)[:max_tokens]:
            if usage.logprobs is not None:
                usage.logprobs.append(-0.5)
            yield token
            await asyncio.sleep(0)

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        self.verified.append(request)
        usage.verify_passes += 1
        beliefs = [self.believes(self.codec.decode(request.draft[:end])) for end in request.boundaries]
        return Scores(
            labels=tuple((p, 1 - p) for p in beliefs),
            logprobs=(0.0,) * len(request.draft),
            agrees=tuple(self.agrees and self._agreeing(request, at, 1) > 0 for at in range(len(request.draft))),
            agreeing=lambda accepted: self._agreeing(request, accepted) if self.agrees else 0,
        )

    async def forget(self) -> bool:
        return True

    async def close(self) -> None:
        self.closed = True

    def _script(self, tokens: Sequence[int]) -> list[int]:
        start = list(tokens).index(self.codec.encode("<|assistant|>")[0]) + 1
        return [*self.answer[len(tokens) - start :], *(self.eos if self.ends else self.answer * 50)]

    def _agreeing(self, request: VerifyRequest, accepted: int, most: int | None = None) -> int:
        script = self._script([*request.prompt, *request.draft[:accepted]])
        pairs = zip(script[:most], request.draft[accepted:], strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))

"""A model that writes what it is told to, for tests of the loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from parse_engine.backends.base import Scores, VerifyRequest
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
        self.computed_tokens = 0
        self.answer = codec.encode(answer)
        self.believes = believes
        self.ends = ends
        self.agrees = agrees
        self.verified: list[VerifyRequest] = []
        self.decoded: list[list[int]] = []
        self.prompt: list[int] = []

    def decode(self, tokens: Sequence[int], params: SamplingParams, max_tokens: int) -> Iterator[int]:
        self.decoded.append(list(tokens))
        start = list(tokens).index(self.codec.encode("<|assistant|>")[0]) + 1
        done = len(tokens) - start
        script = [*self.answer[done:], *(self.eos if self.ends else self.answer * 50)]
        yield from script[:max_tokens]

    def verify(self, request: VerifyRequest) -> Scores:
        self.verified.append(request)
        beliefs = [self.believes(self.codec.decode(request.draft[:end])) for end in request.boundaries]
        return Scores(labels=tuple((p, 1 - p) for p in beliefs), logprobs=(0.0,) * len(request.draft))

    def forget(self) -> None:
        pass

    def agreeing(self, tokens: Sequence[int], proposal: Sequence[int]) -> int:
        if not self.agrees:
            return 0
        own = self.decode(tokens, SamplingParams(), len(proposal))
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(own, proposal, strict=False)))

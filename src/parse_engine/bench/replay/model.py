"""Models that do the whole work of recorded calls, and answer what was recorded."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from parse_engine.backends.base import Model, Usage
from parse_engine.bench.replay.profile import Judged
from parse_engine.bench.wrapped import WrappedModel
from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.verifier import Verdict, Verifier
from parse_engine.text import Codec
from parse_engine.trace import BoundaryVerdict

END = -1
"""Ends an answer; no model writes it."""


@dataclass(frozen=True)
class Call:
    """One call of `decode`."""

    tokens: int
    """Tokens that the model writes; an end of turn is one of them."""
    last: int | None = None
    """What stands for the last of them."""


class RecordedCodec(Codec):
    """A tokenizer of made-up words. All of a draft is handed over, words that it does not know as the unknown one."""

    def carry(self, text: str, after: Sequence[int] = ()) -> tuple[list[int], str]:
        return self.encode_after(text, after), ""


class Replayed(WrappedModel):
    """A model whose answers have recorded lengths: `decode` takes its calls in their order, `verify` is the model's."""

    def __init__(self, model: Model, codec: Codec, calls: Iterable[Call] = ()):
        super().__init__(model)
        self.codec = codec
        self.eos = frozenset({END})
        self._calls = iter(calls)

    async def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        """Writes as many tokens as were recorded, whatever `max_tokens` is."""
        call = next(self._calls)
        left = call.tokens
        async with aclosing(self._model.decode(tokens, params, call.tokens, usage)) as generated:
            async for token in generated:
                left -= 1
                yield token if left or call.last is None else call.last


class RecordedVerifier(Verifier):
    """Judges recorded prefixes in one pass of the target, and gives the recorded verdicts (p is 1 or 0)."""

    def __init__(self, target: Model, config: ParseConfig, judged: Judged):
        super().__init__(target, config)
        self._recorded = judged

    async def verify(self, context: Sequence[int], draft: Draft, usage: Usage, *, greedy: bool) -> Verdict:
        recorded = self._recorded
        ends, accepted, committed = recorded.ends, recorded.accepted, recorded.committed
        request = self._judge.request(context, draft, ends)
        scores = await self._target.verify(request, usage)
        confidences = self._judge.confidences(draft, ends, scores)
        if greedy and self._config.keep_agreeing:
            # Of random models nothing agrees: a reading for each token that did, and one for the first that did not.
            for kept in range(accepted, min(committed + 1, len(draft.tokens))):
                scores.agreeing(kept)
        verdicts = tuple(
            BoundaryVerdict(end, float(end <= accepted), confidence.label_mass, accepted=end <= accepted)
            for end, confidence in zip(ends, confidences, strict=True)
        )
        return Verdict(verdicts, accepted, committed)

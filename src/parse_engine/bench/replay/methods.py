"""The methods that can be replayed: for each the engine's own loop, around models with recorded calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from parse_engine.backends.base import Model
from parse_engine.bench.methods import LOOPS
from parse_engine.bench.replay.model import END, Call, RecordedVerifier, Replayed
from parse_engine.bench.replay.profile import Judged, Recorded, Step
from parse_engine.bench.specreason import THRESHOLD, SpecReason
from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.engine import AsyncEngine
from parse_engine.text import Codec
from parse_engine.trace import Answer, Method

METHODS = ("target", "draft", "cascade", "specreason", "parse")


@dataclass(frozen=True)
class Models:
    """A loaded pair. The codecs are one object where both have the same vocabulary."""

    target: Model
    drafter: Model
    target_codec: Codec
    drafter_codec: Codec


@dataclass(frozen=True)
class Prepared:
    """An answer that can be given once."""

    engine: AsyncEngine
    loop: Method
    prompt: str
    params: SamplingParams

    async def answer(self) -> Answer:
        return await self.engine.generate(self.prompt, self.params, method=self.loop, raw=True)


def prepare(method: str, models: Models, recorded: Recorded, prompt: Sequence[int], config: ParseConfig) -> Prepared:
    """An engine for one answer of a method, with all that need not be timed."""
    text, params = " ".join(map(str, prompt)), SamplingParams(max_tokens=recorded.most)
    if method == "target":
        alone = Replayed(models.target, models.target_codec, [Call(recorded.target + 1, END)])
        return Prepared(AsyncEngine(alone, None, config), "target", text, params)
    if method == "specreason":
        return Prepared(_specreason(models, recorded.steps), "parse", text, params)
    cascade = method == "cascade"
    own = replace(config, **LOOPS["cascade"][1]) if cascade else config
    engine = _parse(models, recorded.cascade if cascade else recorded.parse, own)
    return Prepared(engine, "draft" if method == "draft" else "parse", text, params)


def _parse(models: Models, judged: Judged, config: ParseConfig) -> AsyncEngine:
    target = Replayed(models.target, models.target_codec, [Call(judged.written + 1, END)])
    drafter = Replayed(models.drafter, models.drafter_codec, [Call(judged.draft + 1, END)])
    engine = AsyncEngine(target, drafter, config)
    engine.verifier = RecordedVerifier(target, config, judged)
    return engine


def _specreason(models: Models, steps: Sequence[Step]) -> SpecReason:
    """The last step ends the answer. A step's last token is its number: a step that repeats the one before would."""
    of_target: list[Call] = []
    of_drafter: list[Call] = []
    for number, step in enumerate(steps, start=1):
        is_last = number == len(steps)
        accepted = step.written == 0
        of_drafter.append(Call(step.draft + 1, END) if is_last and accepted else Call(step.draft, number))
        of_target.append(Call(1, THRESHOLD if accepted else 0))
        if not accepted:
            of_target.append(Call(step.written + 1, END) if is_last else Call(step.written, number))
    return SpecReason(
        Replayed(models.target, models.target_codec, of_target),
        Replayed(models.drafter, models.drafter_codec, of_drafter),
    )

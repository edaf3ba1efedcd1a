"""What each phase costs on this device and engine, and what a setting would take by that.

    target alone     prompt tokens * row  +  answer tokens * target
    PARSE            draft tokens * draft  +  pass + rows * row + reading  +  tokens behind the boundary * target

The rows of a pass are the prompt, the draft and the suffixes; the target goes on from what the pass left in its cache.

Only for choosing: whatever is reported as a speed is measured by the bench.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import nnls

from parse_engine.backends.base import Model, Usage, VerifyRequest
from parse_engine.calibration.cases import Case
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.features import signals_for
from parse_engine.prefix.judges import Fit, PromptJudge

PASSES = 4  # of each kind are timed, or as many as are in flight


@dataclass(frozen=True)
class Costs:
    """Seconds, with `concurrency` answers in flight: an answer's share of the wall clock."""

    target: float
    """Per token that the target writes; its prompt is counted in rows."""
    draft: float
    """Per token that the drafter writes, its share of the prompt included."""
    verify: float
    """Per pass, however long."""
    row: float
    """Per row that the target computes of a prompt, a draft or a suffix."""
    read: float
    """Per draft token whose log-probability is read, which takes the LM head."""

    def alone(self, case: Case) -> float:
        """Of the target's own answer."""
        return case.prompt_tokens * self.row + case.target.tokens * self.target

    def parse(self, case: Case, prefixes: int, accepted: int | None, *, asks: bool, reads: bool) -> float:
        """Of PARSE with so many judged prefixes; `accepted`: which of the case's ends is committed, None for none."""
        rows = case.draft.tokens + (prefixes * case.suffix_tokens if asks else 0)
        judging = self.verify + rows * self.row + (case.draft.tokens * self.read if reads else 0.0)
        left = case.target.tokens if accepted is None else case.outcomes[accepted].tokens
        left -= case.agreeing(accepted) if reads and prefixes else 0
        reading = case.prompt_tokens * self.row  # by the pass, or by the target that answers alone
        return reading + case.draft.tokens * self.draft + judging * bool(prefixes) + left * self.target


def reads_tokens(fit: Fit) -> bool:
    """Whether a judge needs the LM head over the draft."""
    return bool(signals_for(fit.names) & {"logprobs", "entropy"})


def costs_of(stages: Iterable[Mapping[str, Any]], passes: Sequence[tuple[int, int, float]], prompt: float) -> Costs:
    """From the stages of the collection, and timed passes: rows, draft tokens read, seconds.

    Args:
        prompt: tokens of a prompt, on average.
    """
    total = defaultdict[tuple[str, str], float](float)
    for line in stages:
        for unit in ("seconds", "tokens", "calls"):
            total[line["stage"], unit] += line[unit]
    rows, read, spent = (np.array(column, dtype=np.float64) for column in zip(*passes, strict=True))
    found, _ = nnls(np.stack([np.ones_like(rows), rows, read], axis=1), spent)
    verify, row, each = (float(value) for value in found)
    writing = max(0.0, total["target", "seconds"] - total["target", "calls"] * prompt * row)
    target = writing / max(total["target", "tokens"], 1)
    draft = total["draft", "seconds"] / max(total["draft", "tokens"], 1)
    return Costs(target, draft, verify, row, each)


async def time_passes(
    model: Model, asking: PromptJudge, prompt: int, draft: int, prefixes: int, concurrency: int
) -> list[tuple[int, int, float]]:
    """Rows, draft tokens read, and an answer's seconds of passes over random tokens, `concurrency` of them at a time.

    With suffixes, and with log-probabilities instead, for drafts of half this length and of twice; several times with
    few in flight. The prefix cache is empty before each.
    """
    generator = np.random.default_rng(0)
    free = model.signals - {"sampled"}

    def request(length: int, *, reading: bool) -> VerifyRequest:
        tokens = generator.integers(model.codec.size, size=prompt + length).tolist()
        ends = sorted({max(1, length * (at + 1) // prefixes) for at in range(prefixes)} | {length})
        if reading:
            return VerifyRequest(tuple(tokens[:prompt]), tuple(tokens[prompt:]), tuple(ends), signals=free)
        return asking.request(tokens[:prompt], Draft("", tuple(tokens[prompt:]), (), complete=True), ends)

    async def timed(length: int, *, reading: bool) -> tuple[int, int, float]:
        requests = [request(length, reading=reading) for _ in range(concurrency)]
        await model.forget()
        began = time.perf_counter()
        await asyncio.gather(*(model.verify(each, Usage()) for each in requests))
        seconds = (time.perf_counter() - began) / concurrency
        return prompt + length + sum(map(len, requests[0].suffixes)), length if reading else 0, seconds

    room = model.context_length - prompt - asking.longest_suffix
    lengths = sorted({max(1, min(room, round(times * draft))) for times in (0.5, 2)})
    kinds = (False, True) if "logprobs" in free else (False,)
    repeats = range(max(1, PASSES // concurrency))
    return [await timed(length, reading=reading) for length in lengths for reading in kinds for _ in repeats]

"""Watching a promise on live answers: some of them are given again by the target alone, and compared.

No key is needed. What is watched is how often the final answers differ, against what the profile saw at most
(`Profile.disagreement`). The evidence is an e-value, a test martingale (Ville; Waudby-Smith and Ramdas, 2023): it may
be looked at after every answer, and at an unchanged rate it ever reaches 1/level with a probability of at most `level`.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from parse_engine.calibration.agreement import same_answer
from parse_engine.config import SamplingParams
from parse_engine.engine import AsyncEngine
from parse_engine.errors import OverloadedError
from parse_engine.prompt import Prompt
from parse_engine.trace import Answer

LEVEL = 0.01
"""Probability of a false alarm, over the whole life of an audit."""
WORSE = (1.25, 1.5, 2.0, 3.0, 5.0)
"""How many times the expected rate the alternatives are, whose evidence is averaged."""


@dataclass
class Watch:
    """Evidence that something happens more often than `expected`."""

    expected: float
    seen: int = 0
    hits: int = 0
    alarm: bool = False
    """Whether the evidence has ever sufficed at `LEVEL`."""
    _bets: list[float] = field(default_factory=list)  # log evidence for each alternative

    def __post_init__(self) -> None:
        if not 0 < self.expected < 1:
            raise ValueError(f"the expected rate {self.expected} is not between 0 and 1")
        self._bets = [0.0] * len(self._rates)

    def see(self, hit: bool) -> None:
        """One more answer."""
        self.seen += 1
        self.hits += hit
        for at, rate in enumerate(self._rates):
            self._bets[at] += math.log(rate / self.expected if hit else (1 - rate) / (1 - self.expected))
        self.alarm = self.alarm or self.evidence >= 1 / LEVEL

    @property
    def evidence(self) -> float:
        """The e-value: 1 says nothing, 100 would come with a probability of 1 % at most were all as expected."""
        return sum(math.exp(min(bet, 700.0)) for bet in self._bets) / len(self._bets)

    @property
    def _rates(self) -> Sequence[float]:
        # An alternative beyond 1 is taken half-way there.
        return [min(worse * self.expected, (1 + self.expected) / 2) for worse in WORSE]


class Audit:
    """Gives a share of the answers of an engine with a profile once more, by the target alone.

    `watch` says what has come of it; once it raises the alarm it is time to calibrate again.
    """

    def __init__(self, engine: AsyncEngine, share: float, seed: int | None = None):
        """`share`: of the answers, in [0, 1].

        Raises:
            ValueError: the share is none, or the engine has no profile.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"the share {share} is not in [0, 1]")
        if engine.profile is None:
            raise ValueError("only what a profile promises can be audited")
        self.watch = Watch(engine.profile.disagreement)
        self._engine, self._share, self._random = engine, share, random.Random(seed)

    async def after(self, prompt: Prompt, answer: Answer, params: SamplingParams, *, raw: bool = False) -> bool | None:
        """Maybe audit an answer that PARSE has given; whether the target's is the same, None when it was not asked.

        Answers that are drawn (temperature above 0) differ by chance and are not audited, nor is anything while the
        engine is overloaded. Takes as long as the target takes: call it in a task of its own, after the answer is
        delivered.
        """
        if answer.trace.method != "parse" or not params.greedy or self._random.random() >= self._share:
            return None
        try:
            own = await self._engine.generate(prompt, params, method="target", raw=raw)
        except OverloadedError:
            return None
        same = await asyncio.to_thread(same_answer, answer.text, own.text)  # mathematics may take seconds
        self.watch.see(not same)
        return same

"""Calibration cases from a population whose truth is known, for simulate.py and for tests.

    draft     right right right | wrong wrong wrong        from a hidden token on, or never
    signals   high, and noisy   | low, and noisy           of a question and of a token
    committed the target's own  | mostly wrong             what comes of a prefix that ends there

Drafts cannot be told from each other with certainty, so every setting that saves time loses some answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from parse_engine.backends.base import Signal
from parse_engine.calibration.cases import Case, Outcome
from parse_engine.calibration.costs import Costs
from parse_engine.prefix.features import Features

DELTAS = (16, 32)
MAX_PREFIXES = 16
SIGNALS: frozenset[Signal] = frozenset({"logprobs", "entropy", "sampled"})
COSTS = Costs(target=0.03, draft=0.006, verify=0.03, row=0.0002, read=0.0001)
"""Of a drafter that is five times as fast as its target."""

TARGET_RIGHT = (0.8, 0.2)
"""Beta distribution of a question's chance that the target has it right: most are nearly sure, either way."""
DRAFT_RIGHT = 0.72
"""Of the drafts, where the target is sure to be right; in proportion elsewhere."""
COMPLETE = 0.95
REDRAWN = 0.1
"""How often a right prefix turns the target's answer into another one, as good as its first."""
REPAIRED = 0.2
"""How often a wrong prefix turns out right nevertheless, where the target is sure to be right."""


class Drawn(Case):
    """A case that works its features out once: a search asks for them several times."""

    def features(self, delta: int) -> Features:
        if delta not in self._features:
            self._features[delta] = super().features(delta)
        return self._features[delta]

    @cached_property
    def _features(self) -> dict[int, Features]:
        return {}


def draw(count: int, seed: int | Sequence[int], *, width: int = 0) -> list[Case]:
    """Questions of the population.

    Args:
        width: of the hidden states; 0 for none.
    """
    generator = np.random.default_rng(seed)
    return [_case(str(number), generator, width) for number in range(count)]


def _case(name: str, generator: np.random.Generator, width: int) -> Case:
    chance = generator.beta(*TARGET_RIGHT)
    length, complete = int(generator.integers(40, 161)), bool(generator.random() < COMPLETE)
    wrong_from = length if generator.random() < DRAFT_RIGHT * chance else int(generator.integers(length))
    right = bool(generator.random() < chance)
    target = Outcome(right, int(length * generator.uniform(0.8, 1.2)), float(right), same=True)
    draft_right = complete and wrong_from == length
    draft = Outcome(draft_right, length, float(draft_right), same=draft_right and right)
    cuts = {delta: [*range(delta, length, delta), length] for delta in DELTAS}
    ends = sorted({end for each in cuts.values() for end in each})
    outcomes = [_outcome(end, wrong_from, chance, target, generator) for end in ends]
    if complete:
        outcomes[-1] = Outcome(draft_right, 0, draft.share, draft.same)
    return Drawn(
        task="population",
        question=name,
        asked="",
        prompt_tokens=60,
        target=target,
        draft=draft,
        complete=complete,
        ends=tuple(ends),
        cuts={delta: tuple(ends.index(end) for end in each) for delta, each in cuts.items()},
        outcomes=tuple(outcomes),
        suffix_tokens=16,
        **_signals(np.array(ends), wrong_from, generator, width),
    )


def _outcome(end: int, wrong_from: int, chance: float, target: Outcome, generator: np.random.Generator) -> Outcome:
    """What the target makes of a prefix."""
    again, repaired = generator.random(2) < (chance, REPAIRED * chance)
    right = bool(again if generator.random() < REDRAWN else target.right) if end <= wrong_from else bool(repaired)
    return Outcome(right, max(1, target.tokens - end), float(right), same=right and target.right)


def _signals(ends: Any, wrong_from: int, generator: np.random.Generator, width: int) -> dict[str, Any]:
    """Whatever a judge can read: lower from the wrong token on, by less than questions differ among themselves."""
    wrong = np.arange(ends[-1]) >= wrong_from
    style, manner, look = generator.normal(size=3)
    logprobs = -generator.exponential(0.3 * np.exp(0.7 * style + 0.6 * wrong))
    odds = 1.2 + 0.8 * manner - 1.8 * (ends > wrong_from) + generator.normal(size=len(ends))
    p = 1 / (1 + np.exp(-odds))
    states = generator.normal(size=(len(ends), 2, width)) + look + (ends > wrong_from)[:, None, None]
    return {
        "labels": tuple(zip((0.98 * p).tolist(), (0.98 * (1 - p)).tolist(), strict=True)),
        "logprobs": tuple(logprobs.tolist()),
        "agrees": tuple((logprobs > np.log(0.5)).tolist()),
        "entropy": tuple(generator.exponential(0.5 * np.exp(0.7 * style + 0.4 * wrong)).tolist()),
        "drafted": tuple((-generator.exponential(0.2 * np.exp(0.5 * style + 0.3 * wrong))).tolist()),
        "hidden": states.astype(np.float32) if width else None,
    }

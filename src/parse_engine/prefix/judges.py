"""What a judge wants from the target's pass, and how it reads confidences out of it.

All judges are pure: `request` says which rows, suffixes and signals the pass needs, `confidences` turns the scores into
one number in [0, 1] per prefix. The back ends know none of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from parse_engine.backends.base import Scores, Signal, VerifyRequest
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.features import VERDICT, Features, Values, features, matrix, signals_for


@dataclass(frozen=True)
class Confidence:
    """One prefix: `p` in [0, 1], and the labels' share of the verdict's probability (None without labels)."""

    p: float
    label_mass: float | None = None

    def counted(self, min_label_mass: float) -> float:
        """`p`, or what passes no threshold where the labels have a smaller share: then the target answered nothing."""
        return -math.inf if self.label_mass is not None and self.label_mass < min_label_mass else self.p


class Judge(Protocol):
    """Decides how sure the target is of each prefix."""

    @property
    def longest_suffix(self) -> int:
        """Most tokens that one prefix adds behind itself."""

    @property
    def signals(self) -> frozenset[Signal]:
        """What it reads of the target's pass beyond verdicts."""

    @property
    def wants_drafter(self) -> bool:
        """Whether it reads the drafter's own log-probabilities, `Draft.logprobs`."""

    def request(self, prompt: Sequence[int], draft: Draft, boundaries: Sequence[int]) -> VerifyRequest:
        """What the pass has to compute for prefixes of so many draft tokens."""

    def confidences(self, draft: Draft, boundaries: Sequence[int], scores: Scores) -> list[Confidence]:
        """One per boundary."""


@dataclass(frozen=True)
class PromptJudge:
    """Asks the target after each prefix: P(Correct) over the two labels (PARSE, arXiv 2605.04263)."""

    full_suffix: tuple[int, ...]
    prefix_suffix: tuple[int, ...]
    correct: tuple[int, ...]
    incorrect: tuple[int, ...]
    longest_suffix: int = field(init=False)
    signals: frozenset[Signal] = field(init=False, default=frozenset())
    wants_drafter: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest_suffix", max(len(self.full_suffix), len(self.prefix_suffix)))

    def request(self, prompt: Sequence[int], draft: Draft, boundaries: Sequence[int]) -> VerifyRequest:
        last = self.full_suffix if draft.complete else self.prefix_suffix
        suffixes = (*[self.prefix_suffix] * (len(boundaries) - 1), last)
        labels = (self.correct, self.incorrect)
        return VerifyRequest(tuple(prompt), draft.tokens, tuple(boundaries), suffixes=suffixes, labels=labels)

    def confidences(self, draft: Draft, boundaries: Sequence[int], scores: Scores) -> list[Confidence]:
        assert scores.labels is not None
        return [
            Confidence(right / (right + wrong) if right + wrong > 0 else 0.0, right + wrong)
            for right, wrong in scores.labels
        ]


@dataclass(frozen=True)
class LikelihoodJudge:
    """Geometric mean of the target's probabilities of the draft tokens since the last boundary; adds no tokens."""

    longest_suffix: int = 0
    signals: frozenset[Signal] = frozenset({"logprobs"})
    wants_drafter: bool = False

    def request(self, prompt: Sequence[int], draft: Draft, boundaries: Sequence[int]) -> VerifyRequest:
        return VerifyRequest(tuple(prompt), draft.tokens, tuple(boundaries), signals=self.signals)

    def confidences(self, draft: Draft, boundaries: Sequence[int], scores: Scores) -> list[Confidence]:
        assert scores.logprobs is not None
        starts = (0, *boundaries[:-1])
        return [
            Confidence(math.exp(sum(scores.logprobs[start:end]) / (end - start)))
            for start, end in zip(starts, boundaries, strict=True)
        ]


@dataclass(frozen=True)
class Weights:
    """A logistic regression over named features."""

    names: tuple[str, ...]
    values: Values
    """[F] one weight per column of the features; hidden states have d columns each."""
    bias: float

    def confidences(self, found: Features) -> Values:
        """[N] in [0, 1); nothing is certain, so that a threshold of 1 lets nothing pass."""
        odds = matrix(found, self.names) @ self.values + self.bias
        return np.minimum(0.5 * (1 + np.tanh(odds / 2)), np.nextafter(1.0, 0.0))


@dataclass(frozen=True)
class Fit:
    """What was fitted for one judge. A full answer and a prefix are weighed apart: one is to be right, the other to be
    worth going on from."""

    full: Weights
    prefix: Weights

    @property
    def names(self) -> frozenset[str]:
        """The features that are read."""
        return frozenset((*self.full.names, *self.prefix.names))

    @property
    def asks(self) -> bool:
        """Whether the target is asked for verdicts, which costs suffixes."""
        return VERDICT in self.names


@dataclass(frozen=True)
class FittedJudge:
    """Weighs the features of a prefix; fitted to a pair of models by `parse-engine calibrate` (ours)."""

    fit: Fit
    asking: PromptJudge | None
    """How verdicts are asked for, where the fit reads them."""

    @property
    def longest_suffix(self) -> int:
        return self.asking.longest_suffix if self.asking else 0

    @property
    def signals(self) -> frozenset[Signal]:
        return signals_for(self.fit.names) - {"sampled"}

    @property
    def wants_drafter(self) -> bool:
        return "sampled" in signals_for(self.fit.names)

    def request(self, prompt: Sequence[int], draft: Draft, boundaries: Sequence[int]) -> VerifyRequest:
        if self.asking is None:
            return VerifyRequest(tuple(prompt), draft.tokens, tuple(boundaries), signals=self.signals)
        return replace(self.asking.request(prompt, draft, boundaries), signals=self.signals)

    def confidences(self, draft: Draft, boundaries: Sequence[int], scores: Scores) -> list[Confidence]:
        found = features(boundaries, draft, scores)
        p = self.fit.prefix.confidences(found)
        if draft.complete:
            p[-1] = self.fit.full.confidences(found)[-1]
        masses = [None] * len(p) if scores.labels is None else [right + wrong for right, wrong in scores.labels]
        return [Confidence(float(value), mass) for value, mass in zip(p, masses, strict=True)]

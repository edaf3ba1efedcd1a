"""What a judge wants from the target's pass, and how it reads confidences out of it.

Both judges are pure: `request` says which rows and suffixes the pass needs, `confidences` turns the scores into one
number in [0, 1] per prefix. The back ends know neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from parse_engine.backends.base import Scores, VerifyRequest


@dataclass(frozen=True)
class Confidence:
    """One prefix: `p` in [0, 1], and the labels' share of the verdict's probability (None without labels)."""

    p: float
    label_mass: float | None = None


class Judge(Protocol):
    """Decides how sure the target is of each prefix."""

    @property
    def longest_suffix(self) -> int:
        """Most tokens that one prefix adds behind itself."""

    def request(
        self, prompt: Sequence[int], draft: Sequence[int], boundaries: Sequence[int], complete: bool
    ) -> VerifyRequest:
        """What the pass has to compute. `complete`: the last boundary is a full answer."""

    def confidences(self, request: VerifyRequest, scores: Scores) -> list[Confidence]:
        """One per boundary."""


@dataclass(frozen=True)
class PromptJudge:
    """Asks the target after each prefix: P(Correct) over the two labels (PARSE, arXiv 2605.04263)."""

    full_suffix: tuple[int, ...]
    prefix_suffix: tuple[int, ...]
    correct: tuple[int, ...]
    incorrect: tuple[int, ...]
    longest_suffix: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "longest_suffix", max(len(self.full_suffix), len(self.prefix_suffix)))

    def request(
        self, prompt: Sequence[int], draft: Sequence[int], boundaries: Sequence[int], complete: bool
    ) -> VerifyRequest:
        last = self.full_suffix if complete else self.prefix_suffix
        suffixes = (*[self.prefix_suffix] * (len(boundaries) - 1), last)
        labels = (self.correct, self.incorrect)
        return VerifyRequest(tuple(prompt), tuple(draft), tuple(boundaries), suffixes=suffixes, labels=labels)

    def confidences(self, request: VerifyRequest, scores: Scores) -> list[Confidence]:
        assert scores.labels is not None
        return [
            Confidence(right / (right + wrong) if right + wrong > 0 else 0.0, right + wrong)
            for right, wrong in scores.labels
        ]


@dataclass(frozen=True)
class LikelihoodJudge:
    """Geometric mean of the target's probabilities of the draft tokens since the last boundary; adds no tokens."""

    longest_suffix: int = 0

    def request(
        self, prompt: Sequence[int], draft: Sequence[int], boundaries: Sequence[int], complete: bool
    ) -> VerifyRequest:
        return VerifyRequest(tuple(prompt), tuple(draft), tuple(boundaries), logprobs=True)

    def confidences(self, request: VerifyRequest, scores: Scores) -> list[Confidence]:
        assert scores.logprobs is not None
        starts = (0, *request.boundaries[:-1])
        return [
            Confidence(math.exp(sum(scores.logprobs[start:end]) / (end - start)))
            for start, end in zip(starts, request.boundaries, strict=True)
        ]

"""Paired statistics: both methods answered the same questions.

How often the intervals hold the truth is simulated by scripts/bench/interval_coverage.py (results/coverage.json). All
of them are over questions alone: how far a figure would move with other questions of the same kind. What makes a
whole run faster or slower, another load of the machine for instance, is not in them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Values = NDArray[np.float64]
Groups = Sequence[Hashable]
"""To which group each pair belongs; pairs of one group count together. Without groups each pair is its own."""
Speeds = tuple[Sequence[float], Sequence[float]]
"""Seconds of a method and of the target, for the same questions."""

LEVEL = 0.95
Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
HALVINGS = 50
"""Of the search for the end of an interval in [-1, 1]: exact to 15 decimals."""


def accuracy_difference(method: Sequence[bool], target: Sequence[bool]) -> float:
    """Accuracy of a method less that of the target on the same questions, as a fraction."""
    own, other = _paired(method, target)
    return float(np.mean(own - other))


def accuracy_difference_interval(
    method: Sequence[bool], target: Sequence[bool], groups: Groups | None = None
) -> Interval:
    """The 95 % interval of `accuracy_difference`, by `score_interval`.

    Pairs of one group may go right and wrong together. They are taken at the worst: as if all of a group were the same
    pair. So many pairs tell as much as Kish's effective number of independent ones (Survey Sampling, 1965).
    """
    own, other = _paired(method, target)
    sizes = [1] * len(own) if groups is None else [*Counter(groups).values()]
    effective = sum(sizes) ** 2 / sum(size**2 for size in sizes)
    gained, lost = (float((sign * (own - other) > 0).mean()) * effective for sign in (1, -1))
    return score_interval(gained, lost, effective)


def score_interval(gained: float, lost: float, pairs: float) -> Interval:
    """The 95 % interval of the difference of two paired proportions, (`gained` - `lost`) / `pairs`.

    It holds the differences that a score test does not refuse (Tango, Statistics in Medicine 17, 1998), with a
    continuity correction of half a pair. Where no pair differs it is not empty: of 100 such pairs it reaches 4.6 points
    to either side.
    """
    return _lowest(gained, lost, pairs), -_lowest(lost, gained, pairs)


def speed_ratio(method: Sequence[float], target: Sequence[float]) -> float:
    """The target's seconds for all questions over the method's; above 1 the method is faster."""
    own, other = _paired(method, target)
    return float(other.sum() / own.sum())


def speed_ratio_interval(
    method: Sequence[float], target: Sequence[float], groups: Groups | None = None
) -> Interval | None:
    """The 95 % interval of `speed_ratio`; None with a single group."""
    own, other = _paired(method, target)
    return _ratio_interval([other], [own], groups)


def speed_change(now: Speeds, then: Speeds) -> float:
    """The speed over the target in one run over that in another one, on the same questions; above 1 it has grown.

    Each run is measured against its own target, so a machine that is faster in one of them cancels out.
    """
    return speed_ratio(*now) / speed_ratio(*then)


def speed_change_interval(now: Speeds, then: Speeds, groups: Groups | None = None) -> Interval | None:
    """The 95 % interval of `speed_change`; None with a single group."""
    (own, target), (other, others_target) = _paired(*now), _paired(*then)
    return _ratio_interval([target, other], [own, others_target], groups)


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided exact McNemar test of equal accuracy: `gained` questions only the method has right, `lost` only the
    target."""
    n, fewer = gained + lost, min(gained, lost)
    ways, below = 1, 0
    for k in range(fewer + 1):
        below += ways
        ways = ways * (n - k) // (k + 1)
    return min(1.0, 2 * below / (1 << n))


def percentile(values: Sequence[float], percent: float) -> float:
    """Linear between the two nearest of the sorted values."""
    return float(np.quantile(np.asarray(values, dtype=np.float64), percent / 100))


def _paired(method: Sequence[float], target: Sequence[float]) -> tuple[Values, Values]:
    if len(method) != len(target) or not method:
        raise ValueError(f"paired values are needed: {len(method)} of the method, {len(target)} of the target.")
    return np.asarray(method, dtype=np.float64), np.asarray(target, dtype=np.float64)


def _lowest(gained: float, lost: float, pairs: float) -> float:
    """The lower end of `score_interval`, by halving."""
    low, high = -1.0, (gained - lost) / pairs
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        # The likeliest chance to lose a pair, where the chance to gain one is greater by `middle`.
        linear = (2 * pairs - gained + lost) * middle - gained - lost
        square = linear**2 + 8 * pairs * lost * middle * (1 - middle)
        chance = (math.sqrt(max(square, 0.0)) - linear) / (4 * pairs)
        variance = pairs * max(2 * chance + middle * (1 - middle), 0.0)
        if gained - lost - pairs * middle - 0.5 > Z * math.sqrt(variance):
            low = middle
        else:
            high = middle
    return low


def _ratio_interval(above: Sequence[Values], below: Sequence[Values], groups: Groups | None) -> Interval | None:
    """For the product of the sums `above` over the product of the sums `below`.

    Student's t around its logarithm; the spread is that of the logarithms when one group at a time is left out (the
    jackknife; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 11).
    """
    columns = np.stack([*above, *below])
    if groups is not None:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        places = [numbers[group] for group in groups]
        columns = np.stack([np.bincount(places, weights=column) for column in columns])
    count = columns.shape[1]
    if count < 2:
        return None
    signs = np.array([1.0] * len(above) + [-1.0] * len(below))
    sums = columns.sum(axis=1)
    without = signs @ np.log(sums[:, None] - columns)
    spread = math.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    middle, reach = float(signs @ np.log(sums)), _student(count - 1) * spread
    return math.exp(middle - reach), math.exp(middle + reach)


def _student(freedom: int) -> float:
    """The quantile of Student's t at `LEVEL` (Abramowitz and Stegun, 26.7.5): from two degrees of freedom on to 1 %."""
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / float(freedom) ** power for power, term in enumerate(terms, 1))

"""Paired statistics: both methods answered the same questions, so groups of pairs are resampled, not answers.

All intervals are over questions alone: how far a figure would move with other questions of the same kind. What makes a
whole run faster or slower, another load of the machine for instance, is not in them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Values = NDArray[np.float64]
Groups = Sequence[Hashable]
"""To which group each pair belongs; pairs of one group are drawn together. Without groups each pair is its own."""
Speeds = tuple[Sequence[float], Sequence[float]]
"""Seconds of a method and of the target, for the same questions."""

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 20_260_504
_CHUNK = 500  # resamples drawn at once; bounds the memory


def accuracy_difference(method: Sequence[bool], target: Sequence[bool]) -> float:
    """Accuracy of a method less that of the target on the same questions, as a fraction."""
    own, other = _paired(method, target)
    return float(np.mean(own - other))


def accuracy_difference_interval(
    method: Sequence[bool], target: Sequence[bool], groups: Groups | None = None
) -> Interval | None:
    """The 95 % interval of `accuracy_difference`; None with a single group, which says nothing about its spread."""
    own, other = _paired(method, target)
    return _interval([own - other], [np.ones_like(own)], groups)


def speed_ratio(method: Sequence[float], target: Sequence[float]) -> float:
    """The target's seconds for all questions over the method's; above 1 the method is faster."""
    own, other = _paired(method, target)
    return float(other.sum() / own.sum())


def speed_ratio_interval(
    method: Sequence[float], target: Sequence[float], groups: Groups | None = None
) -> Interval | None:
    """The 95 % interval of `speed_ratio`; None with a single group."""
    own, other = _paired(method, target)
    return _interval([other], [own], groups)


def speed_change(now: Speeds, then: Speeds) -> float:
    """The speed over the target in one run over that in another one, on the same questions; above 1 it has grown.

    Each run is measured against its own target, so a machine that is faster in one of them cancels out.
    """
    return speed_ratio(*now) / speed_ratio(*then)


def speed_change_interval(now: Speeds, then: Speeds, groups: Groups | None = None) -> Interval | None:
    """The 95 % interval of `speed_change`; None with a single group."""
    (own, target), (other, others_target) = _paired(*now), _paired(*then)
    return _interval([target, other], [own, others_target], groups)


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


def _interval(above: Sequence[Values], below: Sequence[Values], groups: Groups | None) -> Interval | None:
    """Percentile bootstrap, by groups, of the product of the sums `above` over the product of the sums `below`."""
    columns = np.stack([*above, *below])
    if groups is not None:
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        places = [numbers[group] for group in groups]
        columns = np.stack([np.bincount(places, weights=column) for column in columns])
    count = columns.shape[1]
    if count < 2:
        return None
    generator = np.random.default_rng(SEED)
    values: list[Values] = []
    for _ in range(RESAMPLES // _CHUNK):
        sums = columns[:, generator.integers(count, size=(_CHUNK, count))].sum(axis=-1)
        values.append(sums[: len(above)].prod(axis=0) / sums[len(above) :].prod(axis=0))
    tail = _tail(count)
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)


def _tail(count: int) -> float:
    """The share of the resamples that is left out at either end.

    A percentile interval of few groups is too narrow: it takes their spread for the true one, and that by a normal
    distribution. This widens it as Student's t does (Hesterberg, What Teachers Should Know About the Bootstrap, 2015).
    """
    normal = NormalDist()
    return normal.cdf(-((count / (count - 1)) ** 0.5) * _student(normal.inv_cdf((1 + LEVEL) / 2), count - 1))


def _student(z: float, freedom: int) -> float:
    """The quantile of Student's t where the normal distribution's is `z` (Abramowitz and Stegun, 26.7.5)."""
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3

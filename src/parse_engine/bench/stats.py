"""Paired bootstrap intervals: both methods answered the same questions, so questions are resampled, not answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
Values = NDArray[np.float64]

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 20_260_504
_CHUNK = 500  # resamples drawn at once; bounds the memory


def accuracy_difference(method: Sequence[bool], target: Sequence[bool]) -> float:
    """Accuracy of a method less that of the target on the same questions, as a fraction."""
    return float(_difference(*_paired(method, target)))


def accuracy_difference_interval(method: Sequence[bool], target: Sequence[bool]) -> Interval:
    """The 95 % interval of `accuracy_difference`."""
    return _interval(_difference, *_paired(method, target))


def speed_ratio(method: Sequence[float], target: Sequence[float]) -> float:
    """The target's seconds for all questions over the method's; above 1 the method is faster."""
    return float(_ratio_of_sums(*_paired(method, target)))


def speed_ratio_interval(method: Sequence[float], target: Sequence[float]) -> Interval:
    """The 95 % interval of `speed_ratio`."""
    return _interval(_ratio_of_sums, *_paired(method, target))


def _difference(method: Values, target: Values) -> Values:
    return np.asarray((method - target).mean(axis=-1))


def _ratio_of_sums(method: Values, target: Values) -> Values:
    return np.asarray(target.sum(axis=-1) / method.sum(axis=-1))


def _paired(method: Sequence[float], target: Sequence[float]) -> tuple[Values, Values]:
    if len(method) != len(target) or not method:
        raise ValueError(f"paired values are needed: {len(method)} of the method, {len(target)} of the target.")
    return np.asarray(method, dtype=np.float64), np.asarray(target, dtype=np.float64)


def _interval(statistic: Callable[[Values, Values], Values], method: Values, target: Values) -> Interval:
    """Percentile bootstrap. The statistic takes [..., questions] and gives [...]."""
    generator = np.random.default_rng(SEED)
    values = []
    for _ in range(RESAMPLES // _CHUNK):
        drawn = generator.integers(len(method), size=(_CHUNK, len(method)))
        values.append(statistic(method[drawn], target[drawn]))
    low, high = np.quantile(np.concatenate(values), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)

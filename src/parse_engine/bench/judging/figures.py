"""How good a judge is: ranking, calibration, false accepts and rejects, and the way of its boundary from the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from parse_engine.bench.judging.run import Judged
from parse_engine.bench.report.stats import LEVEL, Interval
from parse_engine.prefix.verdict import accepted_prefixes

RESAMPLES = 2000
SEED = 20_260_504
BINS = 10
GRID = tuple(round(step / 100, 2) for step in range(1, 100))
FOLDS = 5


@dataclass(frozen=True)
class AtThreshold:
    """What one threshold, for prefixes and full solutions alike, would have done with the first-failure rule."""

    threshold: float
    false_accepts: float
    """Share of the wrong solutions that are accepted whole."""
    false_rejects: float
    """Share of the right solutions that are not."""
    prefix_false_accepts: float
    """Share of the prefixes with a wrong step that pass by themselves."""
    prefix_false_rejects: float
    """Share of the prefixes without one that do not."""
    exact: float
    """Share of solutions whose boundary lies right before the first wrong step, or at the end when there is none."""
    late: float
    """Share whose boundary lies behind it: wrong steps are kept."""
    distance: float
    """Mean of the steps between the boundary and the truth, in either direction."""
    f1: float
    """ProcessBench's: harmonic mean of `exact` over the wrong solutions and over the right ones."""


@dataclass(frozen=True)
class JudgeFigures:
    """One judge on a set of solutions. Intervals are bootstraps at 95 %, by solution."""

    solutions: int
    prefixes: int
    auc_full: float
    """Probability that a right solution has a higher confidence than a wrong one."""
    auc_full_ci: Interval
    auc_prefix: float
    """The same for all prefixes of all solutions."""
    auc_prefix_ci: Interval
    brier: float
    """Mean squared difference between the confidence of a prefix and whether it is without a wrong step."""
    calibration_error: float
    """Mean distance of confidence and share of right prefixes over ten bins, weighted by prefixes."""
    calibration: list[dict[str, float]]
    """Per bin with prefixes in it: `p` (mean confidence), `right` (share) and `prefixes`."""
    f1: float
    """ProcessBench's F1, each fifth of the solutions at the threshold that is best on the others."""
    thresholds: list[dict[str, float]]
    roc_full: list[tuple[float, float]]
    """False accepts against accepts of the right, for full solutions."""
    roc_prefix: list[tuple[float, float]]
    suffix_tokens: float
    """Tokens that the judge adds to a pass, mean per solution."""
    label_mass: float | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def figures(judged: Sequence[Judged], judge: str) -> JudgeFigures:
    """The figures of one judge.

    Raises:
        ValueError: all solutions are right, or all wrong.
    """
    truth = np.array([right for each in judged for right in each.truth])
    p = np.array([value for each in judged for value in each.confidences[judge]])
    owner = np.array([number for number, each in enumerate(judged) for _ in each.truth])
    last = np.cumsum([each.steps for each in judged]) - 1
    prompt = judge == "prompt"
    masses = [mass for each in judged for mass in each.label_mass if mass is not None]
    return JudgeFigures(
        solutions=len(judged),
        prefixes=len(p),
        auc_full=auc(truth[last], p[last]),
        auc_full_ci=auc_interval(truth[last], p[last], owner[last]),
        auc_prefix=auc(truth, p),
        auc_prefix_ci=auc_interval(truth, p, owner),
        brier=float(((p - truth) ** 2).mean()),
        calibration_error=sum(abs(b["p"] - b["right"]) * b["prefixes"] for b in calibration(truth, p)) / len(p),
        calibration=calibration(truth, p),
        f1=_crossed_f1(judged, judge),
        thresholds=[asdict(at_threshold(judged, judge, threshold)) for threshold in GRID],
        roc_full=_roc(truth[last], p[last]),
        roc_prefix=_roc(truth, p),
        suffix_tokens=float(np.mean([each.suffix_tokens for each in judged])) if prompt else 0.0,
        label_mass=float(np.mean(masses)) if prompt and masses else None,
    )


def at_threshold(judged: Sequence[Judged], judge: str, threshold: float) -> AtThreshold:
    """What a threshold does; the solutions must be right and wrong ones."""
    kept = np.array([_kept(each.confidences[judge], threshold) for each in judged])
    valid = np.array([each.valid for each in judged])
    steps = np.array([each.steps for each in judged])
    right = valid == steps
    exact = kept == valid
    truth = np.array([true for each in judged for true in each.truth])
    passes = np.array([value >= threshold for each in judged for value in each.confidences[judge]])
    on_wrong, on_right = float(exact[~right].mean()), float(exact[right].mean())
    return AtThreshold(
        threshold=threshold,
        false_accepts=float((kept == steps)[~right].mean()),
        false_rejects=float((kept < steps)[right].mean()),
        prefix_false_accepts=float(passes[~truth].mean()),
        prefix_false_rejects=float((~passes)[truth].mean()),
        exact=float(exact.mean()),
        late=float((kept > valid).mean()),
        distance=float(np.abs(kept - valid).mean()),
        f1=_harmonic(on_wrong, on_right),
    )


def calibration(truth: NDArray[np.bool_], p: NDArray[np.float64]) -> list[dict[str, float]]:
    """Confidence against the share of right prefixes, in bins of equal width."""
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    return [
        {"p": float(p[bins == b].mean()), "right": float(truth[bins == b].mean()), "prefixes": int((bins == b).sum())}
        for b in range(BINS)
        if (bins == b).any()
    ]


def _kept(confidences: Sequence[float], threshold: float) -> int:
    return accepted_prefixes(
        list(confidences), threshold=threshold, full_threshold=threshold, rule="first-failure", complete=True
    )


def _crossed_f1(judged: Sequence[Judged], judge: str) -> float:
    """F1 of boundaries whose threshold was chosen on other solutions."""
    exact = np.zeros(len(judged), dtype=bool)
    right = np.array([each.valid == each.steps for each in judged])
    valid = np.array([each.valid for each in judged])
    kept = np.array([[_kept(each.confidences[judge], threshold) for threshold in GRID] for each in judged])
    folds = np.random.default_rng(SEED).permutation(len(judged)) % FOLDS
    for fold in range(FOLDS):
        others, own = folds != fold, folds == fold
        hits = kept == valid[:, None]
        scores = [
            _harmonic(_share(hits[others & ~right, t]), _share(hits[others & right, t])) for t in range(len(GRID))
        ]
        exact[own] = hits[own, int(np.argmax(scores))]
    return _harmonic(_share(exact[~right]), _share(exact[right]))


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else 0.0


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b else 0.0


def _roc(truth: NDArray[np.bool_], p: NDArray[np.float64]) -> list[tuple[float, float]]:
    """False accepts and accepts of the right, from the highest threshold to the lowest."""
    right, wrong = _counts(truth, p)
    accepts, false_accepts = (np.cumsum(counts[::-1]) / counts.sum() for counts in (right, wrong))
    return [(0.0, 0.0), *((float(x), float(y)) for x, y in zip(false_accepts, accepts, strict=True))]


def auc(truth: NDArray[np.bool_], p: NDArray[np.float64], weights: NDArray[np.int_] | None = None) -> float:
    """Area under the ROC curve: how often p is higher for a right one than for a wrong one, ties counting half."""
    right, wrong = _counts(truth, p, weights)
    pairs = right.sum() * wrong.sum()
    return float((right * (np.cumsum(wrong) - wrong / 2)).sum() / pairs) if pairs else float("nan")


def _counts(
    truth: NDArray[np.bool_], p: NDArray[np.float64], weights: NDArray[np.int_] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How many right and how many wrong ones have each value of p, from the lowest value to the highest."""
    values, which = np.unique(p, return_inverse=True)
    weight = np.ones(len(p)) if weights is None else weights.astype(np.float64)
    right, wrong = np.zeros(len(values)), np.zeros(len(values))
    np.add.at(right, which, weight * truth)
    np.add.at(wrong, which, weight * ~truth)
    return right, wrong


def auc_interval(truth: NDArray[np.bool_], p: NDArray[np.float64], owner: NDArray[np.int_]) -> Interval:
    """Solutions are drawn, with all their prefixes."""
    return bootstrap(lambda times: auc(truth, p, times[owner]), int(owner.max()) + 1)


def bootstrap(statistic: Callable[[NDArray[np.int_]], float], count: int) -> Interval:
    """Percentile interval of what depends on how often each of `count` solutions is drawn."""
    generator = np.random.default_rng(SEED)
    drawn = (np.bincount(generator.integers(count, size=count), minlength=count) for _ in range(RESAMPLES))
    low, high = np.nanquantile([statistic(times) for times in drawn], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)

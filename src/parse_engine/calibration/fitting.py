"""Judges fitted to cases: regularised logistic regressions over what a prefix's pass tells.

Of each judge there are two: one for full answers, fitted to whether they are right, and one for prefixes, fitted to
whether they are safe to go on from. Hidden states go through a principal component analysis first. It, the
standardisation and the regression are linear, so a fitted judge is one weight per feature and a bias.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from parse_engine.backends.base import Signal
from parse_engine.calibration.cases import FULL_ONLY, Case
from parse_engine.config import Judge
from parse_engine.prefix.features import HIDDEN, LIKELIHOOD, PLACE, VERDICT, Values, matrix, names_with
from parse_engine.prefix.judges import Fit, Weights

COMPONENTS = 48  # of the hidden states
FOLDS = 5
STRENGTHS = (0.003, 0.03, 0.3)
"""Inverse regularisation strengths that are tried (scikit-learn's C); the best by cross-validation is taken."""
FEWEST = 8
"""Questions with rows of each kind, without which nothing is fitted."""
NOTHING = -1e9
"""Log-odds of a part that cannot be learnt: it accepts nothing. Finite, as JSON has no infinity."""

_READS: Mapping[Judge, tuple[str, ...]] = {
    "prompt": (VERDICT,),
    "likelihood": LIKELIHOOD,
    "head": (*HIDDEN, *PLACE),
    "fused": (VERDICT, *LIKELIHOOD, *HIDDEN),
}
"""What each judge reads, of what there is."""


@dataclass(frozen=True)
class Rows:
    """What a regression is fitted to."""

    found: Mapping[str, Values]
    """Name -> [R], or [R, d]."""
    truth: NDArray[np.bool_]
    """[R]"""
    owner: NDArray[np.int_]
    """[R] the number of the case: rows of one case are never parted between folds."""


def reads(judge: Judge, signals: frozenset[Signal]) -> tuple[str, ...]:
    """The features of a judge among those that can be had; none where nothing but the prefix's place is left."""
    there = set(names_with(signals))
    names = tuple(name for name in _READS[judge] if name in there)
    return names if set(names) - {*PLACE} else ()


def rows(cases: Sequence[Case], deltas: Sequence[int]) -> tuple[Rows, Rows]:
    """Of the full drafts, and of the prefixes, under every delta (which cuts other segments) and on their own."""
    full: list[tuple[Mapping[str, Values], int, bool, int]] = []
    prefixes: list[tuple[Mapping[str, Values], int, bool, int]] = []
    for owner, case in enumerate(cases):
        if not case.judged:
            continue
        for delta in (FULL_ONLY, *deltas):
            found, places = case.features(delta), case.places(delta)
            for at, place in enumerate(places):
                if place == len(case.ends) - 1 and case.complete:
                    full.append((found, at, case.draft.right, owner))
                else:
                    prefixes.append((found, at, case.safe(place), owner))
    return _rows(full), _rows(prefixes)


def of_cases(part: Rows, owners: NDArray[np.int_]) -> Rows:
    """The rows of some of the cases."""
    return _some(part, np.flatnonzero(np.isin(part.owner, owners)))


def fit(judge: Judge, signals: frozenset[Signal], full: Rows, prefixes: Rows) -> Fit | None:
    """The judge, fitted to all of the rows; None where it has nothing to read, or nothing to learn from."""
    names = reads(judge, signals)
    if not names:
        return None
    parts = [_fit(names, part) for part in (full, prefixes)]
    if parts[0] is None and parts[1] is None:
        return None
    never = Weights((PLACE[0],), np.zeros(1), NOTHING)
    first, second = (never if part is None else part for part in parts)
    return Fit(first, second)


def _fit(names: Sequence[str], part: Rows) -> Weights | None:
    if min(len(np.unique(part.owner[kind])) for kind in (part.truth, ~part.truth)) < FEWEST:
        return None
    losses = [_losses(names, learn, check) for learn, check in _folds(part)]
    if not losses:
        return None
    best = int(np.argmin(np.mean(losses, axis=0)))
    return _regress(names, _columns(names, part), part.truth, STRENGTHS[best])


def _folds(part: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Rows to learn from and rows to check on, in turn; without the turns that have one kind alone to learn from, where
    all rows of the other are of a case or two."""
    owners = len(np.unique(part.owner))
    if owners < 2:
        return
    for learn, check in GroupKFold(min(FOLDS, owners)).split(part.truth, groups=part.owner):
        if 0 < part.truth[learn].sum() < len(learn):
            yield _some(part, learn), _some(part, check)


def _losses(names: Sequence[str], learn: Rows, check: Rows) -> list[float]:
    """Of every strength the mean log loss on what it did not learn from."""
    columns = _columns(names, learn)
    losses = []
    for strength in STRENGTHS:
        p = np.clip(_regress(names, columns, learn.truth, strength).confidences(check.found), 1e-6, 1 - 1e-6)
        losses.append(float(-np.where(check.truth, np.log(p), np.log1p(-p)).mean()))
    return losses


@dataclass(frozen=True)
class _Columns:
    """What a regression is given, and the way back to features: weights = back @ w, bias = b - shift @ w."""

    values: Values
    """[R, K]"""
    back: Values
    """[F, K]"""
    shift: Values
    """[K]"""


def _columns(names: Sequence[str], part: Rows) -> _Columns:
    blocks = [(_components if name in HIDDEN else _standard)(matrix(part.found, [name])) for name in names]
    values, back, shift = zip(*blocks, strict=True)
    return _Columns(np.concatenate(values, axis=1), block_diag(*back), np.concatenate(shift))


def _regress(names: Sequence[str], columns: _Columns, truth: NDArray[np.bool_], strength: float) -> Weights:
    """One regression, with everything linear folded into its weights."""
    model = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-6).fit(columns.values, truth)
    learnt = model.coef_[0]
    return Weights(tuple(names), columns.back @ learnt, float(model.intercept_[0] - columns.shift @ learnt))


def _standard(values: Values) -> tuple[Values, Values, Values]:
    """[R, k] with mean 0 and deviation 1; the map back; the shift. A column that is always the same says nothing."""
    spread = values.std(0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    return (values - values.mean(0)) / scale, np.diag(1 / scale), values.mean(0) / scale


def _components(values: Values) -> tuple[Values, Values, Values]:
    """[R, k] principal components of [R, d], together of the weight of a few plain columns; the map back; the shift."""
    count = min(COMPONENTS, *values.shape)
    model = PCA(count, svd_solver="full").fit(values)
    # One scale for all: the first components say most, and small ones are not blown up.
    scale = float(np.sqrt(model.explained_variance_.mean())) + 1e-9
    back = model.components_.T / scale
    return (values - model.mean_) @ back, back, model.mean_ @ back


def _some(part: Rows, chosen: NDArray[np.int_]) -> Rows:
    return Rows({name: values[chosen] for name, values in part.found.items()}, part.truth[chosen], part.owner[chosen])


def _rows(listed: Sequence[tuple[Mapping[str, Values], int, bool, int]]) -> Rows:
    names = listed[0][0].keys() if listed else ()
    found = {name: np.stack([each[name][at] for each, at, _, _ in listed]) for name in names}
    truth = np.array([true for _, _, true, _ in listed], dtype=bool)
    return Rows(found, truth, np.array([owner for *_, owner in listed], dtype=int))

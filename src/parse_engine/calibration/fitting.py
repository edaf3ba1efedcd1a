"""Judges fitted to cases: regularised logistic regressions over what a prefix's pass tells.

Of each judge there are two: one for full answers, fitted to whether they are right, and one for prefixes, fitted to
whether they are safe to go on from. Hidden states go through a principal component analysis first. It, the
standardisation and the regression are linear, so a fitted judge is one weight per feature and a bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
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
FEWEST = 20
"""Rows of each kind, without which nothing is fitted."""

_READS: Mapping[Judge, tuple[str, ...]] = {
    "prompt": (VERDICT,),
    "likelihood": LIKELIHOOD,
    "head": (HIDDEN[1], *PLACE),
    "fused": (VERDICT, *LIKELIHOOD, HIDDEN[1]),
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
    """The features of a judge among those that can be had."""
    there = set(names_with(signals))
    return tuple(name for name in _READS[judge] if name in there)


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


def fit(judge: Judge, signals: frozenset[Signal], full: Rows, prefixes: Rows) -> Fit | None:
    """The judge, fitted to all of the rows; None where it has nothing to read, or nothing to learn from."""
    names = reads(judge, signals)
    if not names:
        return None
    parts = [_fit(names, part) for part in (full, prefixes)]
    if parts[0] is None and parts[1] is None:
        return None
    never = Weights((PLACE[0],), np.zeros(1), float("-inf"))  # a part that cannot be learnt accepts nothing
    first, second = (never if part is None else part for part in parts)
    return Fit(first, second)


def _fit(names: Sequence[str], part: Rows) -> Weights | None:
    if min(part.truth.sum(), (~part.truth).sum()) < FEWEST:
        return None
    groups = min(FOLDS, len(set(part.owner.tolist())))
    scores = []
    for strength in STRENGTHS:
        losses = []
        for learn, check in GroupKFold(groups).split(part.truth, groups=part.owner):
            weights = _regress(names, _some(part, learn), strength)
            p = np.clip(weights.confidences(_some(part, check).found), 1e-6, 1 - 1e-6)
            losses.append(-np.where(part.truth[check], np.log(p), np.log1p(-p)).mean())
        scores.append(float(np.mean(losses)))
    return _regress(names, part, STRENGTHS[int(np.argmin(scores))])


def _regress(names: Sequence[str], part: Rows, strength: float) -> Weights:
    """One regression, with everything linear folded into its weights."""
    plain = [name for name in names if name not in HIDDEN]
    blocks: list[tuple[Values, Values, Values]] = []  # columns, and the map back: weights = map @ w, offset = shift @ w
    for name in names:
        values = matrix(part.found, [name])
        if name in plain:
            scale = values.std(0) + 1e-9
            blocks.append(((values - values.mean(0)) / scale, np.diag(1 / scale), values.mean(0) / scale))
        else:
            blocks.append(_components(values))
    columns = np.concatenate([block[0] for block in blocks], axis=1)
    model = LogisticRegression(C=strength, max_iter=2000).fit(columns, part.truth)
    learnt, bias, at = model.coef_[0], float(model.intercept_[0]), 0
    folded = []
    for own, back, shift in blocks:
        w = learnt[at : at + own.shape[1]]
        folded.append(back @ w)
        bias -= float(shift @ w)
        at += own.shape[1]
    return Weights(tuple(names), np.concatenate(folded), bias)


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

"""Which settings may be promised, and which of them is the fastest.

The questions are parted in two. On the first part judges are fitted, and the grid of settings is put in an order: by
how risky they look there, leaving out what is no faster than a safer one. On the second part the settings are tested in
that order until one fails (guarantee.py): since the order does not depend on the second part, the whole error budget
goes to every test. Several judges share the budget evenly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import KFold

from parse_engine.backends.base import Signal
from parse_engine.calibration.cases import FULL_ONLY, Case
from parse_engine.calibration.costs import Costs, reads_tokens
from parse_engine.calibration.fitting import FOLDS, fit, rows
from parse_engine.calibration.guarantee import binomial_p_value, fixed_sequence
from parse_engine.config import BoundaryRule, Judge
from parse_engine.prefix.judges import Fit
from parse_engine.prefix.verdict import accepted_prefixes
from parse_engine.profile import Setting, Tried

LEVELS = 12
"""Thresholds of each kind in the grid, besides the one that nothing passes."""
NEVER = 1.0
RULES: tuple[BoundaryRule, ...] = ("first-failure", "last-success")

Scored = Mapping[int, list[float]]
"""Delta -> the confidences of the prefixes that it cuts."""


@dataclass(frozen=True)
class Simulated:
    """What a setting does with some cases."""

    losses: int
    gains: int
    risk: float
    """Mean of the losses that the judge's confidences let expect."""
    seconds: float
    alone: float
    """Seconds of the plain target."""
    kept: float
    accepted: float
    different: int
    """Answers whose final answer is not the target's."""

    @property
    def speed(self) -> float:
        return self.alone / self.seconds


def score(case: Case, fitted: Fit, deltas: Sequence[int]) -> Scored:
    """The judge's confidences of a case's prefixes, as the engine would have them."""
    scored: dict[int, list[float]] = {}
    for delta in (FULL_ONLY, *deltas):
        found = case.features(delta)
        p = fitted.prefix.confidences(found)
        if case.complete:
            p[-1] = fitted.full.confidences(found)[-1]
        scored[delta] = p.tolist()
    return scored


def crossed_scores(
    judge: Judge, cases: Sequence[Case], deltas: Sequence[int], signals: frozenset[Signal]
) -> list[Scored]:
    """The same for the cases that the judge is fitted to, each scored by a fit to the others; empty where none fits."""
    scored: list[Scored] = [{} for _ in cases]
    for learn, check in KFold(min(FOLDS, len(cases)), shuffle=True, random_state=0).split(cases):
        fitted = fit(judge, signals, *rows([cases[at] for at in learn], deltas))
        if fitted is None:
            return []
        for at in check:
            if cases[at].judged:
                scored[at] = score(cases[at], fitted, deltas)
    return scored


def grid(judge: Judge, scored: Sequence[Scored], deltas: Sequence[int], most: int) -> Iterator[Setting]:
    """Thresholds at quantiles of the confidences; the full answer alone, and all deltas under both rules."""
    fulls = [each[FULL_ONLY][-1] for each in scored if each]
    full_levels = [*_levels(fulls), NEVER]
    for full in full_levels:
        yield Setting(judge, NEVER, full, max(deltas), 1, "first-failure")
    for delta in deltas:
        for level in _levels([p for each in scored if each for p in each[delta][:-1]]):
            for full in full_levels:
                for rule in RULES:
                    yield Setting(judge, level, full, delta, most, rule)


def simulate(setting: Setting, cases: Sequence[Case], scored: Sequence[Scored], fitted: Fit, costs: Costs) -> Simulated:
    """What the setting does with the cases: exact but for the seconds, which are the cost model's."""
    losses = gains = different = 0
    risk = seconds = alone = kept = accepted = tokens = 0.0
    delta = FULL_ONLY if setting.max_prefixes == 1 else setting.delta
    reads = reads_tokens(fitted)
    for case, own in zip(cases, scored, strict=True):
        place, prefixes = None, 0
        if case.judged:
            places, p = case.places(delta), own[delta]
            prefixes = len(p)
            count = accepted_prefixes(
                p,
                threshold=setting.threshold,
                full_threshold=setting.full_threshold,
                rule=setting.boundary_rule,
                complete=case.complete,
            )
            if count:
                place = places[count - 1]
                risk += 1 - p[count - 1]
                losses += case.lost(place)
                gains += case.outcomes[place].right and not case.target.right
                different += not case.outcomes[place].same
                kept += case.ends[place]
                accepted += place == len(case.ends) - 1
        seconds += costs.parse(case, prefixes, place, asks=fitted.asks, reads=reads)
        alone += costs.alone(case)
        tokens += case.target.tokens if place is None else case.ends[place] + case.outcomes[place].tokens
    n = len(cases)
    return Simulated(losses, gains, risk / n, seconds, alone, kept / max(tokens, 1), accepted / n, different)


def in_order(
    settings: Sequence[Setting], cases: Sequence[Case], scored: Sequence[Scored], fitted: Fit, costs: Costs
) -> list[Setting]:
    """From the safest to the riskiest, each faster than all before: the order in which they are tested.

    The risk is the mean of the losses that were seen and of those that the confidences let expect, which tells apart
    settings that lost nothing.
    """
    done = [(setting, simulate(setting, cases, scored, fitted, costs)) for setting in settings]
    done.sort(key=lambda pair: ((pair[1].losses / len(cases) + pair[1].risk) / 2, -pair[1].speed))
    order: list[Setting] = []
    fastest = 1.0  # what is not faster than the target alone needs no promise
    for setting, simulated in done:
        if simulated.speed > fastest:
            order.append(setting)
            fastest = simulated.speed
    return order


def test(
    order: Sequence[Setting],
    cases: Sequence[Case],
    scored: Sequence[Scored],
    fitted: Fit,
    costs: Costs,
    *,
    max_loss: float,
    level: float,
) -> list[Tried]:
    """The settings on questions that had no part in their order; those before the first that fails are promised."""
    done = [simulate(setting, cases, scored, fitted, costs) for setting in order]
    p_values = [binomial_p_value(each.losses, len(cases), max_loss) for each in done]
    promised = fixed_sequence(p_values, level)
    return [
        Tried(setting, each.losses, each.gains, p, at < promised, each.speed, each.kept, each.accepted)
        for at, (setting, each, p) in enumerate(zip(order, done, p_values, strict=True))
    ]


def _levels(values: Sequence[float]) -> list[float]:
    """Thresholds that let through ever less of what there is, from the loosest to the strictest."""
    if not values:
        return []
    # Closer together towards the strict end, where promises are made.
    quantiles = 1 - np.geomspace(0.02, 1.0, LEVELS)[::-1]
    return sorted({float(value) for value in np.quantile(values, quantiles)})

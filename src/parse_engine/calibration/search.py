"""Which settings may be promised, and which of them is the fastest.

The questions are parted in two. On the first part judges are fitted, and the grid of settings is put in an order: by
how risky they look there, leaving out what is no faster than a safer one. On the second part the settings are tested in
that order until one fails (guarantee.py): since the order depends on no outcome of the second part, the whole error
budget goes to every test. (The cost model knows the seconds and lengths of all questions, and no outcome.) Several
judges share the budget evenly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from parse_engine.backends.base import Signal
from parse_engine.calibration.cases import FULL_ONLY, Case
from parse_engine.calibration.costs import Costs, reads_tokens
from parse_engine.calibration.fitting import FOLDS, fit, of_cases, rows
from parse_engine.calibration.guarantee import binomial_p_value, fixed_sequence
from parse_engine.config import BoundaryRule, Judge, ParseConfig
from parse_engine.prefix.features import Values
from parse_engine.prefix.judges import Fit
from parse_engine.profile import Setting, Tried

LEVELS = 12
"""Thresholds of each kind in the grid, besides the one that nothing passes."""
NEVER = 1.0
REJECTED = -1.0
"""The confidence of what passes no threshold: there is no prefix, or the target gave it no verdict."""
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
    """The judge's confidences of a case's prefixes, as the engine would have them with its default least label mass."""
    scored: dict[int, list[float]] = {}
    for delta in (FULL_ONLY, *deltas):
        found = case.features(delta)
        p = fitted.prefix.confidences(found)
        if case.complete:
            p[-1] = fitted.full.confidences(found)[-1]
        if fitted.asks and case.labels is not None:
            masses = np.array([sum(case.labels[place]) for place in case.places(delta)])
            p[masses < ParseConfig.min_label_mass] = REJECTED
        scored[delta] = p.tolist()
    return scored


def crossed_scores(
    judge: Judge, cases: Sequence[Case], deltas: Sequence[int], signals: frozenset[Signal]
) -> list[Scored]:
    """The same for the cases that the judge is fitted to, each scored by a fit to the others; empty where none fits."""
    if len(cases) < 2:
        return []
    scored: list[Scored] = [{} for _ in cases]
    full, prefixes = rows(cases, deltas)
    for learn, check in KFold(min(FOLDS, len(cases)), shuffle=True, random_state=0).split(cases):
        fitted = fit(judge, signals, of_cases(full, learn), of_cases(prefixes, learn))
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


@dataclass(frozen=True)
class Table:
    """What comes of C cases under one delta; N is the most prefixes that a case has. Cases with fewer are filled up."""

    p: Values
    """[C, N] confidences; `REJECTED` where there is no prefix."""
    full: NDArray[np.bool_]
    """[C, N] whether a prefix is a full answer."""
    outcomes: Values
    """[C, N + 1, 7] what follows when so many prefixes are accepted: a row as `_outcome` makes it."""
    alone: float
    """Seconds of the plain target."""


def table(delta: int, cases: Sequence[Case], scored: Sequence[Scored], fitted: Fit, costs: Costs) -> Table:
    """Everything that settings with this delta need; they differ in how many prefixes of a case they accept."""
    places = [case.places(delta) if case.judged else [] for case in cases]
    most = max(map(len, places), default=0)
    p, full = np.full((len(cases), most), REJECTED), np.zeros((len(cases), most), dtype=bool)
    outcomes = np.zeros((len(cases), most + 1, 7))
    for at, (case, own, its) in enumerate(zip(cases, scored, places, strict=True)):
        if its:
            p[at, : len(its)] = own[delta]
            full[at, len(its) - 1] = case.complete
        outcomes[at, : len(its) + 1] = [_outcome(case, place, len(its), fitted, costs) for place in (None, *its)]
    return Table(p, full, outcomes, sum(costs.alone(case) for case in cases))


def _outcome(case: Case, place: int | None, prefixes: int, fitted: Fit, costs: Costs) -> tuple[float, ...]:
    """Loss, gain, another answer than the target's, seconds, tokens kept, tokens of the answer, whole draft kept."""
    reads = reads_tokens(fitted)
    seconds = costs.parse(case, prefixes, place, asks=fitted.asks, reads=reads)
    agreeing = case.agreeing(place) if reads and prefixes else 0
    if place is None:
        return 0, 0, 0, seconds, agreeing, case.target.tokens, 0
    outcome, kept = case.outcomes[place], case.ends[place]
    gain, whole = outcome.right and not case.target.right, place == len(case.ends) - 1
    return case.lost(place), gain, not outcome.same, seconds, kept + agreeing, kept + outcome.tokens, whole


def accepted(setting: Setting, p: Values, full: NDArray[np.bool_]) -> NDArray[np.int_]:
    """[C] `accepted_prefixes` for all cases of a table at a time."""
    passed = p >= np.where(full, setting.full_threshold, setting.threshold)
    counts: NDArray[np.int_] = (
        np.logical_and.accumulate(passed, axis=1).sum(axis=1)
        if setting.boundary_rule == "first-failure"
        else (passed * np.arange(1, p.shape[1] + 1)).max(axis=1, initial=0)
    )
    return counts


def simulate_all(
    settings: Sequence[Setting], cases: Sequence[Case], scored: Sequence[Scored], fitted: Fit, costs: Costs
) -> list[Simulated]:
    """What the settings do with the cases: exact but for the seconds, which are the cost model's."""
    tables = {delta: table(delta, cases, scored, fitted, costs) for delta in {delta_of(each) for each in settings}}
    return [_simulate(setting, tables[delta_of(setting)]) for setting in settings]


def simulate(setting: Setting, cases: Sequence[Case], scored: Sequence[Scored], fitted: Fit, costs: Costs) -> Simulated:
    """The same for one setting."""
    return simulate_all([setting], cases, scored, fitted, costs)[0]


def delta_of(setting: Setting) -> int:
    """Under which delta a setting's scores are found."""
    return FULL_ONLY if setting.max_prefixes == 1 else setting.delta


def _simulate(setting: Setting, table: Table) -> Simulated:
    count = accepted(setting, table.p, table.full)
    n, case = len(count), np.arange(len(count))
    losses, gains, different, seconds, kept, tokens, whole = table.outcomes[case, count].sum(axis=0).tolist()
    some = count > 0
    risk = float((1 - table.p[case[some], count[some] - 1]).sum())
    return Simulated(
        losses=int(losses),
        gains=int(gains),
        risk=risk / n,
        seconds=seconds,
        alone=table.alone,
        kept=kept / max(tokens, 1),
        accepted=whole / n,
        different=int(different),
    )


def in_order(
    settings: Sequence[Setting], cases: Sequence[Case], scored: Sequence[Scored], fitted: Fit, costs: Costs
) -> list[Setting]:
    """From the safest to the riskiest, each faster than all before: the order in which they are tested.

    The risk is the mean of the losses that were seen and of those that the confidences let expect, which tells apart
    settings that lost nothing.
    """
    done = list(zip(settings, simulate_all(settings, cases, scored, fitted, costs), strict=True))
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
    done = simulate_all(order, cases, scored, fitted, costs)
    p_values = [binomial_p_value(each.losses, len(cases), max_loss) for each in done]
    promised = fixed_sequence(p_values, level)
    return [
        Tried(setting, each.losses, each.gains, p, at < promised, each.speed, each.kept, each.accepted)
        for at, (setting, each, p) in enumerate(zip(order, done, p_values, strict=True))
    ]


def _levels(values: Sequence[float]) -> list[float]:
    """Thresholds that let through ever less of what there is, from the loosest to the strictest."""
    values = [value for value in values if value > 0]  # 0 is of a part that could not be learnt: it accepts nothing
    if not values:
        return []
    # Closer together towards the strict end, where promises are made.
    quantiles = 1 - np.geomspace(0.02, 1.0, LEVELS)[::-1]
    # Six places, rounded down, so that what gave the level passes it.
    return sorted({max(1, int(1e6 * value)) / 1e6 for value in np.quantile(values, quantiles)})

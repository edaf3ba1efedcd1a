"""From questions to a profile: collect, fit, put in order, test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import beta

from parse_engine.backends.base import Signal
from parse_engine.bench.judging.figures import auc, auc_interval
from parse_engine.bench.provenance import describe_task
from parse_engine.bench.tasks.base import Question, Task
from parse_engine.calibration.cases import Case
from parse_engine.calibration.collect import Plan, collect, read_costs
from parse_engine.calibration.costs import Costs, costs_of, time_passes
from parse_engine.calibration.fitting import fit, rows
from parse_engine.calibration.search import Scored, crossed_scores, grid, in_order, score, simulate, test
from parse_engine.config import Judge
from parse_engine.engine import AsyncEngine
from parse_engine.errors import ConfigError
from parse_engine.prefix.judges import Fit
from parse_engine.prefix.verifier import prompt_judge
from parse_engine.profile import Profile, Ranking, Tried, choose


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What is asked for."""

    judges: tuple[Judge, ...] = ("fused",)
    max_loss: float = 0.01
    """Most questions, as a share, that the target has right and PARSE wrong."""
    confidence: float = 0.95
    """Probability, over the draw of the questions, that what is promised holds."""
    fit_share: float = 0.25
    """Share of the questions that judges are fitted to and settings put in order by."""


def part(cases: Sequence[Case], share: float) -> tuple[list[Case], list[Case]]:
    """The cases for fitting, about that share of them, and those for testing.

    A question's part is drawn by its name: with more questions another time, those of before stay where they were.
    """
    fitting = [case for case in cases if drawn(*case.key) < share]
    return fitting, [case for case in cases if drawn(*case.key) >= share]


def drawn(task: str, question: str) -> float:
    """In [0, 1), evenly, and always the same for a question."""
    return int.from_bytes(hashlib.sha256(f"{task}/{question}".encode()).digest()[:8]) / 2**64


async def calibrate(
    engine: AsyncEngine,
    questions: Sequence[tuple[Task, Question]],
    plan: Plan,
    promise: Promise,
    folder: Path,
    about: Mapping[str, Any],
) -> Profile:
    """The profile of an engine's two models.

    Args:
        folder: gets the cases; those that are there are not made again.
        about: the profile's `backend`, `dtype` and `provenance`.

    Raises:
        ConfigError: no judge could be fitted.
    """
    assert engine.drafter is not None
    cases = await collect(engine, questions, plan, folder)
    fitting, testing = part(cases, promise.fit_share)
    costs = await measure_costs(engine, fitting, plan, folder)
    signals = engine.target.signals - {"sampled"} | (engine.drafter.signals & {"sampled"})
    found = search(fitting, testing, promise, plan.deltas, plan.max_prefixes, signals, costs)
    asked = {task: [question for owner, question in questions if owner is task] for task, _ in questions}
    return Profile(
        target=engine.target.name,
        draft=engine.drafter.name,
        target_fingerprint=engine.target.fingerprint,
        draft_fingerprint=engine.drafter.fingerprint,
        tasks={task.name: describe_task(task, own) for task, own in asked.items()},
        sampling=asdict(plan.params),
        max_loss=promise.max_loss,
        confidence=promise.confidence,
        fitted_on=len(fitting),
        tested_on=len(testing),
        target_right=float(np.mean([case.target.right for case in testing])),
        draft_right=float(np.mean([case.draft.right for case in testing])),
        concurrency=engine.concurrency,
        costs=asdict(costs),
        rankings=found.rankings,
        tried=found.tried,
        disagreement=found.disagreement,
        fits=found.fits,
        **about,
    )


@dataclass(frozen=True)
class Found:
    """What the search came to."""

    fits: Mapping[str, Fit]
    tried: Sequence[Tried]
    rankings: Mapping[str, Ranking]
    disagreement: float


def search(
    fitting: Sequence[Case],
    testing: Sequence[Case],
    promise: Promise,
    deltas: Sequence[int],
    max_prefixes: int,
    signals: frozenset[Signal],
    costs: Costs,
) -> Found:
    """Fit every judge to the one part, and test its settings on the other; pure.

    Raises:
        ConfigError: no judge could be fitted.
    """
    if not fitting or not testing:
        raise ConfigError(
            f"{len(fitting)} questions are for fitting and {len(testing)} for testing; both must be some. Take more "
            "questions, or another --fit-share."
        )
    level = (1 - promise.confidence) / len(promise.judges)
    full, prefixes = rows(fitting, deltas)
    fits: dict[str, Fit] = {}
    tested: dict[str, list[Scored]] = {}
    tried: list[Tried] = []
    rankings: dict[str, Ranking] = {}
    for judge in promise.judges:
        fitted, crossed = fit(judge, signals, full, prefixes), crossed_scores(judge, fitting, deltas, signals)
        if fitted is None or not crossed:
            continue
        settings = list(grid(judge, crossed, deltas, max_prefixes))
        order = in_order(settings, fitting, crossed, fitted, costs)
        scored = [score(case, fitted, deltas) if case.judged else {} for case in testing]
        fits[judge], tested[judge] = fitted, scored
        tried += test(order, testing, scored, fitted, costs, max_loss=promise.max_loss, level=level)
        rankings[judge] = _ranking(testing, scored, max(deltas))
    if not fits:
        raise ConfigError(
            f"none of the judges {', '.join(promise.judges)} can be fitted to {len(fitting)} questions: they read "
            "nothing that this back end tells, or nearly all drafts are right or nearly all wrong. Take more questions."
        )
    choice = choose(tried)
    different = 0
    if choice is not None:
        judge = choice.setting.judge
        different = simulate(choice.setting, testing, tested[judge], fits[judge], costs).different
    return Found(fits, tried, rankings, upper_bound(different, len(testing), promise.confidence))


def upper_bound(hits: int, questions: int, confidence: float) -> float:
    """Clopper and Pearson's exact one-sided bound of a share."""
    return 1.0 if hits >= questions else float(beta.ppf(confidence, hits + 1, questions - hits))


async def measure_costs(engine: AsyncEngine, cases: Sequence[Case], plan: Plan, folder: Path) -> Costs:
    """The cost model of this device and engine, from the collection and from passes over random tokens.

    Raises:
        ConfigError: there is no draft to go by.
    """
    judged = [case for case in cases if case.judged]
    if not judged:
        raise ConfigError(
            "the drafter wrote nothing for any of these questions. Use another drafter, or more questions."
        )
    prompt = round(float(np.median([case.prompt_tokens for case in judged])))
    draft = round(float(np.median([case.draft.tokens for case in judged])))
    prefixes = max(len(case.places(min(plan.deltas))) for case in judged)
    asking = prompt_judge(engine.target.codec, engine.config)
    passes = await time_passes(engine.target, asking, prompt, draft, prefixes, engine.concurrency)
    mean = float(np.mean([case.prompt_tokens for case in cases]))
    return costs_of(read_costs(folder, engine.concurrency), passes, mean)


def _ranking(cases: Sequence[Case], scored: Sequence[Scored], delta: int) -> Ranking:
    """Of full drafts by whether they are right, of prefixes by whether they are safe."""
    full = [(case.draft.right, own[delta][-1], at) for at, (case, own) in enumerate(_complete(cases, scored))]
    prefixes = [
        (case.safe(place), p, at)
        for at, (case, own) in enumerate(_complete(cases, scored))
        for place, p in zip(case.places(delta)[:-1], own[delta], strict=False)
    ]
    return Ranking(*_auc(full), *_auc(prefixes))


def _complete(cases: Sequence[Case], scored: Sequence[Scored]) -> list[tuple[Case, Scored]]:
    return [(case, own) for case, own in zip(cases, scored, strict=True) if case.judged and case.complete]


def _auc(listed: Sequence[tuple[bool, float, int]]) -> tuple[float | None, tuple[float, float] | None]:
    truth, p, owner = (np.array(column) for column in zip(*listed, strict=True)) if listed else (np.array([]),) * 3
    if len(set(truth.tolist())) < 2:
        return None, None
    return auc(truth, p), auc_interval(truth, p, owner)

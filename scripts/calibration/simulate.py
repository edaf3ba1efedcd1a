"""Whether the promise holds: `python scripts/calibration/simulate.py --output results/guarantee-simulation.json`.

Draws calibration questions from a population whose truth is known, again and again, and does each time all that
`parse-engine calibrate` does with them: fits the judges, puts the settings in order, tests, chooses. The promise is
broken when the true risk of what was chosen, on a large sample of the same population, is above what was promised. That
may happen in a share of 1 - confidence of the repetitions.

Beside it the naive way: of the same settings the fastest one whose losses on the tested questions are few enough.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.stats import binomtest

from parse_engine.bench.provenance import check_writable, describe, write_json
from parse_engine.calibration.cases import FULL_ONLY, Case
from parse_engine.calibration.run import Promise, part, search
from parse_engine.calibration.search import accepted, delta_of
from parse_engine.errors import ConfigError
from parse_engine.prefix.features import Features
from parse_engine.prefix.judges import Fit
from parse_engine.profile import Setting, Tried, choose
from population import COSTS, DELTAS, MAX_PREFIXES, SIGNALS, draw

SEED = 20_260_504
CHUNK = 1000  # cases that are held at a time while the truth is made


@dataclass(frozen=True)
class Truth:
    """A large sample of the population under one delta; C cases, N the most prefixes, R all of them."""

    found: Features
    """Name -> [R]"""
    there: NDArray[np.bool_]
    """[C, N] whether there is such a prefix."""
    full: NDArray[np.bool_]
    """[C, N] whether it is a full answer."""
    lost: NDArray[np.bool_]
    """[C, N + 1] whether the question is lost when so many prefixes are accepted."""

    def risk(self, setting: Setting, fitted: Fit) -> float:
        p = np.full(self.there.shape, -1.0)
        p[self.there] = fitted.prefix.confidences(self.found)
        full = self.full[self.there]
        p[self.full] = fitted.full.confidences({name: values[full] for name, values in self.found.items()})
        count = accepted(setting, p, self.full)
        return float(self.lost[np.arange(len(count)), count].mean())


def truth(count: int) -> dict[int, Truth]:
    """By delta. Questions that are in no repetition."""
    chunks: dict[int, list[Truth]] = {delta: [] for delta in (FULL_ONLY, *DELTAS)}
    for start in range(0, count, CHUNK):
        cases = draw(min(CHUNK, count - start), [SEED, 0, start])
        for delta, made in chunks.items():
            made.append(_truth(cases, delta))
    return {delta: _joined(made) for delta, made in chunks.items()}


def _truth(cases: Sequence[Case], delta: int) -> Truth:
    places = [case.places(delta) for case in cases]
    shape = len(cases), MAX_PREFIXES
    there, full = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    lost = np.zeros((len(cases), MAX_PREFIXES + 1), dtype=bool)
    for at, (case, its) in enumerate(zip(cases, places, strict=True)):
        there[at, : len(its)] = True
        full[at, len(its) - 1] = case.complete
        lost[at, 1 : len(its) + 1] = [case.lost(place) for place in its]
    found = [case.features(delta) for case in cases]
    return Truth({name: np.concatenate([each[name] for each in found]) for name in found[0]}, there, full, lost)


def _joined(chunks: Sequence[Truth]) -> Truth:
    found = {name: np.concatenate([chunk.found[name] for chunk in chunks]) for name in chunks[0].found}
    there, full, lost = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("there", "full", "lost")
    )
    return Truth(found, there, full, lost)


@dataclass(frozen=True)
class Picked:
    """The setting that one way of choosing comes to."""

    risk: float
    """The true one."""
    speed: float
    """By the cost model, on the tested questions."""


def repeat(number: int, questions: int, promise: Promise, known: Mapping[int, Truth]) -> tuple[Picked | None, ...]:
    """One calibration: what is promised, and what the naive way picks; None for nothing."""
    fitting, testing = part(draw(questions, [SEED, 1, number]), promise.fit_share)
    try:
        found = search(fitting, testing, promise, DELTAS, MAX_PREFIXES, SIGNALS, COSTS)
    except ConfigError:  # no judge could be fitted
        return None, None

    def picked(tried: Tried | None) -> Picked | None:
        if tried is None:
            return None
        setting = tried.setting
        return Picked(known[delta_of(setting)].risk(setting, found.fits[setting.judge]), tried.speed)

    return picked(choose(found.tried)), picked(naive(found.tried, promise.max_loss * len(testing)))


def naive(tried: Sequence[Tried], most: float) -> Tried | None:
    """The fastest that lost at most so many."""
    fast = [each for each in tried if each.losses <= most and each.speed > 1]
    return max(fast, key=lambda each: each.speed, default=None)


def figures(picked: Sequence[Picked | None], max_loss: float) -> dict[str, Any]:
    """Of one way of choosing."""
    some = [each for each in picked if each is not None]
    broken = sum(each.risk > max_loss for each in some)
    return {
        "picked": share(len(some), len(picked)),
        "broken": share(broken, len(picked)),
        "broken_of_picked": share(broken, len(some)),
        "speed": fmean(each.speed for each in some) if some else None,
        "risk": fmean(each.risk for each in some) if some else None,
    }


def share(hits: int, of: int) -> dict[str, Any]:
    """With Clopper and Pearson's exact interval."""
    if not of:
        return {"hits": hits, "of": of, "share": None, "ci": None}
    interval = binomtest(hits, of).proportion_ci(0.95, method="exact")
    return {"hits": hits, "of": of, "share": hits / of, "ci": [float(interval.low), float(interval.high)]}


def line(name: str, own: Mapping[str, Any]) -> str:
    """For people."""
    picked, broken = own["picked"], own["broken"]
    speed = "" if own["speed"] is None else f", {own['speed']:.2f}x the speed, true risk {own['risk']:.2%} on average"
    low, high = broken["ci"]
    return (
        f"{name}: a setting in {picked['hits']} of {picked['of']}{speed}; "
        f"broken in {broken['share']:.1%} of all [{low:.1%}, {high:.1%}]"
    )


def add_promise(parser: argparse.ArgumentParser) -> None:
    """What is asked of a calibration."""
    parser.add_argument("--judges", default="fused", help="they share the risk: prompt,likelihood for instance")
    parser.add_argument("--max-loss", type=float, default=0.05)
    parser.add_argument("--confidence", type=float, default=0.9)
    parser.add_argument("--fit-share", type=float, default=Promise.fit_share)


def promise_of(given: argparse.Namespace) -> Promise:
    """The same, read back."""
    return Promise(
        judges=tuple(given.judges.split(",")),
        max_loss=given.max_loss,
        confidence=given.confidence,
        fit_share=given.fit_share,
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1000)
    parser.add_argument("--questions", type=int, default=400, help="of one calibration, those for fitting included")
    add_promise(parser)
    parser.add_argument("--population", type=int, default=20_000, help="questions that true risks are taken from")
    parser.add_argument("--output", type=Path, help="where to write the figures with their provenance")
    given = parser.parse_args(arguments)
    if given.output:
        check_writable(given.output)
    provenance = describe()
    promise = promise_of(given)
    known = truth(given.population)
    began = time.perf_counter()
    done = Parallel(n_jobs=-1, return_as="generator")(
        delayed(repeat)(number, given.questions, promise, known) for number in range(given.repetitions)
    )
    picked = list(track(done, "repetitions", total=given.repetitions, console=Console(stderr=True)))
    seconds = (time.perf_counter() - began) / given.repetitions
    found = {
        name: figures(each, promise.max_loss)
        for name, each in zip(("tested", "naive"), zip(*picked, strict=True), strict=True)
    }
    for name, own in found.items():
        print(line(name, own))
    print(f"at most {1 - promise.confidence:.1%} may be broken; {seconds:.2f} s per repetition")
    options = {"repetitions": given.repetitions, "questions": given.questions, "population": given.population}
    result = {"promise": asdict(promise), **options, "seconds": seconds, "figures": found}
    print(json.dumps(result))
    if given.output:
        write_json(given.output, {**provenance, **result})


if __name__ == "__main__":
    main(sys.argv[1:])

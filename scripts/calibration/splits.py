"""Whether the promise holds on real records: `python scripts/calibration/splits.py PROFILE... --output FILE`.

Parts the cases that `parse-engine calibrate` has kept beside a profile, at random and many times: all of calibration is
done with the one part, and the setting that is promised is tried on the other. Which questions of a part are for
fitting and which for testing is drawn anew as well, not by name as `parse-engine calibrate` does it.

A loss above the promised one on the held-out part does not yet break the promise, which is of the risk: where that lies
just below the limit, the losses of a few hundred questions lie above it nearly every other time. So the splits are
counted as well in which they are more than chance would make of a risk at the limit, in one of twenty times.
Splits of the same questions overlap, so there are no intervals.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from scipy.stats import binomtest

from parse_engine.backends.base import Signal
from parse_engine.bench.provenance import check_writable, describe, write_json
from parse_engine.calibration.cases import Case, Cases
from parse_engine.calibration.costs import Costs
from parse_engine.calibration.run import Promise, search
from parse_engine.calibration.search import score, simulate
from parse_engine.config import ParseConfig
from parse_engine.errors import ConfigError
from parse_engine.profile import Profile, choose
from simulate import add_promise, promise_of

SEED = 20_260_504
CHANCE = 0.05


@dataclass(frozen=True)
class Split:
    """What was promised on one part, and what it comes to on the other."""

    losses: int
    """On the held-out part."""
    held_out: int
    p_value: float
    """How likely so many losses are at a risk of `max_loss`."""
    speed: float
    """On the held-out part, by the cost model."""


def signals_of(case: Case) -> frozenset[Signal]:
    """What the back ends told of a judged case."""
    told: dict[Signal, Any] = {
        "logprobs": case.logprobs,
        "entropy": case.entropy,
        "hidden": case.hidden,
        "sampled": case.drafted,
    }
    return frozenset(signal for signal, values in told.items() if values is not None)


def parts(
    cases: Sequence[Case], number: int, share: float, fit_share: float
) -> tuple[list[Case], list[Case], list[Case]]:
    """The cases of one of the splits, drawn at random: for fitting, for testing, and those held out.

    Args:
        share: of all cases, that calibration gets.
        fit_share: of these, that are for fitting.
    """
    order = np.random.default_rng([SEED, number]).permutation(len(cases))
    own = round(share * len(cases))
    fitting, testing, held = np.split(order, [round(fit_share * own), own])
    return [cases[at] for at in fitting], [cases[at] for at in testing], [cases[at] for at in held]


def split(cases: Sequence[Case], number: int, share: float, promise: Promise, costs: Costs) -> Split | None:
    """One of the splits; None where nothing is promised."""
    fitting, testing, held = parts(cases, number, share, promise.fit_share)
    judged = next(case for case in cases if case.judged)
    deltas = sorted(judged.cuts)
    try:
        found = search(fitting, testing, promise, deltas, ParseConfig.max_prefixes, signals_of(judged), costs)
    except ConfigError:  # no judge could be fitted
        return None
    choice = choose(found.tried)
    if choice is None:
        return None
    fitted = found.fits[choice.setting.judge]
    scored = [score(case, fitted, deltas) if case.judged else {} for case in held]
    done = simulate(choice.setting, held, scored, fitted, costs)
    p_value = binomtest(done.losses, len(held), promise.max_loss, alternative="greater").pvalue
    return Split(done.losses, len(held), float(p_value), done.speed)


def figures(cases: Sequence[Case], splits: Sequence[Split | None], max_loss: float) -> dict[str, Any]:
    """Of one profile's cases."""
    promised = [each for each in splits if each is not None]
    above = sum(each.losses > max_loss * each.held_out for each in promised)
    clearly = sum(each.p_value <= CHANCE for each in promised)
    return {
        "cases": len(cases),
        "target_right": fmean(case.target.right for case in cases),
        "draft_right": fmean(case.draft.right for case in cases),
        "splits": len(splits),
        "promised": len(promised),
        "above": above,
        "clearly_above": clearly,
        "share_above": above / len(splits),
        "share_clearly_above": clearly / len(splits),
        "held_out_loss": fmean(each.losses / each.held_out for each in promised) if promised else None,
        "speed": fmean(each.speed for each in promised) if promised else None,
    }


def line(name: str, own: Mapping[str, Any]) -> str:
    """For people."""
    said = f"{name}: {own['cases']} cases; something promised in {own['promised']} of {own['splits']} splits"
    if not own["promised"]:
        return said
    return (
        f"{said}, {own['speed']:.2f}x the speed and {own['held_out_loss']:.2%} lost on held-out cases; there above the "
        f"promise in {own['above']}, by more than chance in {own['clearly_above']}"
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profiles", type=Path, nargs="+", metavar="PROFILE", help="with PROFILE.cases beside it")
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--share", type=float, default=0.6, help="of the cases that calibration gets")
    add_promise(parser)
    parser.add_argument("--output", type=Path, help="where to write the figures with their provenance")
    given = parser.parse_args(arguments)
    if given.output:
        check_writable(given.output)
    provenance = describe()
    promise = promise_of(given)
    found = {}
    for path in given.profiles:
        cases = list(Cases(path.with_name(f"{path.name}.cases")).done.values())
        costs = Costs(**Profile.load(path).costs)
        numbers = track(range(given.splits), path.name, console=Console(stderr=True))
        splits = [split(cases, number, given.share, promise, costs) for number in numbers]
        found[path.name] = figures(cases, splits, promise.max_loss)
        print(line(path.name, found[path.name]))
    result = {"promise": asdict(promise), "share": given.share, "chance": CHANCE, "figures": found}
    print(json.dumps(result))
    if given.output:
        write_json(given.output, {**provenance, **result})


if __name__ == "__main__":
    main(sys.argv[1:])

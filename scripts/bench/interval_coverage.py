"""How often 95 % intervals hold the truth: `python scripts/bench/interval_coverage.py --output results/coverage.json`.

Draws the answers of a method and of the target from populations whose truth is known, again and again, and counts how
often the interval of `parse_engine.bench.report.stats` holds it, how often the truth lies above and below, and how wide
the interval is in the middle of the draws. Three kinds: accuracy with a question each, accuracy with several turns of a
question, and speed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from parse_engine.bench.provenance import check_writable, describe, write_json
from parse_engine.bench.report import stats

SEED = 20_260_504
QUESTIONS = (12, 100, 500)
LOSSES = (0.005, 0.01, 0.02, 0.05, 0.1)
WINS = (0.0, 0.5, 1.0)
"""Chance to gain a question over that to lose one."""
TURNS = ((1, 3), (3, 3))
"""Fewest and most turns of a question."""
ALIKE = (0.0, 0.5, 1.0)
"""Chance that a turn goes as the first turn of its question does."""
FEW = (3, 5, 12, 100)
LENGTH = 0.35
"""Standard deviation of the logarithm of the target's seconds; on the embedded pair and HumanEval+ 0.3 to 0.36."""
SPREADS = (0.2, 0.5)
"""The same of the speed ratio, from question to question; in the records of this repository 0.1 to 0.6, seldom more."""
RELATIONS = (-0.5, 0.0, 0.5)
"""Correlation of the two logarithms."""

Draw = tuple[float, stats.Interval]
"""The truth and an interval."""


def covered(draws: Iterable[Draw]) -> dict[str, float]:
    """Shares of the draws in which the interval holds the truth, or the truth lies above or below it; its width."""
    truth, low, high = np.array([(truth, *interval) for truth, interval in draws]).T
    above, below = float((truth > high).mean()), float((truth < low).mean())
    return {
        "coverage": round(1 - above - below, 4),
        "truth_above": round(above, 4),
        "truth_below": round(below, 4),
        "median_width": round(float(np.median(high - low)), 4),
    }


def accuracies(generator: np.random.Generator, runs: int) -> list[dict[str, Any]]:
    """One pair of answers per question."""
    interval = cache(stats.score_interval)
    rows = []
    for questions, loss, win in itertools.product(QUESTIONS, LOSSES, WINS):
        gain = loss * win
        drawn = generator.multinomial(questions, [gain, loss, 1 - gain - loss], size=runs).tolist()
        own = covered((gain - loss, interval(gained, lost, questions)) for gained, lost, _ in drawn)
        rows.append({"questions": questions, "loses": loss, "wins": gain, **own})
    return rows


def turns(generator: np.random.Generator, runs: int) -> list[dict[str, Any]]:
    """Several pairs of answers per question, which go alike more or less."""
    rows = []
    questions, loss, gain = 100, 0.05, 0.02
    for (fewest, most), alike in itertools.product(TURNS, ALIKE):
        draws: list[Draw] = []
        for _ in range(runs):
            sizes = generator.integers(fewest, most + 1, questions)
            groups = np.repeat(np.arange(questions), sizes)
            firsts = generator.choice([1, -1, 0], questions, p=[gain, loss, 1 - gain - loss])[groups]
            own = generator.choice([1, -1, 0], len(groups), p=[gain, loss, 1 - gain - loss])
            change = np.where(generator.random(len(groups)) < alike, firsts, own)
            method, target = (change >= 0).tolist(), (change <= 0).tolist()
            draws.append((gain - loss, stats.accuracy_difference_interval(method, target, groups.tolist())))
        row = {"questions": questions, "turns": [fewest, most], "alike": alike, "loses": loss, "wins": gain}
        rows.append({**row, **covered(draws)})
    return rows


def speeds(generator: np.random.Generator, runs: int) -> list[dict[str, Any]]:
    """Seconds and speed ratios that are log-normal; the method is twice as fast on the middle question."""
    rows = []
    for answers, spread, relation in itertools.product(FEW, SPREADS, RELATIONS):
        truth = 2 * math.exp(-(spread**2) / 2 - relation * LENGTH * spread)
        length, ratio = generator.normal(size=(2, runs, answers))
        ratio = relation * length + math.sqrt(1 - relation**2) * ratio
        target = np.exp(LENGTH * length)
        method = target / 2 * np.exp(spread * ratio)
        intervals = map(stats.speed_ratio_interval, method.tolist(), target.tolist())
        own = covered((truth, interval) for interval in intervals if interval is not None)
        rows.append({"questions": answers, "spread": spread, "correlation": relation, **own})
    return rows


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20_000, help="draws of each row; with turns a tenth of them")
    parser.add_argument("--output", type=Path, help="where to write the figures with their provenance")
    given = parser.parse_args(arguments)
    if given.output:
        check_writable(given.output)
    provenance = describe()
    generator = np.random.default_rng(SEED)
    figures = {
        "accuracy": accuracies(generator, given.runs),
        "accuracy_turns": turns(generator, given.runs // 10),
        "speed": speeds(generator, given.runs),
    }
    for kind, rows in figures.items():
        print(kind)
        for row in rows:
            print("  " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in row.items()))
    print(json.dumps(figures))
    if given.output:
        write_json(given.output, {**provenance, "runs": given.runs, "figures": figures})


if __name__ == "__main__":
    main(sys.argv[1:])

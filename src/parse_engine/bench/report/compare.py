"""Two runs compared: what changed, by their speeds over the target in each, and in what else than the code they differ.

The target's own answers are each run's yardstick: seconds of two runs do not compare, for the machine of one may have
been faster, or busy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from parse_engine.bench.report import stats
from parse_engine.bench.report.load import Run
from parse_engine.bench.report.pairs import TOO_FEW, Group, Pair, graded, group, paired, speed_groups
from parse_engine.bench.report.summary import BASELINE, accuracy_difference

CIRCUMSTANCES = ("machine", "versions", "settings", "params", "tasks")
"""What two runs must share for their figures to be compared without a warning."""
SAME_ACCURACY = 0.02
"""Accuracies are the same where the whole interval of their difference is no wider to either side."""
SAME_SPEED = 0.05
"""Speeds are the same where the whole interval of their ratio lies so near to 1, and differ only where all of it lies
farther away: the speed over the target itself drifts by some percent between runs, which intervals over questions do
not know."""
NOT_TOLD = "not told apart"


@dataclass(frozen=True)
class Change:
    """One method on one task in a run against the same in another one, on the questions and turns that both have."""

    task: str
    method: str
    answers: int
    accuracy_diff: float | None
    """Accuracy less the other run's, as a fraction; None in tasks without a key."""
    accuracy_diff_ci: stats.Interval | None
    """95 % interval over questions alone; None where there are too few (`pairs.TOO_FEW`)."""
    speed_ratio: float | None
    """The speed over the target in this run over that in the other run; None for the target itself, and where it did
    not answer the same questions in both runs."""
    speed_ratio_ci: stats.Interval | None
    """95 % interval over questions alone; None where there are too few (`pairs.TOO_FEW`)."""

    @property
    def verdict(self) -> str:
        """What changed by the intervals, what did not, and what they do not tell; empty where there is none."""
        margin = 1 / (1 + SAME_SPEED), 1 + SAME_SPEED
        accuracy = _side(self.accuracy_diff_ci, (0.0, 0.0), (-SAME_ACCURACY, SAME_ACCURACY), "worse", "better")
        speed = _side(self.speed_ratio_ci, margin, margin, "slower", "faster")
        if accuracy == speed:  # both are the same, or nothing is told of either
            return accuracy
        words = [accuracy, speed]
        for at, name in enumerate(("accuracy", "speed")):
            words[at] = {"same": f"same {name}", NOT_TOLD: f"{name} {NOT_TOLD}"}.get(words[at], words[at])
        return ", ".join(filter(None, words))

    def to_dict(self) -> dict[str, Any]:
        figures = asdict(self)
        return {name: figures[name] for name in figures if name not in ("task", "method")} | {"verdict": self.verdict}


def compare(run: Run, other: Run) -> list[Change]:
    """What `run` changed against `other`, for every task and method that both have."""
    changes = []
    theirs = group(other.records)
    for task, methods in group(run.records).items():
        others = theirs.get(task, {})
        for method, answers in methods.items():
            pairs = paired(graded(answers), graded(others.get(method, {})))
            if not pairs:
                continue
            now, then = (graded(own.get(BASELINE, {})) for own in (methods, others))
            speed = (None, None) if method == BASELINE else _speed_change(pairs, now, then)
            changes.append(Change(task, method, len(pairs), *accuracy_difference(pairs), *speed))
    return changes


def remarks(changes: Iterable[Change]) -> list[str]:
    """What could not be compared, and why, a line per task."""
    lines = []
    for task, own in groupby(changes, key=lambda change: change.task):
        here = list(own)
        if any(change.speed_ratio is None for change in here if change.method != BASELINE):
            lines.append(
                f"{task}: no speeds are compared. That takes the target's own answers to the same questions, with "
                "their times, in both runs."
            )
        pairs = [(change.accuracy_diff, change.accuracy_diff_ci) for change in here]
        pairs += [(change.speed_ratio, change.speed_ratio_ci) for change in here]
        if any(value is not None and interval is None for value, interval in pairs):
            lines.append(f"{task}: {TOO_FEW}, and without one there is no verdict.")
    return lines


def changes_to_plain(changes: Iterable[Change]) -> dict[str, dict[str, dict[str, Any]]]:
    """Task -> method -> change, as plain data."""
    plain: dict[str, dict[str, dict[str, Any]]] = {}
    for change in changes:
        plain.setdefault(change.task, {})[change.method] = change.to_dict()
    return plain


def differences(run: Run, other: Run) -> list[str]:
    """In what circumstances the runs differ, a line each: `machine.cpu: theirs -> ours`."""
    ours, theirs = ({key: part.info.get(key, {}) for key in CIRCUMSTANCES} for part in (run, other))
    flat, other_flat = dict(_flat(ours)), dict(_flat(theirs))
    keys = dict.fromkeys([*other_flat, *flat])
    absent = "nothing"
    lines = [
        f"{key}: {other_flat.get(key, absent)} -> {flat.get(key, absent)}"
        for key in keys
        if flat.get(key, absent) != other_flat.get(key, absent)
    ]
    if run.info["methods"] != other.info["methods"]:
        lines.append(f"methods: {', '.join(other.info['methods'])} -> {', '.join(run.info['methods'])}")
    return lines


def _side(
    interval: stats.Interval | None, between: stats.Interval, same: stats.Interval, below: str, above: str
) -> str:
    """On which side of what lies between an interval is, or whether it is within what counts as the same."""
    if interval is None:
        return ""
    if interval[0] > between[1]:
        return above
    if interval[1] < between[0]:
        return below
    return "same" if same[0] <= interval[0] and interval[1] <= same[1] else NOT_TOLD


def _speed_change(pairs: Sequence[Pair], now: Group, then: Group) -> tuple[float | None, stats.Interval | None]:
    """The change of the speed over the target, whose answers in the two runs are `now` and `then`."""
    rows = [
        (own, now[own.place], other, then[own.place]) for own, other in pairs if own.place in now and own.place in then
    ]
    timed = [(row, walls) for row in rows if all(walls := [answer.wall or 0.0 for answer in row])]
    if not timed:
        return None, None
    own, target, other, others_target = zip(*(walls for _, walls in timed), strict=True)
    change = (own, target), (other, others_target)
    groups = speed_groups([row for row, _ in timed])
    return stats.speed_change(*change), None if groups is None else stats.speed_change_interval(*change, groups)


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        else:
            yield name, value

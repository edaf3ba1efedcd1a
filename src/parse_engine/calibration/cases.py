"""What is known of one question after calibration has worked on it: everything that any setting would have done.

The answer of PARSE depends on its settings through the boundary alone: what follows is the target's own continuation.
So a case holds the outcome of every boundary that some setting can choose, and whatever a judge can read there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from parse_engine.backends.base import Scores
from parse_engine.errors import DataError
from parse_engine.files import write_atomically
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.features import Features, features

FULL_ONLY = 0
"""Stands for a delta: the full answer alone is judged."""


@dataclass(frozen=True)
class Outcome:
    """How the answer turns out."""

    right: bool
    """Of the greedy answer."""
    tokens: int
    """That the model writes: the answer's, or those behind what is kept."""
    share: float
    """Of the answers that are right, when several are drawn; else 1 or 0."""
    same: bool
    """Whether its final answer is the target's own."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One question. L draft tokens, N boundaries."""

    task: str
    question: str
    asked: str
    """A hash of what was asked and of its key: another question by the same name is another case."""
    prompt_tokens: int
    target: Outcome
    draft: Outcome
    complete: bool
    """Whether the drafter ended its draft."""
    ends: tuple[int, ...]
    """Draft tokens in each prefix that any delta cuts, the full draft included."""
    cuts: Mapping[int, tuple[int, ...]]
    """Delta -> which of `ends` it judges."""
    outcomes: tuple[Outcome, ...]
    """What the target makes of each prefix; of a full answer, which it leaves as it is, the last."""
    suffix_tokens: int
    """Of the longest suffix, where verdicts were asked for."""
    labels: tuple[tuple[float, float], ...] | None
    logprobs: tuple[float, ...] | None
    agrees: tuple[bool, ...] | None
    entropy: tuple[float, ...] | None
    drafted: tuple[float, ...] | None
    """The drafter's log-probabilities of the draft."""
    hidden: NDArray[np.float32] | None = field(default=None, compare=False)
    """As in `Scores`; kept in a file of its own."""

    @property
    def key(self) -> tuple[str, str]:
        return self.task, self.question

    @property
    def judged(self) -> bool:
        """Whether there was a draft to judge."""
        return bool(self.ends)

    def places(self, delta: int) -> list[int]:
        """Which of `ends` are judged."""
        return [len(self.ends) - 1] if delta == FULL_ONLY else list(self.cuts[delta])

    def features(self, delta: int) -> Features:
        """Of the prefixes that a delta cuts, as the engine would have them."""
        places = self.places(delta)
        scores = Scores(
            labels=None if self.labels is None else tuple(self.labels[place] for place in places),
            logprobs=self.logprobs,
            agrees=self.agrees,
            entropy=self.entropy,
            hidden=None if self.hidden is None else self.hidden[places],
        )
        draft = Draft("", (0,) * self.ends[-1], (), self.complete, self.drafted)
        return features([self.ends[place] for place in places], draft, scores)

    def agreeing(self, accepted: int | None) -> int:
        """Draft tokens behind the accepted boundary that the engine keeps, since they are the target's own choice."""
        if self.agrees is None:
            return 0
        start, left = (0, self.target) if accepted is None else (self.ends[accepted], self.outcomes[accepted])
        return min(left.tokens, [*self.agrees[start:], False].index(False))

    def lost(self, accepted: int | None) -> bool:
        """Whether the target is right and the answer from the accepted boundary (None: none) is wrong."""
        return accepted is not None and self.target.right and not self.outcomes[accepted].right

    def safe(self, place: int) -> bool:
        """Whether the target does no worse from this prefix than from scratch."""
        return self.outcomes[place].share >= self.target.share


class Cases:
    """The cases of a directory: `cases.jsonl`, and hidden states beside it. What is there is not made again."""

    FILE = "cases.jsonl"

    def __init__(self, folder: Path):
        self._folder = folder
        self._file = folder / self.FILE
        self.done: dict[tuple[str, str], Case] = {}
        if self._file.exists():
            try:
                *lines, rest = self._file.read_text(encoding="utf-8").split("\n")
                cases = [_from_plain(json.loads(line)) for line in lines]
            except (ValueError, KeyError, TypeError):
                raise DataError(f"{self._file} is not a file of calibration cases. Give another directory.") from None
            self.done = {case.key: self._with_hidden(case) for case in cases}
            if rest:  # a line that was cut off
                write_atomically(self._file, "".join(f"{line}\n" for line in lines))

    def add(self, case: Case) -> None:
        # As it will be read when a run goes on, so that stopping changes nothing.
        self.done[case.key] = replace(_from_plain(json.loads(_line(case))), hidden=case.hidden)
        if case.hidden is not None:
            path = self._hidden(case)
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({"hidden": case.hidden}, path)
        with self._file.open("a", encoding="utf-8") as lines:
            lines.write(_line(case))

    def _hidden(self, case: Case) -> Path:
        return self._folder / "hidden" / f"{case.task}-{case.question}.safetensors".replace("/", "-")

    def _with_hidden(self, case: Case) -> Case:
        path = self._hidden(case)
        return replace(case, hidden=load_file(path)["hidden"]) if path.exists() else case


def _line(case: Case) -> str:
    plain = asdict(replace(case, hidden=None))
    del plain["hidden"]
    rounded = {name: _rounded(plain[name]) for name in ("logprobs", "entropy", "drafted")}
    return json.dumps({**plain, **rounded}) + "\n"


def _rounded(values: Sequence[float] | None) -> list[float] | None:
    return None if values is None else [round(value, 5) for value in values]


def _from_plain(values: dict[str, Any]) -> Case:
    def row(name: str) -> tuple[Any, ...] | None:
        return None if values[name] is None else tuple(values[name])

    return Case(
        **{
            **values,
            "target": Outcome(**values["target"]),
            "draft": Outcome(**values["draft"]),
            "ends": tuple(values["ends"]),
            "cuts": {int(delta): tuple(places) for delta, places in values["cuts"].items()},
            "outcomes": tuple(Outcome(**outcome) for outcome in values["outcomes"]),
            "labels": None if values["labels"] is None else tuple((right, wrong) for right, wrong in values["labels"]),
            **{name: row(name) for name in ("logprobs", "agrees", "entropy", "drafted")},
        }
    )

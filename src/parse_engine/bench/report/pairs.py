"""Answers as the report counts them: each with its share of the time, paired by question and turn."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from parse_engine.bench.records import Record, wall_seconds

Place = tuple[str, int]
"""A question's id and a turn."""

MIN_QUESTIONS = 12
"""Fewer give no interval: of 4 simulated questions one interval in 8 misses the truth, where 1 in 20 should."""
MIN_BATCHES = 5
"""Fewer say too little about how batches differ; each is a mean of many answers already."""
TOO_FEW = (
    f"fewer than {MIN_QUESTIONS} questions, or than {MIN_BATCHES} batches of answers in flight together, are too few "
    "for an interval"
)


@dataclass(frozen=True)
class Timed:
    """A record with the seconds that it took of its method's time."""

    record: Record
    wall: float | None
    """None where its time does not compare."""

    @property
    def place(self) -> Place:
        return self.record.question, self.record.turn

    @property
    def right(self) -> bool | None:
        """None without a grade and in tasks without a key."""
        return self.record.grade.right if self.record.grade else None


Pair = tuple[Timed, Timed]
Group = Mapping[Place, Timed]
"""The answers of one method to one task."""


def group(records: Sequence[Record]) -> dict[str, dict[str, dict[Place, Timed]]]:
    """Task -> method -> answers, each in the order of first occurrence."""
    groups: dict[str, dict[str, dict[Place, Timed]]] = {}
    for record, wall in zip(records, wall_seconds(records), strict=True):
        timed = Timed(record, wall)
        groups.setdefault(record.task, {}).setdefault(record.method, {})[timed.place] = timed
    return groups


def graded(answers: Group) -> dict[Place, Timed]:
    """Without the answers that wait for their grade."""
    return {place: timed for place, timed in answers.items() if timed.record.grade is not None}


def paired(own: Group, other: Group) -> list[Pair]:
    """The answers to the questions and turns that both have, in the order of the first."""
    return [(timed, other[place]) for place, timed in own.items() if place in other]


def enough_questions(rows: Sequence[Sequence[Timed]]) -> bool:
    """Whether there are questions enough for an interval."""
    return len({first.record.question for first, *_ in rows}) >= MIN_QUESTIONS


def speed_groups(rows: Sequence[Sequence[Timed]]) -> list[Hashable] | None:
    """What the bootstrap of a speed draws together, for each row of answers to the same question and turn.

    Answers in flight together share their time, so it is whole batches, with all batches that hold the same questions;
    for answers that came alone that is the turns of a question. None where there are too few of either (`TOO_FEW`).
    """
    groups = _connected(
        [("question", row[0].record.question), *((place, timed.record.batch) for place, timed in enumerate(row))]
        for row in rows
    )
    count = len(set(groups))
    alone = count == len({first.record.question for first, *_ in rows})
    return groups if enough_questions(rows) and (alone or count >= MIN_BATCHES) else None


def _connected(links: Iterable[Sequence[Hashable]]) -> list[Hashable]:
    """For each link the name of its component; links with a node in common are in one component."""
    parent: dict[Hashable, Hashable] = {}

    def root(node: Hashable) -> Hashable:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = above
        return node

    firsts = []
    for first, *others in links:
        firsts.append(first)
        for other in others:
            parent[root(other)] = root(first)
    return [root(first) for first in firsts]

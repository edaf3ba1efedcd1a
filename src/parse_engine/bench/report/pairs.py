"""Answers as the report counts them: each with its share of the time, paired by question and turn."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from parse_engine.bench.records import Record, wall_seconds

Place = tuple[str, int]
"""A question's id and a turn."""

MIN_BATCHES = 5
"""Fewer say too little about how batches differ."""


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


def speed_groups(pairs: Sequence[Pair]) -> list[Hashable] | None:
    """What the bootstrap of a speed draws together, for each pair.

    Answers in flight together share their time, so it is whole batches, with all batches that hold the same questions;
    for answers that came alone that is the turns of a question. None where several answers share a batch and there are
    fewer than 5 groups: then nothing can be said.
    """
    groups = _connected(
        (("question", own.record.question), ("own", own.record.batch), ("other", other.record.batch))
        for own, other in pairs
    )
    count = len(set(groups))
    alone = count == len({own.record.question for own, _ in pairs})
    return groups if alone or count >= MIN_BATCHES else None


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

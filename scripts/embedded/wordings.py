"""How the two embedded models write: the same steps in different words, alone, in turns, and with mistakes to judge.

Each model writes in words of its own, also behind lines in the other's. `draft_with_mistakes` writes drafts to judge,
with mistakes that the later steps build on, as a real drafter's are.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from parse_engine.bench.tasks.tiny import Event, Kind, Problem


class Wording(Protocol):
    """The words of one model: a line for the start, one for each event, one for the answer."""

    def first(self, problem: Problem, start: int) -> str: ...
    def step(self, event: Event, before: int, after: int, items: str) -> str: ...
    def last(self, count: int) -> str: ...


class TargetWording:
    def first(self, problem: Problem, start: int) -> str:
        return f"{problem.name} starts with {start} {problem.items}.\n"

    def step(self, event: Event, before: int, after: int, items: str) -> str:
        match event.kind:
            case "gain":
                work = f"the count goes up: {before} + {event.amount} = {after}"
            case "loss":
                work = f"the count goes down: {before} - {event.amount} = {after}"
            case "double":
                work = f"the count is doubled: {before} * 2 = {after}"
            case "halve":
                work = f"the count is halved: {before} / 2 = {after}"
        return f"In {event.month} {work}.\n"

    def last(self, count: int) -> str:
        return f"So the answer is {count}."


class DrafterWording:
    def first(self, problem: Problem, start: int) -> str:
        return f"We begin at {start} {problem.items}.\n"

    def step(self, event: Event, before: int, after: int, items: str) -> str:
        match event.kind:
            case "gain":
                work = f"brings {event.amount} on top of {before}, which gives {after}"
            case "loss":
                work = f"takes {event.amount} out of {before}, which leaves {after}"
            case "double":
                work = f"turns {before} into twice that many, which gives {after}"
            case "halve":
                work = f"cuts {before} down to one half, which leaves {after}"
        return f"Then {event.month} {work} {items}.\n"

    def last(self, count: int) -> str:
        return f"Final answer: {count}."


TARGET, DRAFTER = TargetWording(), DrafterWording()


def wording_of(line: str) -> Wording:
    """The wording that a line is written in."""
    return DRAFTER if line.startswith(("We begin", "Then", "Final")) else TARGET


def solution(problem: Problem, writers: Sequence[Wording]) -> list[str]:
    """The faultless answer, line by line; `writers` has one wording for each of its len(events) + 2 lines."""
    counts = problem.counts
    steps = zip(writers[1:-1], problem.events, counts, counts[1:], strict=False)
    return [
        writers[0].first(problem, problem.start),
        *(words.step(event, before, after, problem.items) for words, event, before, after in steps),
        writers[-1].last(counts[-1]),
    ]


def lines_of(problem: Problem, words: Wording) -> list[str]:
    """The faultless answer in one model's words."""
    return solution(problem, [words] * (len(problem.events) + 2))


def taking_turns(count: int, rng: random.Random) -> list[Wording]:
    """Who writes each of `count` lines when the two take turns: runs of one to a few lines."""
    writers, words, switching = [], rng.choice((TARGET, DRAFTER)), rng.choice((0.2, 0.5, 1.0))
    for _ in range(count):
        writers.append(words)
        if rng.random() < switching:
            words = DRAFTER if words is TARGET else TARGET
    return writers


@dataclass(frozen=True)
class Draft:
    """Lines of a draft, and for each the line that would have been right after the lines before it."""

    lines: list[str]
    expected: list[str]

    @property
    def first_wrong(self) -> int:
        """The index of the first wrong line; the number of lines when all are right."""
        pairs = zip(self.lines, self.expected, strict=True)
        return next((index for index, (line, right) in enumerate(pairs) if line != right), len(self.lines))


def _miscalculated(rng: random.Random, value: int) -> int:
    """A wrong value of the kind a small model produces: a slip by one, by ten, in a digit, or anything."""
    while True:
        roll = rng.random()
        if roll < 0.3:
            wrong = value + rng.choice((-1, 1))
        elif roll < 0.55:
            wrong = value + rng.choice((-10, 10))
        elif roll < 0.8:
            wrong = value - value % 10 + rng.randrange(10)
        else:
            wrong = rng.randint(1, 99)
        if wrong != value and 1 <= wrong <= 99:
            return wrong


def _mistaken(rng: random.Random, event: Event, problem: Problem) -> Event:
    """Another event of the problem in its month, another amount, from elsewhere or made up, or the opposite kind."""
    other = rng.choice(problem.events)
    if rng.random() < 0.3 and (other.kind, other.amount) != (event.kind, event.amount):
        return replace(other, month=event.month)
    if not event.amount or rng.random() < 0.25:
        swap: dict[Kind, Kind] = {"gain": "loss", "loss": "gain", "double": "halve", "halve": "double"}
        return replace(event, kind=swap[event.kind])
    others = [e.amount for e in problem.events if e.amount and e.amount != event.amount]
    amount = rng.choice(others) if others and rng.random() < 0.5 else _miscalculated(rng, event.amount)
    return replace(event, amount=amount)


# What a step can get wrong, and how often one against another: its result, what happened, the count it starts from, or
# it is left out. Besides, the first and the last line can have a wrong count, and the draft can end too early.
STEP_MISTAKES = {"result": 4, "event": 4, "before": 2, "skip": 1}
MISTAKES = (*STEP_MISTAKES, "first", "last", "early end")


def draft_with_mistakes(
    problem: Problem, rng: random.Random, share: float, kinds: Sequence[str] = MISTAKES, *, mended: float = 0.0
) -> Draft:
    """A draft in which each line is wrong with probability `share`; later lines build on what is written.

    Its lines are in the drafter's words, but for a share `mended` of them, which are in the target's.
    """

    def happens(kind: str, chance: float) -> bool:
        return kind in kinds and rng.random() < chance

    def writer() -> Wording:
        return TARGET if mended and rng.random() < mended else DRAFTER

    events, words = problem.events, writer()
    told = rng.randrange(1, len(events)) if happens("early end", share / 3) else len(events)
    count = _miscalculated(rng, problem.start) if happens("first", share) else problem.start
    lines, expected = [words.first(problem, count)], [words.first(problem, problem.start)]
    weights = {kind: weight for kind, weight in STEP_MISTAKES.items() if kind in kinds}
    due = 0  # the first event that no line has told yet
    for index, event in enumerate(events[:told]):
        mistake = rng.choices([*weights], [*weights.values()])[0] if weights and rng.random() < share else None
        if mistake == "skip":
            continue
        words = writer()
        expected.append(right_line(problem, due, count, words))
        written = _mistaken(rng, event, problem) if mistake == "event" else event
        before = _miscalculated(rng, count) if mistake == "before" else count
        after = min(max(written.apply(before), 0), 198)
        if mistake == "result":
            after = _miscalculated(rng, after)
        lines.append(words.step(written, before, after, problem.items))
        count, due = after, index + 1
    words = writer()
    expected.append(right_line(problem, due, count, words))
    lines.append(words.last(_miscalculated(rng, count) if happens("last", share / 2) else count))
    return Draft(lines, expected)


def right_line(problem: Problem, due: int, count: int, words: Wording) -> str:
    """The right line behind lines that have told `due` events and stand at `count`."""
    if due == len(problem.events):
        return words.last(count)
    event = problem.events[due]
    return words.step(event, count, event.apply(count), problem.items)

"""How the two embedded models write: the same steps in different words, and drafts with mistakes to judge.

The target learns `target_lines`, the drafter `drafter_lines`. `flawed_draft` writes in the drafter's words, with one
mistake that the later steps build on, as a real drafter's mistakes do.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from parse_engine.bench.tiny import MAX_AMOUNT, Event, Problem


def target_lines(problem: Problem) -> list[str]:
    """One line for the start, one for each event, one for the answer."""
    counts = problem.counts
    lines = [f"{problem.name} starts with {problem.start} {problem.items}.\n"]
    for event, before, after in zip(problem.events, counts, counts[1:], strict=False):
        match event.kind:
            case "gain":
                work = f"the count goes up: {before} + {event.amount} = {after}"
            case "loss":
                work = f"the count goes down: {before} - {event.amount} = {after}"
            case "double":
                work = f"the count is doubled: {before} * 2 = {after}"
            case "halve":
                work = f"the count is halved: {before} / 2 = {after}"
        lines.append(f"In {event.month} {work}.\n")
    lines.append(f"So the answer is {counts[-1]}.")
    return lines


def drafter_step(event: Event, before: int, after: int, items: str) -> str:
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


def drafter_first(problem: Problem, start: int) -> str:
    return f"We begin at {start} {problem.items}.\n"


def drafter_last(count: int) -> str:
    return f"Final answer: {count}."


def drafter_lines(problem: Problem) -> list[str]:
    """One line for the start, one for each event, one for the answer."""
    counts = problem.counts
    steps = [
        drafter_step(event, before, after, problem.items)
        for event, before, after in zip(problem.events, counts, counts[1:], strict=False)
    ]
    return [drafter_first(problem, problem.start), *steps, drafter_last(counts[-1])]


@dataclass(frozen=True)
class Draft:
    """Lines in the drafter's words; lines[:first_wrong] are right, and `complete` says that no step is missing."""

    lines: list[str]
    first_wrong: int
    complete: bool

    def prefix_is_right(self, lines: int) -> bool:
        return lines <= self.first_wrong

    @property
    def is_right(self) -> bool:
        return self.complete and self.first_wrong >= len(self.lines)


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


def flawed_draft(problem: Problem, rng: random.Random) -> Draft:
    """A draft with exactly one mistake, later steps consistent with it."""
    steps = len(problem.events)
    at = rng.randrange(-1, steps + 2)  # -1: the start; steps: the answer line; steps + 1: stops too early
    count = problem.start
    first_wrong = at + 1
    if at == -1:
        count = _miscalculated(rng, count)
    lines = [drafter_first(problem, count)]
    if at == steps + 1:
        kept = drafter_lines(problem)[: 1 + rng.randrange(steps)]
        written = problem.counts[len(kept) - 1]
        return Draft([*kept, drafter_last(written)], len(kept), complete=False)
    kinds = ["result"] * 4 + ["amount", "amount", "before", "kind", "skip"]
    for index, event in enumerate(problem.events):
        before, written = count, event
        mistake = rng.choice(kinds) if index == at else None
        if (mistake == "amount" and not event.amount) or (mistake == "skip" and index == steps - 1):
            mistake = "result"
        if mistake == "skip":
            continue
        if mistake == "amount":
            others = [e.amount for e in problem.events if e.amount and e.amount != event.amount]
            amount = rng.choice(others) if others and rng.random() < 0.5 else _miscalculated(rng, event.amount)
            written = replace(event, amount=min(amount, MAX_AMOUNT) if amount != event.amount else amount + 1)
            if written.amount == event.amount:
                written = replace(event, amount=event.amount - 1)
        elif mistake == "before":
            before = _miscalculated(rng, before)
        elif mistake == "kind":
            swap = {"gain": "loss", "loss": "gain", "double": "halve", "halve": "double"}
            written = replace(event, kind=swap[event.kind])  # type: ignore[arg-type]
        after = min(max(written.apply(before), 0), 198)
        if mistake == "result":
            after = _miscalculated(rng, after)
        lines.append(drafter_step(written, before, after, problem.items))
        count = after
    lines.append(drafter_last(_miscalculated(rng, count) if at == steps else count))
    return Draft(lines, first_wrong, complete=True)


def right_draft(problem: Problem) -> Draft:
    lines = drafter_lines(problem)
    return Draft(lines, len(lines), complete=True)

"""The `tiny` task: templated word problems of 3 to 8 steps, the domain of the embedded pair.

A problem is a start count and a list of monthly events; its answer is the count at the end. Problems are a pure
function of (split, seed): the training split and the test split are disjoint by a hash of the question.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from parse_engine.bench.graders.text import after_thinking
from parse_engine.bench.tasks.base import Grade, Question

_NAMES = (
    "Ada Ben Cleo Dan Eva Finn Gina Hugo Iris Jack Kate Leo Mia Noah Olga Paul Rosa Sam Tara Vera Will Yara Zoe Anton"
)
_ITEMS = (
    "apples pears books coins cards shells stamps pencils marbles cups plants stones eggs candles boxes ribbons "
    "buttons tickets nuts melons lamps bricks tiles keys"
)
_MONTHS = "January February March April May June July August September October November December"
NAMES, ITEMS, MONTHS = _NAMES.split(), _ITEMS.split(), _MONTHS.split()

GAINS = ("buys {n} more {items}", "finds {n} {items}", "is given {n} {items}")
LOSSES = ("sells {n} {items}", "loses {n} {items}", "gives away {n} {items}")
DOUBLES = ("doubles the {items}", "gets as many {items} again")
HALVES = ("gives away half of the {items}", "loses half of the {items}")

MIN_STEPS, MAX_STEPS = 3, 8
MAX_COUNT = 99
MAX_AMOUNT = 30

Kind = Literal["gain", "loss", "double", "halve"]
Split = Literal["train", "test"]
_TEST_SHARE = 16  # one question in 16 belongs to the test split


@dataclass(frozen=True)
class Event:
    """One month's change. `amount` is 0 for `double` and `halve`."""

    month: str
    kind: Kind
    amount: int
    phrase: str

    def apply(self, count: int) -> int:
        """The count after this event."""
        match self.kind:
            case "gain":
                return count + self.amount
            case "loss":
                return count - self.amount
            case "double":
                return count * 2
            case "halve":
                return count // 2


@dataclass(frozen=True)
class Problem:
    """A question with everything needed to grade an answer to it or to write one."""

    name: str
    items: str
    start: int
    events: tuple[Event, ...]

    @property
    def question(self) -> str:
        lines = [f"{self.name} has {self.start} {self.items}."]
        lines += [f"In {event.month} {self.name} {event.phrase}." for event in self.events]
        lines.append(f"How many {self.items} does {self.name} have at the end?")
        return " ".join(lines)

    @property
    def counts(self) -> list[int]:
        """The count before the first event and after each one: len(events) + 1 numbers."""
        counts = [self.start]
        for event in self.events:
            counts.append(event.apply(counts[-1]))
        return counts

    @property
    def answer(self) -> int:
        return self.counts[-1]


def _draw_event(rng: random.Random, month: str, items: str, count: int) -> Event:
    kinds: list[Kind] = []
    if count + 2 <= MAX_COUNT:
        kinds += ["gain"] * 3
    if count - 2 >= 1:
        kinds += ["loss"] * 3
    if 2 <= count <= MAX_COUNT // 2:
        kinds += ["double"]
    if count >= 4 and count % 2 == 0:
        kinds += ["halve"]
    kind = rng.choice(kinds)
    amount = 0
    if kind == "gain":
        amount = rng.randint(2, min(MAX_AMOUNT, MAX_COUNT - count))
    elif kind == "loss":
        amount = rng.randint(2, min(MAX_AMOUNT, count - 1)) if count > 2 else 1
    phrases = {"gain": GAINS, "loss": LOSSES, "double": DOUBLES, "halve": HALVES}[kind]
    return Event(month, kind, amount, rng.choice(phrases).format(n=amount, items=items))


def draw(rng: random.Random, min_steps: int = MIN_STEPS, max_steps: int = MAX_STEPS) -> Problem:
    """One problem of either split, with every count in 1..99."""
    name, items = rng.choice(NAMES), rng.choice(ITEMS)
    start = count = rng.randint(2, 60)
    first_month = rng.randrange(len(MONTHS))
    events = []
    for step in range(rng.randint(min_steps, max_steps)):
        event = _draw_event(rng, MONTHS[(first_month + step) % len(MONTHS)], items, count)
        count = event.apply(count)
        events.append(event)
    return Problem(name, items, start, tuple(events))


def split_of(problem: Problem) -> Split:
    """The split a problem belongs to, by a hash of its question."""
    return "test" if zlib.crc32(problem.question.encode()) % _TEST_SHARE == 0 else "train"


def problems(
    split: Split, seed: int = 0, *, min_steps: int = MIN_STEPS, max_steps: int = MAX_STEPS
) -> Iterator[Problem]:
    """An endless stream of problems of one split, the same for the same seed."""
    rng = random.Random(f"{split}-{seed}")
    while True:
        problem = draw(rng, min_steps, max_steps)
        if split_of(problem) == split:
            yield problem


_ASKED = re.compile(r"[Hh]ow many \w+ does \w+ have")
_NUMBER = re.compile(r"-?\d+")


def asks_for_a_count(text: str) -> bool:
    """Whether a text asks what the task's questions ask."""
    return _ASKED.search(text) is not None


def extract(text: str) -> int | None:
    """The number an answer ends with: the first one after its last "answer"; None where there is none."""
    tail = after_thinking(text).lower().rpartition("answer")
    match = _NUMBER.search(tail[2]) if tail[1] else None
    return int(match.group()[:20]) if match else None  # int() refuses the endless digits of a model that runs away


def grade(problem: Problem, text: str) -> bool:
    """Whether the answer names the right final count."""
    return extract(text) == problem.answer


class TinyTask:
    """`SIZE` different problems of the test split, from the `first` on; the prompt is the question alone."""

    version = "1"
    SIZE = 1000

    def __init__(self, name: str = "tiny", first: int = 0) -> None:
        self.name = name
        self._first = first

    def questions(self, limit: int | None = None) -> list[Question]:
        last = self._first + (self.SIZE if limit is None else min(limit, self.SIZE))
        different: dict[str, Problem] = {}
        for problem in problems("test"):
            different.setdefault(problem.question, problem)
            if len(different) >= last:
                break
        chosen = list(different.items())[self._first :]
        return [Question(f"{self.name}/{number}", (text,), problem) for number, (text, problem) in enumerate(chosen)]

    def grade(self, question: Question, text: str) -> Grade:
        count = extract(text)
        return Grade(count == question.reference.answer, parsed=count is not None)


def make_task() -> TinyTask:
    return TinyTask()

"""In which batches a run's questions are answered, and whose turn it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from parse_engine.bench.tasks.base import Question, Task

Block = Mapping[str, int]
"""Consecutive questions of a task, `questions` of them, that are cut into batches of `size`."""


@dataclass(frozen=True)
class Batch:
    """Questions that one method answers in one go."""

    task: Task
    questions: Sequence[Question]
    method: str


def add_blocks(
    known: Mapping[str, Sequence[Block]], asked: Mapping[str, int], concurrency: int
) -> dict[str, list[Block]]:
    """The blocks of every task, for so many questions; those that are known stay, so that a run that grows keeps its
    batches, and with them the times of what was answered."""
    size = _batch_size(sum(asked.values()), concurrency)
    blocks = {}
    for task, questions in asked.items():
        own = list(known.get(task, []))
        more = questions - sum(block["questions"] for block in own)
        blocks[task] = [*own, {"questions": more, "size": size}] if more else own
    return blocks


def _batch_size(questions: int, concurrency: int) -> int:
    """Questions in a batch: two to four times the answers in flight, so that filling and draining weigh little, and
    that there are enough batches to compare."""
    return 1 if concurrency == 1 else min(4 * concurrency, max(2 * concurrency, questions // 6))


def cut(questions: Sequence[Question], blocks: Sequence[Block]) -> Iterator[Sequence[Question]]:
    """The questions of each batch."""
    end = 0
    for block in blocks:
        start, end = end, end + block["questions"]
        for first in range(start, end, block["size"]):
            yield questions[first : min(first + block["size"], end)]


def interleave(
    parts: Sequence[tuple[Task, Sequence[Question]]], methods: Sequence[str], *, rotating: bool
) -> Iterator[Batch]:
    """Part by part, every method; who goes first rotates from part to part if it is `rotating`."""
    for number, (task, questions) in enumerate(parts):
        first = number % len(methods) if rotating else 0
        for method in [*methods[first:], *methods[:first]]:
            yield Batch(task, questions, method)

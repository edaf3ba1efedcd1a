"""The drafter's own drafts, for the target to learn from: no made-up mistake is quite like a real one."""

from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path

from parse_engine.bench.tasks.tiny import MONTHS, Problem, problems
from wordings import Draft, right_line, solution, taking_turns, wording_of
from writing import Author


def drafts_of(folder: Path, count: int, seed: int, kept: Path) -> list[tuple[Problem, Draft]]:
    """Drafts with a mistake, by the drafter in `folder`, of `count` training problems.

    Every second one goes on behind right lines in both models' words, as behind lines that the target has mended. What
    was drafted is kept in the file `kept`, for a training that goes on.
    """
    rng = random.Random(seed)
    chosen = list(itertools.islice(problems("train", seed), count))
    begun = []
    for number, problem in enumerate(chosen):
        lines = solution(problem, taking_turns(len(problem.events) + 2, rng))
        begun.append("".join(lines[: rng.randrange(1, len(lines))]) if number % 2 else "")
    if not kept.exists():
        kept.write_text(json.dumps(Author.load(folder).answers(chosen, begun)))
    texts = json.loads(kept.read_text())
    return [
        (problem, draft)
        for problem, draft in zip(chosen, map(as_draft, chosen, texts), strict=True)
        if draft is not None and draft.first_wrong < len(draft.lines)
    ]


def as_draft(problem: Problem, text: str) -> Draft | None:
    """A draft's lines, and for each the line that is right after the lines before it; None for what is no draft."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return None
    months = [event.month for event in problem.events]
    expected, due, count = [wording_of(lines[0]).first(problem, problem.start)], 0, _count(lines[0])
    for line in lines[1:]:
        if count is None or due > len(months):
            return None
        expected.append(right_line(problem, due, count, wording_of(line)))
        told = next((word for word in line.split() if word in MONTHS), None)
        due, count = (months.index(told) + 1 if told in months else due + 1), _count(line)
    return Draft(lines, expected)


def _count(line: str) -> int | None:
    """The count that a line ends with, where it is one that the problems know."""
    numbers = re.findall(r"\d+", line)
    return int(numbers[-1]) if numbers and len(numbers[-1]) <= 3 else None

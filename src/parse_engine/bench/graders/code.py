"""Grading of programs as EvalPlus does: run on its inputs, compared with what the canonical solution returns."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from parse_engine.bench.graders import sandbox
from parse_engine.bench.graders.program import extract_code
from parse_engine.bench.tasks.base import Grade
from parse_engine.errors import DataError

INSTRUCTION = (
    "Write a Python script that solves the problem below. It must run on its own: include the imports and every "
    "function it needs. Put the whole script into one code block that starts with ```python."
)
FLOAT_TOLERANCE = 1e-6  # EvalPlus's absolute tolerance for floats where a problem sets none
RELATIVE_TOLERANCE = 1e-7

# EvalPlus's limits: 4 GiB, and four times what the canonical solution takes, or 10 seconds in all where that is less.
CANONICAL_LIMITS = sandbox.Limits(seconds=120, memory_bytes=4 * 1024**3)
TIME_FACTOR, LEAST_SECONDS = 4, 10

Judge = Callable[[Sequence[Any], Any, Any, float], bool]
"""(arguments, output, canonical output, absolute tolerance) -> whether the output is right."""


@dataclass(frozen=True)
class Problem:
    """What a program is graded against."""

    id: str
    entry_point: str
    """The function that is called."""
    canonical: str
    """A right program."""
    inputs: Sequence[Sequence[Any]]
    """Arguments of each call."""
    atol: float
    """Absolute tolerance; 0 for exact equality, except between floats."""


@dataclass(frozen=True)
class _Expected:
    outputs: list[Any]
    limits: sandbox.Limits
    """What a program may use for them."""


def prompt(problem: str) -> str:
    """The request for a script in a code block, with the problem's own text."""
    return f"{INSTRUCTION}\n\n```python\n{problem.strip()}\n```"


class CodeGrader:
    """Runs programs in the sandbox. `judges` decide for the functions that they are named after, `same` for others."""

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        self._judges = judges
        self._last: tuple[Problem, _Expected] | None = None  # a run's methods answer a question one after the other

    def grade(self, problem: Problem, text: str) -> Grade:
        """Whether the program in an answer is right on every input.

        Raises:
            DataError: the canonical solution itself does not run.
        """
        code = extract_code(text, problem.entry_point)
        return Grade(code is not None and self.passes(problem, code), parsed=code is not None)

    def passes(self, problem: Problem, code: str) -> bool:
        """Whether a program is right on every input.

        Raises:
            DataError: the canonical solution itself does not run.
        """
        expected = self._expected(problem)
        actual = sandbox.call(code, problem.entry_point, problem.inputs, expected.limits)
        if actual is None or len(actual) != len(expected.outputs):
            return False
        judge = self._judges.get(problem.entry_point, judge_same)
        return all(
            judge(arguments, got, wanted, problem.atol)
            for arguments, got, wanted in zip(problem.inputs, actual, expected.outputs, strict=True)
        )

    def _expected(self, problem: Problem) -> _Expected:
        if self._last is None or self._last[0] is not problem:
            started = time.monotonic()
            outputs = sandbox.call(problem.canonical, problem.entry_point, problem.inputs, CANONICAL_LIMITS)
            if outputs is None or len(outputs) != len(problem.inputs):
                raise DataError(f"the canonical solution of {problem.id} does not run. Fetch the task's file again.")
            seconds = max(LEAST_SECONDS, math.ceil(TIME_FACTOR * (time.monotonic() - started)))
            self._last = (problem, _Expected(outputs, replace(CANONICAL_LIMITS, seconds=seconds)))
        return self._last[1]


def judge_same(arguments: Sequence[Any], got: Any, wanted: Any, atol: float) -> bool:
    """The judge of most problems: the output is the canonical one."""
    return same(got, wanted, atol)


def same(got: Any, wanted: Any, atol: float) -> bool:
    """EvalPlus's comparison: equality, or closeness where there is a tolerance or floats are wanted."""
    if got == wanted:
        return True
    flat = wanted if isinstance(wanted, list | tuple) else [wanted]
    tolerance = atol or (FLOAT_TOLERANCE if all(isinstance(item, float) for item in flat) else 0)
    return bool(tolerance) and type(got) is type(wanted) and _close(got, wanted, tolerance)


def _close(got: Any, wanted: Any, tolerance: float) -> bool:
    if isinstance(got, list | tuple) and isinstance(wanted, list | tuple):
        return len(got) == len(wanted) and all(_close(a, b, tolerance) for a, b in zip(got, wanted, strict=True))
    if not isinstance(got, int | float | complex) or not isinstance(wanted, int | float | complex):
        return False
    try:
        return bool(got == wanted or abs(got - wanted) <= tolerance + RELATIVE_TOLERANCE * abs(wanted))
    except OverflowError:  # a whole number beyond the floats
        return False

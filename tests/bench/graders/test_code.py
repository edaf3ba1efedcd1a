from __future__ import annotations

from typing import Any

import pytest

from parse_engine.bench.graders.code import CodeGrader, Problem, same
from parse_engine.errors import DataError


def problem(**changes: Any) -> Problem:
    fields = {
        "id": "Fixture/0",
        "entry_point": "mean",
        "canonical": "def mean(xs):\n    return sum(xs) / len(xs)\n",
        "inputs": [[[1.0, 2.0]], [[4]], [[0.1, 0.2, 0.3]]],
        "atol": 0,
    }
    return Problem(**(fields | changes))


def passes(given: Problem, code: str) -> bool:
    return CodeGrader({}).passes(given, code)


def test_right_and_wrong_programs() -> None:
    assert passes(problem(), "def mean(xs):\n    return sum(xs) / len(xs)")
    assert passes(problem(), "def mean(xs):\n    return sum(x / len(xs) for x in xs)"), "float noise is tolerated"
    assert not passes(problem(), "def mean(xs):\n    return sum(xs)")
    assert not passes(problem(), "def mean(xs):\n    return None")


def test_a_program_right_on_some_inputs_only_is_wrong() -> None:
    assert not passes(problem(), "def mean(xs):\n    return {2: 1.5, 1: 4.0, 3: 0}[len(xs)]")


def test_a_value_that_equals_everything_is_wrong() -> None:
    """The program never sees the right outputs, nor does its own `__eq__` decide."""
    code = "class Any:\n    def __eq__(self, other): return True\ndef mean(xs): return Any()"
    assert not passes(problem(), code)


def test_tolerance_of_the_problem_is_honoured() -> None:
    code = "def mean(xs):\n    return sum(xs) / len(xs) + 0.00005"
    assert not passes(problem(), code)
    assert passes(problem(atol=0.0001), code)


def test_a_judge_decides_for_its_function() -> None:
    grader = CodeGrader({"mean": lambda arguments, got, wanted, atol: got == len(arguments[0])})
    assert grader.passes(problem(), "def mean(xs): return len(xs)")
    assert not grader.passes(problem(), "def mean(xs): return sum(xs) / len(xs)")


def test_large_outputs_are_compared() -> None:
    """All combinations of a problem of MBPP+ used to travel item by item, past every limit."""
    canonical = "from itertools import combinations_with_replacement as c\ndef f(n): return list(c('abcde', n))"
    given = problem(entry_point="f", canonical=canonical, inputs=[[20]])
    assert passes(given, canonical)
    assert not passes(given, canonical.replace("'abcde'", "'abcdf'"))
    assert not passes(given, canonical.replace("list(c('abcde', n))", "[list(x) for x in c('abcde', n)]"))


def test_comparison() -> None:
    assert same(1, 1.0, 0)
    assert same([1.0, 2.0], [1.0, 2.0000001], 0)
    assert not same((1.0, 2.0), [1.0, 2.0000001], 0)
    assert not same([1, 2], (1, 2), 0)
    assert not same([1.0], [1.0, 2.0], 0)
    assert not same(1, 2, 0)
    assert not same("a", 1.5, 0.1)
    assert not same(None, 1.5, 0.1)
    assert same(float("inf"), float("inf"), 0)
    assert not same(float("nan"), 1.0, 0)
    assert same([(1.0, 2.0)], [(1.0, 2.05)], 0.1)
    assert not same([(1.0, 2.0)], [(1.0, "2")], 0.1)
    assert not same(10**400, 10**400 + 1, 0.1)
    assert not same([10**400, 1.0], [1.5, 1.0], 0.1)


def test_a_canonical_solution_that_fails_is_broken_data() -> None:
    with pytest.raises(DataError, match="Fixture/0"):
        passes(problem(canonical="def mean(xs): return 1 / 0\n"), "def mean(xs): return 1")

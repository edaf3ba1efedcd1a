"""Helper process of `graders.math`: a JSON line in, `right`, `wrong` or `unparsed` out. Imports nothing of ours."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import math_verify.grader
from math_verify import parse, verify
from sympy import Expr, Float

MEMORY_BYTES = 2 * 1024**3
CLOSE, CLOSE_FLOATS = 1e-60, 1e-3  # beside the numbers themselves; exact ones differ by rounding alone
_TEXT = r"\\(?:text\w*|mathrm|mbox)\s?\{([^{}]*)\}"
_TEXT_BASE = re.compile(rf"_\s?(?:\{{\s?{_TEXT}([^{{}}]*)\}}|{_TEXT})")
_SUBSCRIPT = re.compile(r"(?<=[\d)])\s?_\s?(?:\{[^{}]*\}|\d+)")
_BASE = re.compile(r"(?<=[\d)}])\s?(?:_\s?\{([^{}]*)\}|_\s?(\d+|[a-z]+))")
NUMERALS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"}

_numeric_equal = math_verify.grader.sympy_numeric_eq


def limit_memory() -> None:
    """So that a tower of powers fails instead of filling the machine."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def numeric_equal(one: Any, other: Any, float_rounding: int, numeric_precision: int) -> bool:
    """Guard math-verify's comparison, for which all numbers below 1e-15 are equal, and decimals that round alike.

    Of numbers that it calls equal the difference must be small beside them, not beside 1.
    """
    equal = bool(_numeric_equal(one, other, float_rounding, numeric_precision))
    if not equal or one == other or not (isinstance(one, Expr) and isinstance(other, Expr)):
        return equal  # matrices come here element by element
    if any(math_verify.grader.get_pct_val(each) is not None for each in (one, other)):
        return equal  # 47 % is 47, and it is 0.47
    one, other = one.doit(), other.doit()
    difference = (one - other).doit()
    inexact = one.has(Float) or other.has(Float)
    if not inexact and difference.is_zero is False:
        return False
    if not difference.is_number:
        return True
    size = max(abs(one.evalf(30)), abs(other.evalf(30))) if one.is_number and other.is_number else 1
    return bool(abs(difference.evalf(30)) <= (CLOSE_FLOATS if inexact else CLOSE) * size)


def bases(text: str) -> list[str]:
    """The bases of a text's numbers: math-verify drops the subscripts, and 52_8 would equal 52_9."""
    found = (match[1] or match[2] for match in _BASE.finditer(text))
    return [NUMERALS.get(base, base) for base in (base.replace("base", "").strip().lower() for base in found)]


class Formula:
    """A text, what math-verify parses it as, and the bases of its numbers."""

    def __init__(self, text: str) -> None:
        text = _TEXT_BASE.sub(r"_{\1\2\3}", text)
        self.bases = bases(text)
        self.parsed = parse(_SUBSCRIPT.sub("", text), parsing_timeout=None)

    def equals(self, answer: Formula) -> bool:
        """Whether an answer is this one."""
        if self.bases and answer.bases and self.bases != answer.bases:
            return False
        return bool(verify(self.parsed, answer.parsed, timeout_seconds=None))


def verdict(golds: list[str], answers: list[list[str]]) -> str:
    """Whether every answer equals the gold one in one of its readings; `unparsed` where none has a formula.

    The caller bounds the time: math-verify's own limits rest on signals, which do not interrupt big-number work.
    """
    try:
        wanted = [Formula(gold) for gold in golds]
        found = [[Formula(reading) for reading in readings] for readings in answers]
        if not any(reading.parsed for readings in found for reading in readings):
            return "unparsed"
        right = all(any(gold.equals(reading) for gold in wanted for reading in readings) for readings in found)
        return "right" if right else "wrong"
    except (ArithmeticError, MemoryError, RecursionError):
        return "wrong"


def main() -> None:
    limit_memory()
    math_verify.grader.sympy_numeric_eq = numeric_equal
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        print(verdict(job["golds"], job["answers"]), flush=True)


if __name__ == "__main__":
    main()

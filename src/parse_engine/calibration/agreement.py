"""Whether two answers come to the same, where nobody says which one is right."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from threading import Lock

from parse_engine.bench.graders import choice
from parse_engine.bench.graders.final import FENCE, NUMBER, final, joined
from parse_engine.bench.graders.math import MathGrader
from parse_engine.bench.graders.units import CURRENCIES, Unit, differ, unit_behind

_LETTERS = len(choice.LETTERS)
_LONGEST = 1000  # characters of what is compared as a number or as mathematics; beyond is a model that runs away
_MATHEMATICS = re.compile(r"[\\^+*=√π]|[\[({][^\])}]*,|\d[xyzabn]\b")
_TIMES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_LISTED = re.compile(r"[,;:/&+*^-]|\b(?:and|or|to|but)\b|\A\s*\Z")
_CHOSEN = re.compile(
    r"(?:the\s)?(?:option|choice|letter)\s"
    r"|\W{0,3}[A-J]\b\W{0,3}\s(?:because|since|as|for|which|is|was|would|seems|fits|matches|must|should|can)\b"
)
_PRICE = re.compile(r"\$[^$]*\Z")
_BEFORE = " \t\n*_`\"'“”‘’"
_BEHIND = _BEFORE + ".,;:!"


def same_answer(one: str, other: str) -> bool:
    """Whether both come to the same final answer (bench/graders/final.py), read as the graders read it.

    Numbers are the same whatever their way of writing is, unless both sides name units of measure and those differ;
    options by their letter, mathematics where math-verify finds it equal, and texts but for case and white space.
    Math-verify has a process of its own that takes seconds to start, and is asked only where nothing else decides;
    where it is not installed, mathematics are texts.
    """
    return _same(final(one), final(other))


def _same(one: str, other: str) -> bool:
    if one.startswith(FENCE) or other.startswith(FENCE):
        return one.split() == other.split() or "".join(one.split()) == "".join(other.split())
    one, other = _undressed(one), _undressed(other)
    if "".join(one.split()).casefold() == "".join(other.split()).casefold():
        return True
    if "\n" in one + other or max(len(one), len(other)) > _LONGEST:
        return False
    if choice.option(one) or choice.option(other):
        return _letter(one) == _letter(other)
    numbers, others = _numbers(one), _numbers(other)
    if numbers and others:
        return _equal_numbers(numbers, others)
    mathematical = any(map(_MATHEMATICS.search, (one, other)))
    return mathematical and _equal_mathematics(*sorted((one, other)))


def _undressed(answer: str) -> str:
    """Without marks and quotes around it, and without the full stop."""
    answer = answer.strip().rstrip(_BEHIND).lstrip(_BEFORE)
    return answer if _PRICE.match(answer) else answer.strip("$ ").strip(_BEFORE)


def _letter(answer: str) -> str | None:
    """The letter of an answer that is an option, or begins with one of which something is said."""
    if letter := choice.option(answer):
        return letter
    return choice.extract(f"Answer: {answer}", _LETTERS) if _CHOSEN.match(answer) else None


@dataclass(frozen=True)
class _Number:
    value: Fraction
    percent: bool
    unit: Unit


@dataclass(frozen=True)
class _Numbers:
    """Those of an answer, in their order."""

    all: tuple[_Number, ...]
    listed: bool
    """Whether all of several are the answer, as in `3 and 4` and `2 hours 30 minutes`; not in 47 apples after 3
    months."""


def _numbers(answer: str) -> _Numbers | None:
    """The numbers of an answer; None of mathematics."""
    if "=" in answer and not re.search(r"[,;]", answer):
        answer = answer.rpartition("=")[2]
    if _MATHEMATICS.search(answer):
        return None
    found = list(NUMBER.finditer(answer))
    if not found:
        return None
    listed = len(found) > 1 and (
        bool(_LISTED.search(answer[found[0].end() : found[1].start()])) or joined(answer, *found[:2])
    )
    return _Numbers(tuple(_number(match) for match in found), listed)


def _number(match: re.Match[str]) -> _Number:
    value = Fraction(match[1].replace(",", "")) / int(match[2] or 1) * _TIMES.get((match[4] or "").lower(), 1)
    before = match[0].partition(match[1])[0]
    unit, _ = unit_behind(match.string, match.end())
    if currency := CURRENCIES.get(before[-1:]):
        unit = (currency, *unit[1:])
    return _Number(-value if "-" in before else value, bool(match[3]), unit)


def _equal_numbers(ones: _Numbers, others: _Numbers) -> bool:
    """All of several on both sides; of several that are not listed the first, against a single one."""
    if len(ones.all) != len(others.all) and (min(len(ones.all), len(others.all)) > 1 or ones.listed or others.listed):
        return False
    return all(map(_equal, ones.all, others.all))


def _equal(one: _Number, other: _Number) -> bool:
    """As math-verify has it: 47 % is 47, and it is 0.47."""
    if differ(one.unit, other.unit):
        return False
    if one.value == other.value:
        return True
    return one.percent != other.percent and _share(one) == _share(other)


def _share(number: _Number) -> Fraction:
    return number.value / 100 if number.percent else number.value


_grader = cache(MathGrader)
_asking = Lock()


@lru_cache(maxsize=10_000)
def _equal_mathematics(one: str, other: str) -> bool:
    if importlib.util.find_spec("math_verify") is None:
        return False
    with _asking:  # audits of several answers are in threads of their own
        return any(_grader().grade(gold, f"\\boxed{{{text}}}").right for gold, text in ((one, other), (other, one)))

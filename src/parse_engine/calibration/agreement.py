"""Whether two answers come to the same, where nobody says which one is right."""

from __future__ import annotations

import importlib.util
import re
from fractions import Fraction
from functools import cache, lru_cache
from threading import Lock

from parse_engine.bench.graders import choice
from parse_engine.bench.graders.final import FENCE, NUMBER, final
from parse_engine.bench.graders.math import MathGrader

_LETTERS = len(choice.LETTERS)
_LONGEST = 1000  # characters of what is compared as a number or as mathematics; beyond is a model that runs away
_MATHEMATICS = re.compile(r"[\\^+*=√π]|[\[({][^\])}]*,|\d[xyzabn]\b")
_TIMES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_LISTED = re.compile(r"[,;:/&+*^-]|\b(?:and|or|to|but)\b|\A\s*\Z")
_PRICE = re.compile(r"\$[^$]*\Z")
_BEFORE = " \t\n*_`\"'“”‘’"
_BEHIND = _BEFORE + ".,;:!"


def same_answer(one: str, other: str) -> bool:
    """Whether both come to the same final answer (bench/graders/final.py), read as the graders read it.

    Numbers are the same whatever their unit, currency or way of writing is, options by their letter, mathematics where
    math-verify finds it equal, and texts but for case and white space. Math-verify has a process of its own that takes
    seconds to start, and is asked only where nothing else decides; where it is not installed, mathematics are texts.
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
        letters = [choice.extract(f"Answer: {each}", _LETTERS) for each in (one, other)]
        return letters[0] == letters[1]
    numbers, others = _numbers(one), _numbers(other)
    if numbers and others:
        return len(numbers) == len(others) and all(map(_equal, numbers, others))
    mathematical = any(map(_MATHEMATICS.search, (one, other)))
    return mathematical and _equal_mathematics(*sorted((one, other)))


def _undressed(answer: str) -> str:
    """Without marks and quotes around it, and without the full stop."""
    answer = answer.strip().rstrip(_BEHIND).lstrip(_BEFORE)
    return answer if _PRICE.match(answer) else answer.strip("$ ").strip(_BEFORE)


def _numbers(answer: str) -> list[tuple[Fraction, bool]] | None:
    """The numbers of an answer, and whether each is of hundred; one, unless they are listed. None of mathematics."""
    if "=" in answer and not re.search(r"[,;]", answer):
        answer = answer.rpartition("=")[2]
    if _MATHEMATICS.search(answer):
        return None
    found = list(NUMBER.finditer(answer))
    if len(found) > 1 and not _LISTED.search(answer[found[0].end() : found[1].start()]):
        found = found[:1]  # 47 apples after 3 months
    return [_value(match) for match in found] or None


def _value(match: re.Match[str]) -> tuple[Fraction, bool]:
    value = Fraction(match[1].replace(",", "")) / int(match[2] or 1) * _TIMES.get((match[4] or "").lower(), 1)
    return -value if "-" in match[0].partition(match[1])[0] else value, bool(match[3])


def _equal(one: tuple[Fraction, bool], other: tuple[Fraction, bool]) -> bool:
    """As math-verify has it: 47 % is 47, and it is 0.47."""
    (value, percent), (others_value, others_percent) = one, other
    if value == others_value:
        return True
    return percent != others_percent and value / (100 if percent else 1) == others_value / (
        100 if others_percent else 1
    )


_grader = cache(MathGrader)
_asking = Lock()


@lru_cache(maxsize=10_000)
def _equal_mathematics(one: str, other: str) -> bool:
    if importlib.util.find_spec("math_verify") is None:
        return False
    with _asking:  # audits of several answers are in threads of their own
        return any(_grader().grade(gold, f"\\boxed{{{text}}}").right for gold, text in ((one, other), (other, one)))

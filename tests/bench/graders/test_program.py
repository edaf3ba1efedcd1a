"""Programs are found in whatever an answer puts around them. They are run here without the sandbox: they are ours."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from parse_engine.bench.graders.code import CodeGrader, Problem
from parse_engine.bench.graders.program import extract_code
from parse_engine.bench.tasks.base import Grade

GOOD = "def double(n):\n    return 2 * n"
STUB = 'def double(n):\n    """Twice n.\n\n    >>> double(2)\n    4\n    """'
WRONG = "def double(n):\n    return n + n + 1"


def block(code: str, fence: str = "```", language: str = "python") -> str:
    return f"{fence}{language}\n{code}\n{fence}"


def indented(text: str, by: str = "   ") -> str:
    return "\n".join(by + line if line else line for line in text.split("\n"))


def result(text: str, *arguments: Any) -> Any:
    """What the program of an answer returns; None where there is none."""
    code = extract_code(text, "double")
    if code is None:
        return None
    program: dict[str, Any] = {"__name__": "solution"}
    exec(code, program)
    return program["double"](*arguments or (21,))


def cases(text: str) -> dict[str, str]:
    """Pieces of code by the names that stand above them."""
    _, *pieces = re.split(r"^# (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(pieces[::2], pieces[1::2], strict=True))


DRESSED = {
    "a block": block(GOOD),
    "a block of no language": block(GOOD, language=""),
    "a block in tildes": block(GOOD, "~~~"),
    "a block in four backticks": block(GOOD, "````"),
    "an open block": block(GOOD).removesuffix("\n```"),
    "code alone": GOOD,
    "a block with lines ended as on Windows": block(GOOD).replace("\n", "\r\n"),
    "a block in a block": block("Here:\n" + block(GOOD), language="markdown"),
    "a block in a list": "1. Read the text.\n2. Write it:\n\n" + indented(block(GOOD)) + "\n\n3. Done.",
    "a block behind a bullet": "- " + indented(block(GOOD), "  ").lstrip(),
    "a block in tildes in a list": "1. Write it:\n" + indented(block(GOOD, "~~~")),
    "a block in a quotation": "As said:\n" + "\n".join(f"> {line}".rstrip() for line in block(GOOD).split("\n")),
    "code behind prose": "Here is the function:\n\n" + GOOD,
    "code between prose": "Here's the function.\n" + GOOD + "\n\nIt doubles n. That's it!",
    "code behind a colon, indented": "Here is the function:\n\n" + indented(GOOD, "    ") + "\n\nIt doubles n.",
    "code behind the language's name": "python\n" + GOOD,
    "code between tags": "[PYTHON]\n" + GOOD + "\n[/PYTHON]",
    "code behind an assignment in prose": "So x = 2 n for every n.\n\n" + GOOD,
    "a block behind the repeated problem": block(STUB) + "\n\n" + block(GOOD),
    "a block behind the problem with pass": block("def double(n):\n    pass") + block(GOOD),
    "a block behind the problem with dots": block("def double(n): ...") + block(GOOD),
    "a block behind one that is to come": block("def double(n):\n    raise NotImplementedError()") + block(GOOD),
    "a block before the repeated problem": block(GOOD) + "\n\nIt solves:\n" + block(STUB),
    "a problem and its solution in one block": block(STUB + "\n\n" + GOOD),
    "a first try and its correction": block(WRONG) + "\nThat is wrong.\n" + block(GOOD),
    "a first try in prose and its correction": "Try:\n" + WRONG + "\n\nBetter:\n" + block(GOOD),
    "a correction that is cut off": block(GOOD) + "\nOr:\n```python\ndef double(n):\n    for _ in range(",
    "a block with another that is cut off": "```python\n" + GOOD + "\n\ndef other(n):\n    return (n +",
    "a test behind it": block(GOOD) + "\nTry it:\n" + block("assert double(2) == 4\nprint(double(3))"),
    "a test that imports it": block(GOOD) + block("from solution import double\nassert double(2) == 4"),
    "a use that has its name": block(GOOD) + block("double = double(21)\nprint(double)"),
    "a test function behind it": block(GOOD) + block("def test_double():\n    assert double(2) == 4\ntest_double()"),
    "a transcript behind it": block(GOOD) + "\n" + block(">>> double(2)\n4"),
    "output behind it in the block": block(GOOD + "\n\nprint(double(2))\nOutput: 4"),
    "fences in a docstring": block(STUB.replace(">>> double(2)", "```\n    double(2)\n    ```") + "\n    return 2 * n"),
    "backticks in a string": block('FENCE = "```"\ndef double(n):\n    return 2 * n if FENCE else None'),
    "an import of its own": block("from helpers import Unknown\n" + GOOD),
    "a question to the user": block("n = int(input())\n" + GOOD + "\nprint(double(n))"),
    "a main block": block(GOOD + '\n\nif __name__ == "__main__":\n    n = int(input())\n    print(double(n))'),
    "a main function": block(GOOD + "\n\ndef main():\n    print(double(int(input())))\n\nmain()"),
    "an exit": block("import sys\ndef double(n):\n    return 2 * n if sys.maxsize else 0\nsys.exit(0)"),
}  # fmt: skip


@pytest.mark.parametrize("text", DRESSED.values(), ids=DRESSED)
def test_a_program_is_found_in_every_dressing(text: str) -> None:
    assert result(text) == 42


NEEDED = cases("""
# lambda
double = lambda n: 2 * n
# another name
def twice(n):
    return 2 * n
double = twice
# partial
from functools import partial
from operator import mul
double = partial(mul, 2)
# decorated
from functools import lru_cache
@lru_cache(maxsize=None)
def double(n):
    return 2 * n
# decorated by hand
import functools
def double(n):
    return 2 * n
double = functools.lru_cache(double)
# under if
import sys
if sys.version_info >= (3,):
    def double(n):
        return 2 * n
# under try
try:
    from math import prod
except ImportError:
    prod = None
def double(n):
    return prod([2, n])
# constant
FACTOR = 2
def double(n):
    return FACTOR * n
# typed constant
FACTOR: int = 2
def double(n):
    return FACTOR * n
# two constants
FACTOR, OTHER = 2, 3
def double(n):
    return FACTOR * n
# counted
FACTOR = 1
FACTOR += 1
def double(n):
    return FACTOR * n
# appended
FACTORS = []
FACTORS.append(2)
def double(n):
    return FACTORS[0] * n
# appended behind
FACTORS = []
def double(n):
    return FACTORS[0] * n
FACTORS.append(2)
# set item
FACTORS = {}
FACTORS['n'] = 2
def double(n):
    return FACTORS['n'] * n
# deleted item
FACTORS = [1, 2]
del FACTORS[0]
def double(n):
    return FACTORS[0] * n
# loop
TABLE = []
for k in range(50):
    TABLE.append(2 * k)
def double(n):
    return TABLE[n]
# while
TABLE = [0]
while len(TABLE) < 50:
    TABLE.append(TABLE[-1] + 2)
def double(n):
    return TABLE[n]
# if
FACTOR = 1
if FACTOR == 1:
    FACTOR = 2
def double(n):
    return FACTOR * n
# with
from contextlib import suppress
with suppress(ValueError):
    FACTOR = 2
def double(n):
    return FACTOR * n
# filled by a function
TABLE = {}
def fill():
    for k in range(50):
        TABLE[k] = 2 * k
fill()
def double(n):
    return TABLE[n]
# global
FACTOR = 1
def set_up():
    global FACTOR
    FACTOR = 2
set_up()
def double(n):
    return FACTOR * n
# attribute of the function
def double(n):
    return double.factor * n
double.factor = 2
# class
class Doubler:
    factor = 2
    def of(self, n):
        return self.factor * n
def double(n):
    return Doubler().of(n)
# helper behind
def double(n):
    return twice(n)
def twice(n):
    return 2 * n
# recursion
import sys
sys.setrecursionlimit(5000)
def double(n, deep=3000):
    return 2 * n if not deep else double(n, deep - 1)
# recursion, by name
from sys import setrecursionlimit
setrecursionlimit(5000)
def double(n, deep=3000):
    return 2 * n if not deep else double(n, deep - 1)
# precision
from decimal import getcontext
getcontext().prec = 50
def double(n):
    return 2 * n if getcontext().prec == 50 else None
# everything of a module
from math import *
def double(n):
    return int(floor(2 * n))
# the future
from __future__ import annotations
def double(n: Unknown) -> Unknown:
    return 2 * n
# eval
FACTOR = 2
def double(n):
    return eval('FACTOR * n')
# type variable
from typing import TypeVar
T = TypeVar('T')
def double(n: T) -> T:
    return 2 * n
""")


@pytest.mark.parametrize("code", NEEDED.values(), ids=NEEDED)
def test_statements_that_the_function_needs_are_kept(code: str) -> None:
    assert result(block(code)) == 42
    assert result("Here it is.\n\n" + code + "\n\nThat's it.") == 42


TOGETHER = cases("""
# an import of the problem
from typing import List
def double(n):
    '''Twice n.

    >>> double(2)
    4
    '''
---
def double(n: List[int]):
    return 2 * n
# a helper before
def twice(n):
    return 2 * n
---
def double(n):
    return twice(n)
# a helper behind
def double(n):
    return twice(n)
---
def twice(n):
    return 2 * n
# an import for a helper
import operator
---
F = 2
def twice(n):
    return operator.mul(F, n)
---
def double(n):
    return twice(n)
# a constant that is given anew
F = 1
def twice(n):
    return F * n
---
F = 2
def double(n):
    return twice(n)
# a list that is filled, and another of its name
T = []
T.append(2)
---
def double(n):
    return T[0] * n
---
T = [3]
print(double(2))
# a helper that is corrected
def twice(n):
    return 3 * n
---
def twice(n):
    return 2 * n
---
def double(n):
    return twice(n)
# the future twice
from __future__ import annotations
F = 2
---
from __future__ import division
def double(n: int):
    return F * n
# a table that is changed
TABLE = {}
---
TABLE[1] = 2
def double(n):
    return TABLE[1] * n
""")


@pytest.mark.parametrize("blocks", TOGETHER.values(), ids=TOGETHER)
def test_blocks_are_put_together(blocks: str) -> None:
    assert result("\nand\n".join(block(code) for code in blocks.split("\n---\n"))) == 42
    assert result("\n\nand with it\n\n".join(blocks.split("\n---\n"))) == 42


def test_the_last_complete_solution_wins() -> None:
    assert result(block(GOOD) + "\nNo, triple it:\n" + block("def double(n):\n    return 3 * n")) == 63
    assert result(block(STUB)) is None, "a repeated problem is graded where there is nothing else"
    assert extract_code(block(STUB), "double") is not None


def test_what_is_not_needed_is_left_out() -> None:
    code = extract_code(block("import os\nn = int(input())\nprint(n)\n" + GOOD + "\nassert double(2) == 4"), "double")
    assert code == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No code.",
        "\x00",
        block("def other(): pass"),
        block("def double(:"),
        block("class Solution:\n    def double(self, n):\n        return 2 * n"),
        "```python\nclass Solution:\n    def double(self, n):\n        return 2 * (",
        "def double the number, then stop.",
        "(" * 100_000,
    ],
)
def test_nothing_is_found_where_there_is_nothing(text: str) -> None:
    assert extract_code(text, "double") is None
    assert CodeGrader({}).grade(Problem("x", "double", GOOD, [[1]], 0), text) == Grade(False, parsed=False)


@pytest.mark.parametrize(
    "text",
    [
        "```\n" * 20_000,
        "~~~\n" * 20_000,
        "'''```\n" * 20_000,
        "def f(x): return x\n" * 5_000,
        "import x y\n" * 20_000,
        "".join(f"x{k} = x{k + 1}\n" for k in range(5_000)) + GOOD,
        "".join(f"x{k} = x{k - 1}\n" for k in range(1, 5_000)) + GOOD + " + x4999",
        (block("def f(x):\n    return g(x)") + "\n") * 2_000 + block("def double(n):\n    return h(n)"),
        "a" * 200_000,
        "    \n" * 50_000,
    ],
    ids=lambda text: repr(text[:16]),
)
def test_a_long_answer_takes_no_time(text: str) -> None:
    started = time.process_time()
    extract_code(text, "double")
    assert time.process_time() - started < 10

"""Programs are found in whatever an answer puts around them. They are run here without the sandbox: they are ours."""

from __future__ import annotations

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
    "a block behind one that is not implemented": block("def double(n):\n    raise NotImplementedError()") + block(GOOD),
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
    "a block in a docstring": block('def double(n):\n    """Twice n.\n\n    ```\n    double(2)\n    ```\n    """\n    return 2 * n'),
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


NEEDED = {
    "lambda": "double = lambda n: 2 * n",
    "another name": "def twice(n):\n    return 2 * n\ndouble = twice",
    "partial": "from functools import partial\nfrom operator import mul\ndouble = partial(mul, 2)",
    "decorated": "from functools import lru_cache\n@lru_cache(maxsize=None)\ndef double(n):\n    return 2 * n",
    "decorated by hand": "import functools\n" + GOOD + "\ndouble = functools.lru_cache(double)",
    "under if": "import sys\nif sys.version_info >= (3,):\n    def double(n):\n        return 2 * n",
    "under try": "try:\n    from math import prod\nexcept ImportError:\n    prod = None\ndef double(n):\n    return prod([2, n])",
    "constant": "FACTOR = 2\ndef double(n):\n    return FACTOR * n",
    "typed constant": "FACTOR: int = 2\ndef double(n):\n    return FACTOR * n",
    "two constants": "FACTOR, OTHER = 2, 3\ndef double(n):\n    return FACTOR * n",
    "counted": "FACTOR = 1\nFACTOR += 1\ndef double(n):\n    return FACTOR * n",
    "appended": "FACTORS = []\nFACTORS.append(2)\ndef double(n):\n    return FACTORS[0] * n",
    "appended behind": "FACTORS = []\ndef double(n):\n    return FACTORS[0] * n\nFACTORS.append(2)",
    "set item": "FACTORS = {}\nFACTORS['n'] = 2\ndef double(n):\n    return FACTORS['n'] * n",
    "deleted item": "FACTORS = [1, 2]\ndel FACTORS[0]\ndef double(n):\n    return FACTORS[0] * n",
    "loop": "TABLE = []\nfor k in range(50):\n    TABLE.append(2 * k)\ndef double(n):\n    return TABLE[n]",
    "while": "TABLE = [0]\nwhile len(TABLE) < 50:\n    TABLE.append(TABLE[-1] + 2)\ndef double(n):\n    return TABLE[n]",
    "if": "FACTOR = 1\nif FACTOR == 1:\n    FACTOR = 2\ndef double(n):\n    return FACTOR * n",
    "with": "from contextlib import suppress\nwith suppress(ValueError):\n    FACTOR = 2\ndef double(n):\n    return FACTOR * n",
    "filled by a function": (
        "TABLE = {}\ndef fill():\n    for k in range(50):\n        TABLE[k] = 2 * k\nfill()\n"
        "def double(n):\n    return TABLE[n]"
    ),
    "global": "FACTOR = 1\ndef set_up():\n    global FACTOR\n    FACTOR = 2\nset_up()\ndef double(n):\n    return FACTOR * n",
    "attribute of the function": "def double(n):\n    return double.factor * n\ndouble.factor = 2",
    "class": "class Doubler:\n    factor = 2\n    def of(self, n):\n        return self.factor * n\ndef double(n):\n    return Doubler().of(n)",
    "helper behind": "def double(n):\n    return twice(n)\ndef twice(n):\n    return 2 * n",
    "recursion": "import sys\nsys.setrecursionlimit(5000)\ndef double(n, deep=3000):\n    return 2 * n if not deep else double(n, deep - 1)",
    "recursion, by name": (
        "from sys import setrecursionlimit\nsetrecursionlimit(5000)\n"
        "def double(n, deep=3000):\n    return 2 * n if not deep else double(n, deep - 1)"
    ),
    "precision": "from decimal import Decimal, getcontext\ngetcontext().prec = 50\ndef double(n):\n    return int(Decimal(n) * 2)",
    "everything of a module": "from math import *\ndef double(n):\n    return int(floor(2 * n))",
    "the future": "from __future__ import annotations\ndef double(n: Unknown) -> Unknown:\n    return 2 * n",
    "eval": "FACTOR = 2\ndef double(n):\n    return eval('FACTOR * n')",
}  # fmt: skip


@pytest.mark.parametrize("code", NEEDED.values(), ids=NEEDED)
def test_statements_that_the_function_needs_are_kept(code: str) -> None:
    assert result(block(code)) == 42
    assert result("Here it is.\n\n" + code + "\n\nThat's it.") == 42


@pytest.mark.parametrize(
    "text",
    [
        block("from typing import List\n" + STUB) + block("def double(n: List[int]):\n    return 2 * n"),
        block("def twice(n):\n    return 2 * n") + "\nWith it:\n" + block("def double(n):\n    return twice(n)"),
        block("def double(n):\n    return twice(n)") + "\nwhere\n" + block("def twice(n):\n    return 2 * n"),
        block("import operator") + block("F = 2\ndef twice(n):\n    return operator.mul(F, n)") + block("def double(n):\n    return twice(n)"),
        block("F = 1\ndef twice(n):\n    return F * n") + block("F = 2\ndef double(n):\n    return twice(n)"),
        block("T = []\nT.append(2)") + block("def double(n):\n    return T[0] * n") + block("T = [3]\nprint(double(2))"),
        block("def twice(n):\n    return 3 * n") + block("def twice(n):\n    return 2 * n") + block("def double(n):\n    return twice(n)"),
        block("from __future__ import annotations\nF = 2") + block("from __future__ import division\ndef double(n: int):\n    return F * n"),
        block("TABLE = {}") + block("TABLE[1] = 2\ndef double(n):\n    return TABLE[1] * n"),
        "import operator\n\nand with it\n\ndef double(n):\n    return operator.mul(2, n)\n\nThat's it.",
    ],
)  # fmt: skip
def test_blocks_are_put_together(text: str) -> None:
    assert result(text) == 42


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

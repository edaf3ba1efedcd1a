"""Programs are found in whatever an answer puts around them."""

from __future__ import annotations

import time

import pytest

from parse_engine.bench.graders.code import CodeGrader, Problem
from parse_engine.bench.graders.program import extract_code
from parse_engine.bench.tasks.base import Grade
from tests.bench.graders.programs import GOOD, STUB, WRONG, block, indented, result

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


def test_the_last_complete_solution_wins() -> None:
    assert result(block(GOOD) + "\nNo, triple it:\n" + block("def double(n):\n    return 3 * n")) == 63
    assert result(block(STUB)) is None, "a repeated problem is graded where there is nothing else"
    assert extract_code(block(STUB), "double") is not None


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

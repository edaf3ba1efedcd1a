"""Answers with programs, for tests. They are run here without the sandbox: they are ours."""

from __future__ import annotations

import re
from typing import Any

from parse_engine.bench.graders.program import extract_code

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

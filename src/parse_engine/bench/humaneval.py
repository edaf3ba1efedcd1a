"""The `humaneval+` task: Python functions, run on EvalPlus's base and plus inputs.

An answer is right when it returns what the canonical solution returns, on every input, within the dataset's tolerance.
"""

from __future__ import annotations

import ast
import functools
import json
import math
import re
from typing import Any

from parse_engine.bench import sandbox
from parse_engine.bench.tasks import Question, read_rows
from parse_engine.errors import DataError

FILENAME = "humanevalplus.jsonl.gz"
FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")
INSTRUCTION = (
    "Write a Python script that solves the problem below. It must run on its own: include the imports and every "
    "function it needs. Put the whole script into one Markdown code block."
)
FLOAT_TOLERANCE = 1e-6  # EvalPlus's absolute tolerance for floats where a problem sets none
RELATIVE_TOLERANCE = 1e-7

_BLOCK = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


class HumanEvalTask:
    """The 164 problems. Their prompts ask for a script in a code block, as EvalPlus's chat prompt does."""

    name = "humaneval+"
    version = "1"

    def questions(self, limit: int | None = None) -> list[Question]:
        rows = read_rows(FILENAME, FIELDS)[:limit]
        return [
            Question(
                id=row["task_id"],
                messages=({"role": "user", "content": f"{INSTRUCTION}\n\n```python\n{row['prompt'].strip()}\n```"},),
                reference=row,
            )
            for row in rows
        ]

    def grade(self, question: Question, text: str) -> bool:
        row = question.reference
        code = extract_code(text, row["entry_point"])
        return code is not None and passes(row, code)


def make_task() -> HumanEvalTask:
    return HumanEvalTask()


def extract_code(text: str, entry_point: str) -> str | None:
    """The definitions of the first code block that defines `entry_point`; without any block, of the whole text.

    Calls, prints and assertions at the top level are left out: they would run before the function is tested. What a
    model thought before `</think>` is not its answer.
    """
    answer = text.rpartition("</think>")[2]
    for code in _BLOCK.findall(answer) or [answer]:
        try:
            module = ast.parse(code)
            module.body = [statement for statement in module.body if isinstance(statement, _KEPT)]
            if any(isinstance(s, ast.FunctionDef) and s.name == entry_point for s in module.body):
                return ast.unparse(module)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def passes(row: dict[str, Any], code: str) -> bool:
    """Whether a program returns the right outputs for one problem's inputs.

    Raises:
        DataError: the canonical solution itself does not run.
    """
    expected = _expected(json.dumps({field: row[field] for field in FIELDS}))
    inputs = row["base_input"] + row["plus_input"]
    actual = sandbox.call(code, row["entry_point"], inputs)
    if actual is None or len(actual) != len(inputs):
        return False
    if row["entry_point"] == "find_zero":  # any root will do
        return all(_is_root(arguments[0], root, row["atol"]) for arguments, root in zip(inputs, actual, strict=True))
    return all(same(got, wanted, row["atol"]) for got, wanted in zip(actual, expected, strict=True))


@functools.lru_cache(maxsize=1)  # the methods of a run answer a question one after the other
def _expected(row_json: str) -> list[Any]:
    row = json.loads(row_json)
    inputs = row["base_input"] + row["plus_input"]
    outputs = sandbox.call(row["prompt"] + row["canonical_solution"], row["entry_point"], inputs)
    if outputs is None or len(outputs) != len(inputs):
        raise DataError(f"the canonical solution of {row['task_id']} does not run. Fetch {FILENAME} again.")
    return outputs


def same(got: Any, wanted: Any, atol: float) -> bool:
    """EvalPlus's comparison: equality, or closeness where there is a tolerance or floats are wanted."""
    if got == wanted:
        return True
    flat = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
    tolerance = atol or (FLOAT_TOLERANCE if all(isinstance(item, float) for item in flat) else 0)
    if not tolerance or type(got) is not type(wanted):
        return False
    given = list(got) if isinstance(got, list | tuple) else [got]
    return len(given) == len(flat) and all(_close(a, b, tolerance) for a, b in zip(given, flat, strict=True))


def _close(got: Any, wanted: Any, tolerance: float) -> bool:
    if not isinstance(got, int | float) or not isinstance(wanted, int | float):
        return bool(got == wanted)
    return abs(got - wanted) <= tolerance + RELATIVE_TOLERANCE * abs(wanted)


def _is_root(coefficients: list[float], x: Any, tolerance: float) -> bool:
    if not isinstance(x, int | float):
        return False
    try:
        return abs(sum(c * math.pow(x, power) for power, c in enumerate(coefficients))) <= tolerance
    except (OverflowError, ValueError):
        return False

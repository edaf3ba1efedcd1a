from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from parse_engine.bench.humaneval import HumanEvalTask, extract_code, passes, same
from parse_engine.bench.tasks import DATA_VARIABLE
from parse_engine.errors import DataError

HAS_DATA = bool(os.environ.get(DATA_VARIABLE))


def row(**changes: Any) -> dict[str, Any]:
    problem = {
        "task_id": "Fixture/0",
        "prompt": 'def mean(xs):\n    """The mean."""\n',
        "entry_point": "mean",
        "canonical_solution": "    return sum(xs) / len(xs)\n",
        "base_input": [[[1.0, 2.0]], [[4]]],
        "plus_input": [[[0.1, 0.2, 0.3]]],
        "atol": 0,
    }
    return problem | changes


def test_extracts_the_block_that_defines_the_function() -> None:
    text = (
        "Think:\n```python\nx = 1\n```\nHere:\n```python\nimport math\n\ndef mean(xs):\n    return 1\n\n"
        "print(mean([1]))\nassert mean([1]) == 1\nif __name__ == '__main__':\n    mean([])\n```\n"
        "Use it:\n```python\ndef mean(xs): return 2\n```"
    )
    assert extract_code(text, "mean") == "import math\n\ndef mean(xs):\n    return 1"


def test_extracts_from_an_open_block_and_from_plain_code() -> None:
    assert extract_code("```python\ndef mean(xs):\n    return 1", "mean") is not None
    assert extract_code("def mean(xs):\n    return 1\n", "mean") is not None


@pytest.mark.parametrize("text", ["", "No code.", "```python\ndef other(): pass\n```", "```\ndef mean(:\n```", "\x00"])
def test_extracts_nothing_where_there_is_nothing(text: str) -> None:
    assert extract_code(text, "mean") is None


def test_thinking_is_not_the_answer() -> None:
    text = "<think>```python\ndef mean(xs): return 1\n```</think>```python\ndef mean(xs): return 2\n```"
    code = extract_code(text, "mean")
    assert code is not None
    assert "2" in code


def test_right_and_wrong_programs() -> None:
    assert passes(row(), "def mean(xs):\n    return sum(xs) / len(xs)")
    assert passes(row(), "def mean(xs):\n    return sum(x / len(xs) for x in xs)"), "float noise is tolerated"
    assert not passes(row(), "def mean(xs):\n    return sum(xs)")
    assert not passes(row(), "def mean(xs):\n    return None")


def test_a_program_right_on_the_base_inputs_only_is_wrong() -> None:
    assert not passes(row(), "def mean(xs):\n    return {2: 1.5, 1: 4.0, 3: 0}[len(xs)]")


def test_a_value_that_equals_everything_is_wrong() -> None:
    """The program never sees the right outputs, nor does its own `__eq__` decide."""
    code = "class Any:\n    def __eq__(self, other): return True\ndef mean(xs): return Any()"
    assert not passes(row(), code)


def test_tolerance_of_the_dataset_is_honoured() -> None:
    code = "def mean(xs):\n    return sum(xs) / len(xs) + 0.00005"
    assert not passes(row(), code)
    assert passes(row(atol=0.0001), code)


def test_any_root_will_do_for_find_zero() -> None:
    problem = row(
        prompt="def find_zero(xs):\n",
        canonical_solution="    return 1.0\n",
        entry_point="find_zero",
        base_input=[[[-1, 0, 1]]],
        plus_input=[],
        atol=0.0001,
    )
    assert passes(problem, "def find_zero(xs): return -1.0")
    assert not passes(problem, "def find_zero(xs): return 0.5")
    assert not passes(problem, "def find_zero(xs): return float('nan')")
    assert not passes(problem, "def find_zero(xs): return '1'")


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


def test_a_canonical_solution_that_fails_is_broken_data() -> None:
    with pytest.raises(DataError, match="Fixture/0"):
        passes(row(canonical_solution="    return 1 / 0\n"), "def mean(xs): return 1")


def test_task_on_a_file_of_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "humanevalplus.jsonl.gz").write_bytes(gzip.compress((json.dumps(row()) + "\n").encode()))
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    task = HumanEvalTask()
    (question,) = task.questions()
    assert 'def mean(xs):\n    """The mean."""' in question.messages[0]["content"]
    assert task.grade(question, "Sure!\n```python\ndef mean(xs):\n    return sum(xs) / len(xs)\n```")
    assert not task.grade(question, "I do not know.")


@pytest.mark.slow
@pytest.mark.skipif(not HAS_DATA, reason=f"{DATA_VARIABLE} is not set")
def test_all_canonical_solutions_pass_and_empty_ones_fail() -> None:
    task = HumanEvalTask()
    questions = task.questions()
    assert len(questions) == 164
    for question in questions:
        solution = question.reference["prompt"] + question.reference["canonical_solution"]
        nothing = f"def {question.reference['entry_point']}(*arguments): return None"
        assert task.grade(question, f"```python\n{solution}\n```"), question.id
        assert not task.grade(question, f"```python\n{nothing}\n```"), question.id

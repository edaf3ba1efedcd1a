"""Gold answers of our own in every dressing of scripts/bench/dressings.py, which does the tasks' own."""

from __future__ import annotations

from typing import Any

import dressings
import pytest

from parse_engine.bench.graders import choice
from parse_engine.bench.graders.code import Problem, prompt
from parse_engine.bench.tasks.base import Question
from parse_engine.bench.tasks.tiny import TinyTask

PROBLEMS = [
    Problem("own/0", "double", 'def double(n):\n    """Twice n."""\n    return 2 * n\n', [[1]], 0),
    Problem("own/1", "mean", "import math\n\nN = 1\n\ndef mean(xs):\n    return math.fsum(xs) / N\n", [[[1]]], 0),
    Problem("own/2", "area", "class Square:\n    side = 2\n\ndef area():\n    return Square.side**2\n", [[]], 0),
]
STUBS = [
    "def double(n):\n    ...",
    "from typing import List\n\ndef mean(xs: List[float]): pass",
    "def area():\n    '''4'''",
]


def failing(figures: dict[str, Any]) -> dict[str, Any]:
    """What is not graded as it should be, of each kind."""
    kinds = ("right", "no_answer", "of_other_questions")
    return {kind: figures[kind]["failing"] for kind in kinds if kind in figures and figures[kind]["failing"]}


def test_numbers() -> None:
    pytest.importorskip("math_verify")
    assert failing(dressings.mathematics(["18", "1,234", "5", "100000"], numbers=True)) == {}


def test_formulas() -> None:
    pytest.importorskip("math_verify")
    golds = [r"\frac{14}{3}", r"\left( 3, \frac{\pi}{2} \right)", r"\text{Evelyn}", "52_8", "-2,1", r"p - q", r"\$36"]
    assert failing(dressings.mathematics(golds, numbers=False)) == {}


def test_letters() -> None:
    options = ["red", "a dog", "I and J", "B is wrong", "47", "it", "Vitamin C", "green", "none", "J. Smith"]
    questions = []
    for right in range(len(options)):
        text, reference = choice.present(f"own/{right}", "Which?", options, right)
        questions.append(Question(f"own/{right}", (text,), reference))
    for last in (False, True):

        def grade(question: Question, text: str, last: bool = last) -> Any:
            return choice.grade(question.reference, text, last_letter=last)

        assert failing(dressings.choices(questions, grade, last=last)) == {}


def test_programs() -> None:
    questions = [Question(p.id, (prompt(stub),), p) for p, stub in zip(PROBLEMS, STUBS, strict=True)]
    assert failing(dressings.programs(questions)) == {}


def test_counts_of_the_embedded_pair() -> None:
    task = TinyTask()
    assert failing(dressings.tiny(task.questions(5), task.grade)) == {}


def test_what_fails_is_told() -> None:
    count = dressings.Count()
    count.add("bare", "18", True)
    count.add("boxed", "18", False)
    assert count.figures() == {"as_it_should_be": 1, "of": 2, "failing": {"boxed": ["18"]}}

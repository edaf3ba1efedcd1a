from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from parse_engine.bench.gsm8k import Gsm8kTask
from parse_engine.bench.math_grader import MathGrader, final_answer
from parse_engine.bench.tasks import DATA_VARIABLE

HAS_DATA = bool(os.environ.get(DATA_VARIABLE))


@pytest.fixture(scope="module")
def grader() -> Iterator[MathGrader]:
    pytest.importorskip("math_verify")
    grader = MathGrader()
    yield grader
    grader.close()


@pytest.mark.parametrize(
    "answer",
    [
        r"First \boxed{5} pens, so in all \boxed{2125}.",
        r"\boxed{2,125}",
        r"\boxed{2{,}125}",
        r"\boxed{\$2125}",
        r"\boxed{2125 \text{ pens}}",
        r"\boxed{2125.00}",
        "The answer is 2125.",
    ],
)
def test_right_answers(grader: MathGrader, answer: str) -> None:
    assert grader.grade("2,125", answer)


@pytest.mark.parametrize(
    "answer", ["", r"\boxed{}", r"\boxed{2126}", r"\boxed{2125} or rather \boxed{7}", r"\boxed{", "no number"]
)
def test_wrong_answers(grader: MathGrader, answer: str) -> None:
    assert not grader.grade("2,125", answer)


def test_negative_numbers(grader: MathGrader) -> None:
    assert grader.grade("-10", r"\boxed{-10}")
    assert not grader.grade("-10", r"\boxed{10}")


@pytest.mark.parametrize("answer", [r"\boxed{9^{9^{9^{9}}}}", r"\boxed{" + "(" * 5000 + "}", "\ud800\x00\n"])
def test_a_hostile_answer_is_wrong_and_the_next_one_is_graded(answer: str) -> None:
    """A tower of powers used to keep sympy busy for good; the helper is ended and another started."""
    pytest.importorskip("math_verify")
    grader = MathGrader(seconds=2.0)
    started = time.monotonic()
    try:
        assert not grader.grade("7", answer)
        assert time.monotonic() - started < 60
        grader._seconds = 60.0
        assert grader.grade("7", r"\boxed{7}")
    finally:
        grader.close()


def test_final_answer_begins_at_the_last_box() -> None:
    assert final_answer(r"\boxed{1} then \boxed{2{,}000}.") == r"\boxed{2,000}."
    assert final_answer("so 12") == "so 12"


def test_questions_ask_for_a_box_and_keep_the_gold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = {"question": "How many?", "answer": "Two and #### two.\n#### 2,000"}
    (tmp_path / "gsm8k_test.jsonl").write_text(json.dumps(row) + "\n")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    (question,) = Gsm8kTask().questions()
    assert question.messages[0]["content"].startswith("How many?\nPlease reason step by step")
    assert question.reference == "2,000"


@pytest.mark.slow
@pytest.mark.skipif(not HAS_DATA, reason=f"{DATA_VARIABLE} is not set")
def test_every_gold_answer_equals_itself(grader: MathGrader) -> None:
    questions = Gsm8kTask().questions()
    assert len(questions) == 1319
    assert all(grader.grade(q.reference, f"So it is \\boxed{{{q.reference}}}.") for q in questions)
    assert not any(grader.grade(q.reference, "So it is \\boxed{123456789}.") for q in questions)

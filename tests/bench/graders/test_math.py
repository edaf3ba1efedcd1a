from __future__ import annotations

from collections.abc import Iterator

import pytest

from parse_engine.bench.graders.math import MathGrader, final_answer, require_math_verify
from parse_engine.bench.tasks.base import Grade
from parse_engine.errors import ConfigError


@pytest.fixture(scope="module")
def grader() -> Iterator[MathGrader]:
    pytest.importorskip("math_verify")
    grader = MathGrader(seconds=60)
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
        r"<think>\boxed{7}</think>\boxed{2125}",
    ],
)
def test_right_answers(grader: MathGrader, answer: str) -> None:
    assert grader.grade("2,125", answer) == Grade(True)


@pytest.mark.parametrize("answer", [r"\boxed{2126}", r"\boxed{2125} or rather \boxed{7}"])
def test_wrong_answers(grader: MathGrader, answer: str) -> None:
    assert grader.grade("2,125", answer) == Grade(False)


@pytest.mark.parametrize("answer", ["", "no number", r"<think>\boxed{2125}</think>I do not know."])
def test_an_answer_without_a_result_is_not_parsed(grader: MathGrader, answer: str) -> None:
    assert grader.grade("2,125", answer) == Grade(False, parsed=False)


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("-10", "-10", "10"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)", r"(3, \pi)"),
        (r"\text{Evelyn}", "Evelyn", r"\text{Carla}"),
        (r"1 \pm \sqrt{19}", r"1+\sqrt{19}, 1-\sqrt{19}", r"1+\sqrt{19}"),
        ("(-2,1)", "(-2,1)", "[-2,1]"),
        (r"\begin{pmatrix} -2 \\ 1 \end{pmatrix}", r"\begin{pmatrix} -2 \\ 1 \end{pmatrix}", "-2"),
        (r"x \in [-2,7]", "[-2,7]", "(-2,7)"),
        ("6 - 5i", "-5i+6", "6+5i"),
    ],
)
def test_gold_answers_in_latex(grader: MathGrader, gold: str, right: str, wrong: str) -> None:
    """A gold answer without dollars used to be read as plain text: roots, tuples and words were lost."""
    assert grader.grade(gold, f"So \\boxed{{{right}}}.").right
    assert not grader.grade(gold, f"So \\boxed{{{wrong}}}.").right


@pytest.mark.parametrize("answer", [r"\boxed{9^{9^{9^{9}}}}", r"\boxed{" + "(" * 5000 + "}", "\ud800\x00\n"])
def test_a_hostile_answer_is_wrong_and_the_next_one_is_graded(answer: str) -> None:
    """A tower of powers used to keep sympy busy for good; the helper is ended and another started."""
    pytest.importorskip("math_verify")
    grader = MathGrader(seconds=2.0)
    try:
        assert not grader.grade("7", answer).right
        grader._seconds = 60.0
        assert grader.grade("7", r"\boxed{7}").right
    finally:
        grader.close()


def test_final_answer_begins_at_the_last_box() -> None:
    assert final_answer(r"\boxed{1} then \boxed{2{,}000}.") == r"\boxed{2,000}."
    assert final_answer("so 12") == "so 12"


def test_math_verify_is_asked_for_before_any_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"'math500' is graded by math-verify\. Install it"):
        require_math_verify("math500")

from __future__ import annotations

import time
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


NOUNS = """
dollars eggs people weeks books points tickets hours km miles apples minutes seconds cups pounds inches feet meters
degrees students cars years days cents cookies pages liters slices bottles square-feet
"""


@pytest.mark.parametrize(
    "box", ["{gold} {noun}", r"\text{{{gold} {noun}}}", r"{gold}\text{{ {noun}}}", "${gold} {noun}."]
)
def test_words_in_the_box(grader: MathGrader, box: str) -> None:
    failing = [n for n in NOUNS.split() if not grader.grade("18", rf"\boxed{{{box.format(gold=18, noun=n)}}}").right]
    failing += [n for n in NOUNS.split() if grader.grade("18", rf"\boxed{{{box.format(gold=19, noun=n)}}}").right]
    assert failing == []


NUMBERS = {
    "18": (
        r"18. | 18, | 18\text{.} | \text{18.} | \text{18} | \textbf{18} | \mathbf{18} | **18** | $18$ | "
        r"\(18\) | 18 USD | $18 | \$18 | €18 | 18€ | £18 | ₹18 | US$18 | USD 18 | \text{\$}18 | \text{€}18 | "
        r"18\,€ | \pounds 18 | \text{The answer is } 18 | The answer is 18 | Answer: 18 | x = 18 | "
        r"\text{Total: } 18 \text{ dollars} | \approx 18 | \text{about }18 | x=18\text{ cm} | "
        r"18\text{ m/s}^2 | 18\,\mathrm{m} | 18\frac{\text{m}}{\text{s}} | 18th | 18 (eighteen) | 18km | １８ | "
        r"18 dollars per hour | 18/hour | $18/hour"
        r" | 18 m² | 18 cm³ | roughly 18 | \mathbf{18 \text{ dollars}} | \displaystyle 18 | 18円 | 18°C"
        r" | \text{Ann makes } \$18 | \text{Ann makes \$18 every day} | Total = 18 dollars | \underline{18}"
    ),
    "10,000": (
        r"10\,000 | 10 000 | 10\ 000 | 10{,}000 | 10,\!000 | 10~000 | 10'000 | 10,000 dollars | 10 000 eggs | "
        r"\$10,000. | 10\;000"
    ),
    "1234567": r"1 234 567 | 1\,234\,567 | 1,234,567.",
    "-5": r"–5 | −5 | ‑5 | - 5 | (-5) | -5. | -5 degrees | x = -5",
    r"\frac{1}{2}": r"½ | 1⁄2 | 1/2. | \frac12. | 0.5 | 50\%",
    r"\frac{7}{2}": (
        r"3½ | 3 ½ | 3 1/2 | 3\,1/2 | 3\frac{1}{2} | 3\ \frac12 | 3\tfrac{1}{2} | 3 1/2 cups | "
        r"3\tfrac12\text{ cups} | \text{3 1/2 cups}"
    ),
    "-7/2": r"-3 1/2 | -3½ | -3\frac{1}{2}",
    r"3\sqrt{2}": r"3√2 | √18 | 3√(2) | 3\sqrt2.",
    r"(-\infty,2)": r"(-∞,2) | (−∞, 2).",
    r"(-\infty, 2) \cup (3, \infty)": r"(-∞, 2) ∪ (3, ∞)",
    "x^2": r"x² | x^2. | $x^2$",
    "52_8": r"52_8 | 52_{8} | 52₈ | (52)_8 | 52_{\text{eight}} | 52_8. | 52 | 52 (base 8)",
    "1500": r"1.5e3 | 1.5 x 10^3 | 1.5 \times 10^3 | 1.5 × 10³ | 1.5*10^3",
    "0.0015": r"1.5e-3 | 1.5 x 10^{-3} | 1.5×10⁻³",
    "5000000": r"5 million | 5\text{ million dollars} | 5 \text{ million}",
    "36": r"3 dozen | 3\text{ dozen eggs} | 36 eggs",
    "28": r"28\% | 28 percent | 28 pct | 28\%.",
    "9.5": r"9.5\% | 9.5 percent",
    "0.28": r"28\% | .28",
    "1,2": r"1,2. | 1 and 2 | 1 \text{ or } 2 | \text{1 and 2} | 2, 1",
    r"\text{Evelyn}": r"\text{Evelyn}. | \text{Evelyn.} | Evelyn. | Evelyn",
    r"864 \mbox{ inches}^2": r"864 | 864\text{ square inches}.",
    r"5.4 \text{ cents}": r"5.4 | 5.4 cents.",
    r"11,\! 111,\! 111,\! 100": r"11,111,111,100. | 11 111 111 100",
}


@pytest.mark.parametrize("gold", NUMBERS)
def test_what_stands_around_a_number_in_the_box(grader: MathGrader, gold: str) -> None:
    written = NUMBERS[gold].split(" | ")
    assert [box for box in written if not grader.grade(gold, rf"So \boxed{{{box}}}").right] == []
    assert [box for box in written if grader.grade("77", rf"So \boxed{{{box}}}").right] == []


BOXES = {
    "18": [
        r"\boxed{18}. I put it within \boxed{} as asked.",
        r"\boxed{18}, as \boxed asked.",
        r"\boxed{18}. I used \boxed{answer}, no: \boxed{...}.",
        r"It is 18. I was asked for \boxed{}.",
        r"\fbox{18}",
        r"\framebox{18}",
        r"\boxed18",
        r"\boxed 18",
        r"\boxed {18}",
        r"\boxed{\boxed{18}}",
        r"\boxed{\fbox{18}}",
        r"$\mathbf{\boxed{18}}$",
        r"First \boxed{7}, so \boxed{18}.",
        r"\boxed{7}\boxed{18}",
        "therefore\\boxed{18}., but let me explain.\n\n**Final Answer**\n\\boxed{18}",
        r"\boxed{18} and \boxed{18}",
        r"\boxed{18} or \boxed{18.0}",
    ],
    "1,2": [
        r"The solutions are \boxed{1} and \boxed{2}.",
        r"$\boxed{1}$, $\boxed{2}$",
        r"$x=\boxed{1}$ or $x=\boxed{2}$",
        r"\[\boxed{1}\] and \[\boxed{2}\]",
        "- \\boxed{1}\n- \\boxed{2}",
        r"\boxed{x=1} \text{ and } \boxed{x=2}",
        r"\boxed{1}, \boxed{2}. I put them within \boxed{}.",
    ],
    "3, 5, 7": [r"\boxed{3}, \boxed{5}, \boxed{7}", r"\boxed{3}, \boxed{5}, and \boxed{7}"],
    r"\frac{1}{2}": [r"\boxed\frac12", r"\boxed{\frac12} or \boxed{0.5}"],
}


@pytest.mark.parametrize("gold", BOXES)
def test_boxes(grader: MathGrader, gold: str) -> None:
    assert [text for text in BOXES[gold] if not grader.grade(gold, text).right] == []


PROSE = {
    "11/6": ["It takes 1 5/6 hours.", "The answer is 1 5/6 hours.", "1 5/6", "It takes 1 and 5/6 hours."],
    "8/3": ["She uses 2 2/3 cups."],
    "18": [
        "$18",
        "18€",
        "The answer is €18.",
        "**Final answer: 18**",
        "#### 18",
        "The answer is **18**.",
        "The answer is 12 + 6 = 18.",
        "Thus she has 18 eggs left.",
    ],
    "47": ["The answer is 47 apples after 3 months."],
    "-5": ["The answer is –5."],
    "10000": ["The answer is 10 000 eggs."],
    r"\sqrt{2}": [
        r"The answer is \(\sqrt{2}\).",
        r"So we get $\sqrt{2}$.",
        r"\[ \sqrt{2} \]",
        r"The answer is \sqrt{2}",
    ],
    r"(-\infty, 2) \cup (3, \infty)": ["The answer is (-∞, 2) ∪ (3, ∞)."],
    "1,2": ["The answers are 1 and 2."],
    "x^2+1": ["The answer is $x^2+1$ because it is."],
    r"\text{Evelyn}": ["The answer is Evelyn."],
}


@pytest.mark.parametrize("gold", PROSE)
def test_answers_without_a_box(grader: MathGrader, gold: str) -> None:
    assert [text for text in PROSE[gold] if not grader.grade(gold, text).right] == []


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        *((part, text) for part in ("1", "5", "6", "5/6") for text in ("It takes 1 and 5/6 hours.", r"\boxed{1 5/6}")),
        *((part, text) for part in ("4", "10", "10/3", "40/3") for text in ("It is 4 10/3", r"\boxed{4 10/3}")),
        ("2", "She uses 2 2/3 cups."),
        ("3", r"\boxed{3\frac12}"),
        ("18", r"\boxed{18xy}"),
        ("18", r"\boxed{18 x}"),
        ("18", r"\boxed{18 or 20}"),
        ("18", r"\boxed{18\text{ or }20}"),
        ("18", r"\boxed{less than 18}"),
        ("18", r"\boxed{not 18}"),
        ("18", r"\boxed{\text{at least } 18}"),
        ("18", r"\boxed{\text{negative } 18}"),
        ("18", r"\boxed{ab 18}"),
        ("-18", r"\boxed{ab - 18}"),
        ("2", r"\boxed{2\sin x}"),
        ("2", r"\boxed{2 pi}"),
        ("1200", r"\boxed{1, 200}"),
        ("-18", r"\boxed{18}"),
        ("18", r"\boxed{–18}"),
        ("1", r"\boxed{1} and \boxed{2}"),
        ("2", r"\boxed{1} and \boxed{2}"),
        ("1,2,3", r"\boxed{1} and \boxed{2}"),
        ("1", "The answers are 1 and 2."),
        ("2", r"So we get $\sqrt{2}$."),
        ("2", r"The answer is \sqrt{2}"),
        (r"(-\infty,2)", r"\boxed{x<2}"),  # so do the library's makers want it
    ],
)
def test_other_numbers_are_wrong(grader: MathGrader, gold: str, answer: str) -> None:
    assert not grader.grade(gold, answer).right


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("1/2^{99}", "2^{-99}", "1/2^{98}"),
        ("x+1/2^{99}", "2^{-99}+x", "x+1/2^{98}"),
        ("1+1/2^{99}", r"1+\frac{1}{2^{99}}", "1+1/2^{98}"),
        ("(1,1/2^{99})", "(1,2^{-99})", "(1,1/2^{98})"),
        (r"\{1/2^{99},3\}", r"\{3,1/2^{99}\}", r"\{1/2^{98},3\}"),
        ("1/2004!", r"\frac{1}{2004!}", "1/2006!"),
        ("10^{-20}", r"\frac{1}{10^{20}}", "10^{-21}"),
        ("10^{-20}", "10^{-20}", "10^{-22}"),
        ("0.0000001", "10^{-7}", "0.0000002"),
        ("1/3", "0.333333", "0.3334"),
        (r"\sqrt{5+2\sqrt{6}}", r"\sqrt2+\sqrt3", r"\sqrt2+\sqrt3+10^{-20}"),
        ("0", "0.0", "0.0000001"),
        ("52_8", "52_{8}", "52_9"),
        ("52_8", r"52_{\text{eight}}", r"52_{\text{nine}}"),
        ("52_{8}", "52₈", "52₉"),
        ("52_8", "(52)_8", "52 (base 9)"),
        ("4210_{5}", "4210_5", "4210_6"),
        ("x_1", "x_1", "x_2"),
    ],
)
def test_tiny_numbers_and_bases_differ(grader: MathGrader, gold: str, right: str, wrong: str) -> None:
    """Math-verify calls all tiny numbers equal, and drops subscripts."""
    assert grader.grade(gold, rf"\boxed{{{right}}}").right
    assert not grader.grade(gold, rf"\boxed{{{wrong}}}").right


@pytest.mark.parametrize(
    "text",
    [
        "\\boxed{" * 20_000,
        "\\boxed{1}, " * 20_000,
        "\\boxed{" + "." * 100_000 + "x}",
        "\\boxed{" + " 1" * 50_000 + "}",
        "1 " * 50_000,
        "1 " + "9" * 10_000 + "/" + "9" * 10_001,
        "18 " + "a" * 100_000,
        "Answer: " + "." * 100_000 + "x",
        "√" * 50_000,
        "\\(" * 50_000,
        "$\\a" * 50_000,
    ],
    ids=lambda text: repr(text[:16]),
)
def test_a_long_answer_is_read_at_once(text: str) -> None:
    started = time.process_time()
    final_answer(text)
    assert time.process_time() - started < 5


def test_the_final_answer_is_in_the_last_box() -> None:
    assert final_answer(r"\boxed{1} then \boxed{2{,}000}.") == [[r"\boxed{2,000}"]]
    assert final_answer("so 12") == [["The answer is 12"]]


def test_math_verify_is_asked_for_before_any_model_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"'math500' is graded by math-verify\. Install it"):
        require_math_verify("math500")

from __future__ import annotations

import itertools
import time

import pytest

from parse_engine.calibration import agreement
from parse_engine.calibration.agreement import same_answer

SAME = {
    "a number": [
        "47",
        "47.",
        "47.0",
        "**47**",
        "$47$",
        "\\[ 47 \\]",
        "\\boxed{47}",
        "So \\boxed{12} first, then $\\boxed{47}$.",
        "\\boxed{\\text{47 apples}}",
        "\\boxed{47\\text{ apples}}",
        "\\boxed{\\$47}",
        "So the answer is 47.",
        "Final answer: 47.",
        "**Final Answer:** 47",
        "**Answer**: 47 apples",
        "The final answer is: $47$",
        "The answer is:\n\\[\n47\n\\]",
        "### Final answer\n\n47",
        "The answer is that Ben has 47 apples.",
        "The answer is 47 apples after 3 months.",
        "The answer is 47. That is 12 and 35 together.",
        "Answer: 47\n\nExplanation: 12 and 35 make that.",
        "12 + 35 = 47",
        "He has 12, and finds 35.\n#### 47",
        "Ben has 12 apples and then 47 apples.",
        "In January Ben has 12.\nIn March Ben has 47 apples.\nLet me know if you need anything else!",
        "At the end of the 3 months Ben has **47** apples, up by 12 in 1 month.",
        "<think>The answer is 3.</think>The answer is 47.",
        "$47",
        "The answer is $47.",
        "The answer is x = 47",
        "The answer is 12 + 35 = 47.",
        "The answer is 47%.",
        "47°",
        "$47^\\circ$",
        "\\fbox{47}",
        "\\boxed{47}. I put it within \\boxed{} as asked.",
        "\\boxed{47} and \\boxed{47}",
        "[THINK]3[/THINK]47",
    ],
    "a large number": ["1,234", "1234", "\\boxed{1{,}234}", "$1\\,234$", "The answer is $1,234.00.", "1234 dollars"],
    "millions": ["5 million", "The answer is $5,000,000.", "**5.0 million dollars**"],
    "five": ["5", "The answer is 5.", "1. Add them.\n2. That makes 5."],
    "an area": ["49 cm^2", "\\boxed{49\\,\\text{cm}^2}", "The answer is 49 cm².", "49"],
    "a term": ["\\boxed{2x}", "The answer is $2x$."],
    "two": ["2", "So it is 2 apples."],
    "a list": ["1. Tea\n2. Milk\n5. Sugar"],
    "another list": ["1. Nails\n5. Screws"],
    "one": ["1", "The answer is 1 hour."],
    "a negative number": ["-3", "−3", "–3", "The answer is -3.", "x = -3", "\\boxed{-3}"],
    "a fraction": ["1/2", "0.5", ".5", "\\boxed{\\frac{1}{2}}", "\\dfrac{1}{2}", "The answer is \\( \\frac12 \\)."],
    "an option": [
        "B",
        "(B)",
        "**B**",
        "I think.\nAnswer: B",
        "**Answer**: B.",
        "The answer is (B).",
        "The answer is **B) 47 apples**.",
        "The answer is B because the others are wrong.",
        "The correct option is B.",
        "So I choose option B.",
        "\\boxed{\\text{B}}",
        "\\boxed{B}",
    ],
    "a word": [
        "Paris",
        "paris.",
        "**Paris**",
        "The answer is Paris.",
        "Answer: Paris. It lies on the Seine.",
        "\\boxed{\\text{Paris}}",
    ],
    "a person": ["The answer is Dr. Smith.", "Dr. Smith", "Answer: Dr. Smith"],
    "a mixed number": ["1 5/6", "It takes 1 5/6 hours.", "The answer is 11/6.", "\\boxed{1\\frac{5}{6}}", "1⅚ hours"],
    "several numbers": ["3 and 4", "\\boxed{3} and \\boxed{4}", "The answer is 3 dogs and 4 cats.", "3, 4"],
    "a root": ["\\boxed{\\sqrt{8}}", "The answer is $2\\sqrt{2}$.", "x = 2\\sqrt{2}"],
    "an interval": ["\\boxed{[-2,7]}", "The answer is $x \\in [-2, 7]$."],
    "code": [
        "```python\nx = 1\n```\nIt sets x.",
        "Here is the answer:\n```\nx  =  1\n```",
        "First:\n```\nx = 3\n```\nor better\n```\nx = 1\n```",
    ],
    "code in another case": ["```python\nX = 1\n```"],
    "a tale": [
        "In 1969 a man\nstood\non the moon.\nHe looked up.\nWhat a night.",
        "In 1969 a man stood\non the moon.\nHe looked up.\nWhat a night.",
    ],
    "another tale": ["In 1969 a band\nplayed\non a farm.\nIt was loud.\nWhat a night."],
    "nothing": ["", "\n"],
    "a refusal": ["I'm sorry, I cannot."],
    "another refusal": ["I'd rather not."],
    "a dog": ["The answer is A dog"],
    "a cat": ["The answer is A cat"],
    "another number": ["48", "So the answer is 48.", "Final answer: 48", "Ben had 47 apples, now 48.", "4 7\n48"],
    "numbers in another order": ["4 and 3", "The answer is 4 dogs and 3 cats."],
    "another option": ["C", "Answer: C", "\\boxed{C}"],
    "an open interval": ["\\boxed{(-2,7)}"],
    "the positive number": ["3", "The answer is 3."],
    "another word": ["London", "The answer is London."],
    "another doctor": ["The answer is Dr. Jones."],
}  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_one_answer_in_many_dressings(kind: str) -> None:
    if kind in ("a root", "an interval", "a fraction"):
        pytest.importorskip("math_verify")
    for one, other in itertools.permutations(SAME[kind], 2):
        assert same_answer(one, other), (one, other)


@pytest.mark.parametrize(("first", "second"), [*itertools.combinations(SAME, 2)])
def test_answers_of_different_kinds_differ(first: str, second: str) -> None:
    for one, other in itertools.product(SAME[first], SAME[second]):
        assert not same_answer(one, other), (one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 hours 30 minutes", "2 hours 45 minutes"),
        ("2 hours 30 minutes", "3 hours 30 minutes"),
        ("2 hours 30 minutes", "2 hours"),
        ("2 hours and 30 minutes", "30 minutes"),
        ("5 feet 3 inches", "5 feet 4 inches"),
        ("5 apples per 3 boxes", "5 apples per 4 boxes"),
        ("5 apples per 3 boxes", "6 apples per 3 boxes"),
        ("5 apples on 3 days in 2 boxes", "5 apples on 3 days"),
        ("5 hours", "5 minutes"),
        ("5 h", "5 min"),
        ("3 km", "3 m"),
        ("3 kilometres", "3 miles"),
        ("60 km/h", "60 mph"),
        ("\\boxed{3\\text{ kg}}", "3 grams"),
        ("$5", "5 euros"),
        ("$5", "5 cents"),
        ("20 °C", "20 °F"),
        ("A", "A dog"),
        ("I", "I think so"),
        ("B", "B vitamins"),
        ("(B)", "B vitamins"),
        ("B) 47 apples", "C) 47 apples"),
        ("B) 47 apples", "47 apples"),
    ],
)
def test_answers_that_look_alike_and_differ(one: str, other: str) -> None:
    """All but the first number, units and what followed an option's letter were overlooked."""
    for first, second in itertools.permutations((one, other)):
        for dressing, others in itertools.product(("{}", "Answer: {}", "The answer is {}."), repeat=2):
            assert not same_answer(dressing.format(first), others.format(second)), (dressing, others)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2 hours 30 minutes", "2 hrs and 30 min"),
        ("5 hours", "5 h"),
        ("5 hours", "5"),
        ("3 kilometers", "3 km"),
        ("60 miles per hour", "60 mph"),
        ("60 miles per hour", "60 miles"),
        ("5 dollars", "$5"),
        ("5 lbs", "5 pounds"),
        ("49 square feet", "49 ft^2"),
        ("20 degrees Celsius", "20 °C"),
        ("47 apples after 3 months", "47"),
        ("48 hair clips", "48 clips"),
        ("B) 47 apples", "B"),
        ("B) 47 apples", "(B)"),
        ("B. 47 apples", "B"),
        ("B", "B because the others are wrong"),
        ("A", "A, since it is right"),
        ("B", "option B"),
    ],
)
def test_answers_that_look_different_and_are_the_same(one: str, other: str) -> None:
    for first, second in itertools.permutations((one, other)):
        for dressing in ("{}", "Answer: {}", "The answer is {}"):
            assert same_answer(dressing.format(first), second), dressing


def test_percent_are_hundredths_too() -> None:
    """As math-verify reads them: 50 % is a half, and a grader with the key 50 takes them as well."""
    assert same_answer("50%", "0.5")
    assert same_answer("The answer is 50%.", "\\boxed{50}")
    assert not same_answer("50%", "0.5%")


def test_without_math_verify_mathematics_are_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement.importlib.util, "find_spec", lambda name: None)
    agreement._equal_mathematics.cache_clear()
    assert not same_answer("\\boxed{\\sqrt{8}}", "\\boxed{2\\sqrt{2}}")
    assert same_answer("\\boxed{\\sqrt{8}}", "The answer is $\\sqrt{8}$.")
    agreement._equal_mathematics.cache_clear()


@pytest.mark.parametrize(
    "text",
    [
        "The answer is " + "9" * 50_000,
        "answer " * 20_000,
        "answer:" * 20_000,
        "**" * 50_000,
        "1," * 50_000,
        "{" * 50_000,
        "\\boxed{" * 10_000,
        "```\n" * 20_000,
        "x" + "\n" * 50_000 + "x",
        "=" + " " * 50_000 + "x",
        "$$\n" * 20_000,
    ],
    ids=lambda text: repr(text[:16]),
)
def test_a_model_that_runs_away_is_read_at_once(text: str) -> None:
    start = time.process_time()
    assert not same_answer(text, "47")
    assert time.process_time() - start < 5

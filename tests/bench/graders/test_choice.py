from __future__ import annotations

import time

import pytest

from parse_engine.bench.graders.choice import Choice, extract, grade, present
from parse_engine.bench.tasks.base import Grade

OPTIONS = ["red", "green", "blue", "grey"]


def test_options_are_permuted_the_same_way_every_time() -> None:
    prompts = {present(f"colours/{n}", "Which?", OPTIONS, 2) for n in range(40)}
    assert prompts == {present(f"colours/{n}", "Which?", OPTIONS, 2) for n in range(40)}
    assert {choice.letter for _, choice in prompts} == set("ABCD")
    assert all(f"{choice.letter}) blue" in prompt and choice.count == 4 for prompt, choice in prompts)


def test_the_prompt_is_pinned() -> None:
    """Figures are compared between versions: neither wording nor order may change unseen."""
    prompt, choice = present("colours/0", "Which?\n", OPTIONS, 0)
    assert prompt == (
        "Which?\n\nA) red\nB) grey\nC) blue\nD) green\n\n"
        "The last line of your response should be of the following format: 'Answer: $LETTER', "
        "where LETTER is one of A, B, C, D."
    )
    assert choice == Choice("A", 4)


@pytest.mark.parametrize(
    "last",
    [
        "All of the above",
        "none of these",
        "A and B",
        "both A and C",
        "Neither of these",
        "Options B and C only",
        "A, C",
    ],
)
def test_options_that_name_others_keep_their_order(last: str) -> None:
    for n in range(20):
        prompt, choice = present(f"colours/{n}", "Which?", ["red", "green", "blue", last], 3)
        assert f"A) red\nB) green\nC) blue\nD) {last}" in prompt
        assert choice.letter == "D"


@pytest.mark.parametrize(
    "text",
    [
        "Answer: B",
        "answer: B.",
        "I think so.\n\n**Answer: B**",
        "**Answer:** B",
        "Answer: **B**",
        "Answer: $B$",
        "Answer: (B) green",
        r"Answer: $\boxed{B}$",
        r"Answer: \text{B}",
        "'Answer: B'",
        "Answer: A\nNo, wait.\nAnswer: B",
        "<think>Answer: A</think>Answer: B",
        "So the answer is (B).",
        "The answer is A, I thought.\nAnswer: B",
        "The answer is: **B**",
        r"Answer: \(B\)",
        r"Answer: $\mathbf{B}$",
        r"Answer: \mathrm{B}",
        "Answer: Option B",
        "Answer: Option (B)",
        "Answer: the letter B",
        "Answer: The correct option is B",
        "Answer: After all, my final answer is B",
        "Answer: b",
        "Answer: b.",
        "Answer: (b)",
        "Answer: b) green",
        "Answer: [B]",
        'Answer: "B"',
        "Answer: `B`",
        "Answer: B - green",
        "Answer: B: green",
        "Answer: B, I think.",
        "Answer: B, not C",
        "Answer: B, C is too large",
        "Answer: B because A is wrong",
        "Answer: B. The format is 'Answer: $LETTER'.",
        r"\boxed{B}",
        r"\boxed{\text{B}}",
        r"\boxed{\text{(B) green}}",
        r"\boxed{\text{Option B}}",
        r"So it is \boxed{B}. I put it within \boxed{} as asked.",
        r"Answer: B, since $x=\boxed{47}$",
        "**Final Answer**\n\nB",
        "### Final answer\n\n(B)",
        "Final Answer: B",
        "The correct option is B.",
        "The correct choice is B) green.",
        "Answer: A\nAntwort: C\nAnswer: B",
    ],
)
def test_the_letter_of_the_answer_line(text: str) -> None:
    assert extract(text, 4) == "B"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "B",
        "Answer:",
        "Answer: $LETTER",
        "Answer: green",
        "Answer: a good one",
        "Answer: Both",
        "Answer: A and B",
        "Answer: A, B",
        "Answer: (A) or (B)",
        "Answer: E",
        "The answer is not B",
        "<think>Answer: B</think>",
        "Answer: B (and C)",
        "Answer: A; B",
        "Answer: $B$ and $C$",
        "Answer: A/B",
        "Answer: B & C",
        "Answer: B, C and D",
        "Answer: B or maybe C",
        r"\boxed{A} and \boxed{B}",
        "Answer: A combination of the two.",
        "Answer: A-type semiconductors",
        "The answer is A dog",
        "The answer is a matter of taste",
        "Answer: Vitamin C",
        "Answer: B2",
    ],
)
def test_nothing_is_guessed(text: str) -> None:
    assert extract(text, 4) is None
    assert grade(Choice("B", 4), text) == Grade(False, parsed=False)


@pytest.mark.parametrize(
    "text",
    [
        "Answer: I don't know.",
        "Answer: I'm not sure",
        "Answer: I think, and I doubt",
        "Answer: I, for one, cannot tell",
        "It may be B.\nAnswer: I don't know.",
        "I don't know.",
        "A good question.",
        "Should I guess?",
        "You doubt it, and so do I.",
    ],
)
def test_pronouns_and_articles_are_no_options(text: str) -> None:
    """An answer that declines was right where I is the key."""
    assert extract(text, 10) is None
    assert extract(text, 10, last_letter=True) is None


@pytest.mark.parametrize("letter", "AI")
@pytest.mark.parametrize(
    "text",
    [
        "Answer: {}",
        "Answer: {}.",
        "Answer: ({})",
        "Answer: {}) green",
        "Answer: **{}** green",
        "**Answer: {}** green",
        "Answer: {} because the others are wrong",
        "Answer: {} is right",
        "The answer is {}.",
        "\\boxed{{{}}}",
    ],
)
def test_the_options_a_and_i_are_options(text: str, letter: str) -> None:
    assert extract(text.format(letter), 10) == letter


@pytest.mark.parametrize(
    "text",
    [
        "A or B? It must be C, then.",
        "It should be C, I think.",
        "C because I computed it",
        "So (C). A sketch of why",
        "I would say C. I am sure.",
        "So C. I'd bet on it.",
        "C. A Fourier transform shows it.",
        "It's C (I checked).",
        "Choose C; I, however, doubt it.",
        "Answer: the third one, C",
    ],
)
def test_the_last_link_of_the_chain(text: str) -> None:
    assert extract(text, 10) is None
    assert extract(text, 10, last_letter=True) == "C"


def test_the_last_link_takes_options_only() -> None:
    assert extract("It must be J.", 4, last_letter=True) is None
    assert extract("Nothing fits.", 4, last_letter=True) is None
    assert extract("Answer: A and B", 4, last_letter=True) is None
    assert extract("So it is A.", 4, last_letter=True) == "A"
    assert extract("It is option I.", 10, last_letter=True) == "I"


def test_grades() -> None:
    assert grade(Choice("B", 4), "Answer: B") == Grade(True)
    assert grade(Choice("B", 4), "Answer: C") == Grade(False)


@pytest.mark.parametrize("text", ["Answer:" + " " * 200_000, "answer is " + "(*$" * 50_000, "Answer: A" * 50_000])
def test_a_long_answer_takes_no_time(text: str) -> None:
    started = time.process_time()
    extract(text, 4, last_letter=True)
    assert time.process_time() - started < 5

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
    ],
)
def test_nothing_is_guessed(text: str) -> None:
    assert extract(text, 4) is None
    assert grade(Choice("B", 4), text) == Grade(False, parsed=False)


def test_the_last_link_of_the_chain() -> None:
    assert extract("A or B? It must be B, then.", 4) is None
    assert extract("A or B? It must be B, then.", 4, last_letter=True) == "B"
    assert extract("It must be J.", 4, last_letter=True) is None
    assert extract("Nothing fits.", 4, last_letter=True) is None


def test_grades() -> None:
    assert grade(Choice("B", 4), "Answer: B") == Grade(True)
    assert grade(Choice("B", 4), "Answer: C") == Grade(False)


@pytest.mark.parametrize("text", ["Answer:" + " " * 200_000, "answer is " + "(*$" * 50_000, "Answer: A" * 50_000])
def test_a_long_answer_takes_no_time(text: str) -> None:
    started = time.process_time()
    extract(text, 4, last_letter=True)
    assert time.process_time() - started < 5

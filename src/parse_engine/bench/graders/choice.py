"""Multiple choice: options in a fixed random order, and the letter that an answer names."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from parse_engine.bench.graders.text import after_thinking
from parse_engine.bench.tasks.base import Grade

LETTERS = "ABCDEFGHIJ"
INSTRUCTION = "The last line of your response should be of the following format: 'Answer: $LETTER'"

# Options that name others by letter or by place mean something else in another order.
_REFERS = re.compile(
    r"(?i:\b(?:all|none|both|neither|either) (?:of )?(?:the|these|those)\b|\babove\b|\bbelow\b)"
    r"|\b(?:[Bb]oth|[Nn]either|[Ee]ither)\b.*\b[A-J]\b|\b[A-J],? (?:and|or|&) [A-J]\b|\b[Oo]ptions? [A-J]\b"
    r"|\b[A-J], [A-J]\b"
)
_MARKS = r"[\s*_$({\[\"'`]{0,9}(?:\\(?:boxed|text|textbf|mathrm)\{){0,2}[\s(]{0,3}"  # before a letter, as in **(B)**
_LETTER = rf"{_MARKS}([A-J])(?![A-Za-z0-9])(?![\s)*]{{0,3}}(?:,|/|&|and\b|or\b)[\s*(]{{0,3}}[A-J]\b)"  # not "A and B"
_LINE = re.compile(rf"\b(?i:answer)[*_]{{0,3}}\s{{0,3}}:[*_]{{0,3}}{_LETTER}")
_SENTENCE = re.compile(rf"\b(?i:answer is):?{_LETTER}")
_OPTION = re.compile(rf"{_LETTER}(?=[)\]}}*.:]|[\s_$\"'`]*\Z)")
_ALONE = re.compile(r"\b[A-J]\b")


@dataclass(frozen=True)
class Choice:
    """What an answer is graded against."""

    letter: str
    """The right option's."""
    count: int
    """How many options there are."""


def present(id: str, question: str, options: Sequence[str], right: int) -> tuple[str, Choice]:
    """The prompt, and what answers to it are graded against. `right` is the index of the right option.

    The order of the options is drawn by the question's id, the same every time, unless one of them names others.
    """
    order = list(range(len(options)))
    if not any(_REFERS.search(option) for option in options):
        random.Random(id).shuffle(order)
    lines = [f"{letter}) {options[index]}" for letter, index in zip(LETTERS, order, strict=False)]
    letters = f"LETTER is one of {', '.join(LETTERS[: len(options)])}."
    prompt = "\n".join([question.strip(), "", *lines, "", f"{INSTRUCTION}, where {letters}"])
    return prompt, Choice(LETTERS[order.index(right)], len(options))


def extract(text: str, count: int, *, last_letter: bool = False) -> str | None:
    """The letter that an answer names; None where it names none, or one that no option has.

    By the last `Answer: X`, or else the last `answer is X`; with `last_letter`, which is the last link of MMLU-Pro's
    published chain, or else the last letter of an option that stands alone.
    """
    answer = after_thinking(text)
    for pattern in (_LINE, _SENTENCE):
        found = pattern.findall(answer)
        if found:
            letter = found[-1].upper()
            return letter if letter in LETTERS[:count] else None
    alone = _ALONE.findall(answer) if last_letter else []
    return alone[-1] if alone and alone[-1] in LETTERS[:count] else None


def option(answer: str) -> str | None:
    """The letter that a final answer is, `(B)` or `B) 47 apples`; None where it is a text, as `A dog` is."""
    found = _OPTION.match(answer)
    return found[1] if found else None


def grade(choice: Choice, text: str, *, last_letter: bool = False) -> Grade:
    """Whether an answer names the right letter. Nothing is guessed for one that names none."""
    letter = extract(text, choice.count, last_letter=last_letter)
    return Grade(letter == choice.letter, parsed=letter is not None)

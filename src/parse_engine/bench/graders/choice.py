"""Multiple choice: options in a fixed random order, and the letter that an answer names."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from parse_engine.bench.graders.boxed import last_boxes
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

# What only sets the type around a letter: `**B**`, `$\mathbf{B}$`, `\text{(B)}` are written (B) or B).
_STYLE = re.compile(r"\\(?:text\w*|mathrm|mathbf|mathit|mathsf|mathbb|mbox|boxed|fbox)\s?(?=\{)|\\[()\[\],;:! ]")
_ENCLOSED = re.compile(r"(?<![A-Za-z0-9])[*_$`{]{1,9}\s?\(?([A-Ja-j])\)?\s?[*_$`}]{1,9}(?![A-Za-z0-9])")
_CLOSED = re.compile(r"(?<![A-Za-z0-9])([A-J])[*_$`}]{1,9}(?![A-Za-z0-9])")
_MARKS = re.compile(r"[*_$`{}]")

_LINE = re.compile(
    r"\b(?i:answer)\s{0,3}[:=]\s*(?!\s|(?i:answer)\b)([^\n]*)"
    r"|^[ \t#]{0,9}(?i:(?:the\s)?(?:final\s|correct\s)?answer)[ \t#]{0,9}\n\s*([^\n]*)",  # as a heading
    re.MULTILINE,
)
_SENTENCE = re.compile(r"\b(?i:answer|option|choice)\s(?i:is|would be|must be|should be):?\s{0,3}([^\n]*)")
_PLACEHOLDER = re.compile(r"\W*(?:(?:your\s)?letter\b.*)?", re.IGNORECASE)
_FIRST = re.compile(r"[\s'\"]{0,3}(?:(?i:(?:the\s)?(?:options?|choices?|letters?))\s?:?\s{0,3})?")
_NEXT = re.compile(
    r"\s{0,3}(?:[,;/&+]|\(?\s?\b(?:and|or)\b)(?:\s{0,3}(?:and|or|also|even|maybe|perhaps|possibly|both|option|choice)\b)*"
    r"\s{0,3}"
)
_LETTER = re.compile(
    r"(?P<open>[(\[<]{0,2})\s?(?P<letter>[A-Ja-j])\s?(?P<close>[)\]>]{0,2})(?![A-Za-z0-9])(?!['’-][A-Za-z])"
)
_OPTION = re.compile(r"[\s'\"(\[]{0,9}([A-J])\s?(?:[)\].:]|['\"\s]*\Z)")
_ALONE = re.compile(r"(?<![A-Za-z0-9'’-])(?=[(\[]?[A-J]\b)")
_ENDED = re.compile(r"\s*[.!]?['\"]?\s*(?:\n|\Z)|[.:!]|\s[-–—=:]")
_CLAUSE = re.compile(r"\s(?:is|was|would|has|does|did|can|gives)\b")  # B, C is too large
_INVERTED = re.compile(
    r"\b(?:am|do|did|would|should|can|could|may|might|shall|will|was|have|had|than|if|and)\s\Z"
)  # so do I
_SAID_OF = {  # what follows a letter that is no pronoun and no article
    "A": re.compile(
        r",?\s(?:is|was|and|or|nor|because|since|as|for|which|with|would|seems|must|should|can|cannot|has|does|fits"
        r"|matches|in|by|but|not|only|alone|also|says|states|describes|satisfies|applies|works)\b|[,;/?]"
    ),
    "I": re.compile(r",?\s(?:is|because|since|seems|fits|matches)\b|[;/]|,\sI\b"),
}


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
    """The letter that an answer names; None where it names none, several, or one that no option has.

    By the last `Answer: X` or box, or else the last `answer is X`; with `last_letter`, which is the last link of
    MMLU-Pro's published chain, or else the last letter of an option that stands alone, behind the last `Answer:` where
    there is one. The pronoun I and the article A are no letters of options.
    """
    answer = _plain(_with_box_as_line(after_thinking(text)))
    lines = [match for match in _LINE.finditer(answer) if not _PLACEHOLDER.fullmatch(match[1] or match[2] or "")]
    for match in [*lines[-1:], *reversed(list(_SENTENCE.finditer(answer)))]:
        letters = _letters(next(filter(None, match.groups()), ""))
        if letters:
            return letters[0] if len(letters) == 1 and letters[0] in LETTERS[:count] else None
    alone = _standing(answer[lines[-1].start() if lines else 0 :]) if last_letter else None
    return alone if alone and alone in LETTERS[:count] else None


def option(answer: str) -> str | None:
    """The letter that a final answer is, `(B)` or `B) 47 apples`; None where it is a text, as `A dog` is."""
    found = _OPTION.match(_plain(answer))
    return found[1] if found else None


def _with_box_as_line(answer: str) -> str:
    """The answer with its last boxes as a line `Answer: X`, if letters of options are in them."""
    boxes = last_boxes(answer)
    content = " and ".join(boxes.contents) if boxes else ""
    if boxes is None or not _letters(_plain(content)):
        return answer
    return f"{answer[: boxes.start]}\nAnswer: {content}\n{answer[boxes.end :]}"


def _plain(text: str) -> str:
    """Without what sets the type. A letter that is set apart by it is in brackets instead."""
    text = _CLOSED.sub(r"\1)", _ENCLOSED.sub(r"(\1)", _STYLE.sub("", text)))
    return _MARKS.sub("", text)


def _letters(text: str) -> list[str]:
    """The letters of the options that a text begins with: one, or several that are joined; none of a word."""
    first = _FIRST.match(text)
    match = _LETTER.match(text, first.end() if first else 0)
    found: list[str] = []
    while match and _is_option(match, text):
        if found and (match["letter"].islower() or _CLAUSE.match(text, match.end())):
            break
        found.append(match["letter"].upper())
        joined = _NEXT.match(text, match.end())
        match = _LETTER.match(text, joined.end()) if joined else None
    return list(dict.fromkeys(found))


def _standing(text: str) -> str | None:
    """The last letter of an option that stands alone."""
    found = (_LETTER.match(text, match.start()) for match in _ALONE.finditer(text))
    letters = [match["letter"] for match in found if match and _is_option(match, text)]
    return letters[-1] if letters else None


def _is_option(match: re.Match[str], text: str) -> bool:
    """Whether a letter by itself is that of an option, and no article, pronoun or variable."""
    letter, end = match["letter"], match.end()
    if letter == "I" and not match["close"] and _INVERTED.search(text, max(match.start() - 9, 0), match.start()):
        return False
    if match["close"] or _ENDED.match(text, end):
        return True
    if letter.islower():
        return False
    return letter not in _SAID_OF or bool(_SAID_OF[letter].match(text, end))


def grade(choice: Choice, text: str, *, last_letter: bool = False) -> Grade:
    """Whether an answer names the right letter. Nothing is guessed for one that names none."""
    letter = extract(text, choice.count, last_letter=last_letter)
    return Grade(letter == choice.letter, parsed=letter is not None)

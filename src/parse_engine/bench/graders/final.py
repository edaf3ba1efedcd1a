"""The final answer that a text names, where nobody knows what kind of answer was asked for: as graders read it.

Final answers come in many dressings: `\\boxed{47}`, `#### 47`, `Final answer: **47**.`, `So Ben has 47 apples.` Here
the dressing is taken off; what two answers must have in common to be the same is in calibration/agreement.py.
"""

from __future__ import annotations

import re

from parse_engine.bench.graders.boxed import last_boxes, without_mentions
from parse_engine.bench.graders.notation import plain
from parse_engine.bench.graders.text import after_thinking
from parse_engine.bench.graders.units import unit_behind

FENCE = "```"
"""What fenced code begins with, here too: white space apart, code is compared letter by letter."""

NUMBER = re.compile(
    r"(?<![\w.,])(?:(?<!\d\s)[-+])?[$€£¥]?"  # no digits before it: 12-35 are two numbers
    r"((?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:\s?/\s?(0*[1-9]\d*))?(\s?%)?"
    r"(?:\s?(?i:(thousand|million|billion))\b)?"
)
"""A number: its digits, its denominator, its percent sign, its thousands."""

_LATEX = (
    (re.compile(r"\\[dt]frac\b"), r"\\frac"),
    (re.compile(r"\\frac\s?\{(-?[\d.]+)\}\s?\{([\d.]+)\}|\\frac(\d)(\d)"), r"\1\3/\2\4"),
    (re.compile(r"\\([$%&#_{}])"), r"\1"),
    (re.compile(r"\\(?:left|right)\b|\\[()\[\]]"), ""),
    (re.compile(r"(?<=\d)(?:\{,\}|\\[,!])(?=\d{3})"), ""),
    (re.compile(r"\\[,;:! ]|~|\\quad\b"), " "),
    (re.compile(r"\^?\{?\\circ\}?|\\degree\b|°"), ""),
    (re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf)\s?\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\b([kcm]?m|in|ft|yd|mi|s|units?)\s?\^\{?-?[123]\}?"), r"\1"),  # 47 m^2
    (re.compile("[−–]"), "-"),
)
"""What only sets the type, and what stands instead of it."""
_CODE = re.compile(rf"^[ \t]*{FENCE}[^\n]*\n(.*?)^[ \t]*{FENCE}", re.MULTILINE | re.DOTALL)
_HASHES = re.compile(r"^####\s*(\S[^\n]*)\s*\Z", re.MULTILINE)
_SAID = re.compile(
    r"\b(?:answers?|correct\s+(?:option|choice))\b[^\n:=.]{0,60}?(?:[:=]|\b(?:is|are|would\s+be)\b)"
    r"(?:[\s:*_]|\bthat\b)*(\S[^\n]*)"
    r"|^[ \t#*_]{0,9}(?:the\s)?(?:final\s)?answer[ \t#*_]{0,9}\n\s*(\S[^\n]*)",  # as a heading
    re.IGNORECASE | re.MULTILINE,
)
_BOLD = re.compile(r"\*\*([^*\n]*[^*\n:])\*\*")
_CHOSEN = re.compile(r"\b(?:option|choice)\s(\(?[A-J]\)?)(?!\w)")
_MARKER = re.compile(r"^\s*\d+[.)]\s+(?=\S)")
_ONLY_NUMBERS = re.compile(r"(?:[\W\d_]|\b(?:and|or|to)\b)+")
_OPTION = re.compile(r"^\W{0,3}[A-J](?:\)|[.:](?=\s*[-$€£\d]))\s")
_PHRASE = re.compile(
    r"[-+$€£¥]{0,2}\.?\d(?!.*(?:=|\b(?:is|are|was|were|makes?|gives?|equals?|leaves?|has|have)\b))"
)  # no verb
_JOINT = re.compile(r"\s?,?\s?(?:and\s)?")
_EQUALS = re.compile(r"=([^=\n]*[\d\\][^=\n]*)$")
_INSIDE = r"[^$=\n]{0,200}?\\[a-z][^$=\n]{0,200}?"
_FORMULA = re.compile(rf"\$\$?{_INSIDE}\$\$?|\\\({_INSIDE}\\\)|\\\[{_INSIDE}\\\]")
_OPENING = re.compile(r"(\\\[|\$\$)\s*\n\s*")
_END_OF_SENTENCE = re.compile(
    r"(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bSt)(?<!\bMrs)(?<!\bProf)(?<!\b[A-Z])[.!?](?=\s)"  # not in Dr. J. Smith
)


def final(text: str) -> str:
    """The final answer of a text, on one line unless it is code or the whole text, without LaTeX that sets the type."""
    answer = stated(text)
    return answer if answer.startswith(FENCE) else _plain(answer)


def stated(text: str) -> str:
    """The final answer of a text as it is written there.

    By the first of these that the text has, and of several the last: boxes; what stands behind `####` at the end, or
    behind words like `answer:` or `the answer is`, unless code follows; fenced code; in the last line bold text or
    `option B`, or the line itself where it is an option, or the only line and a number with words but no verb; in the
    last two lines a formula, what stands behind `=`, a list of numbers, or a number with its unit. Else it is the
    whole text.
    """
    answer = _OPENING.sub(r"\1", after_thinking(text)).strip()
    if boxes := last_boxes(answer):
        return ", ".join(boxes.contents)
    answer = without_mentions(answer).strip()
    blocks = list(_CODE.finditer(answer))
    rest = answer[blocks[-1].end() :] if blocks else answer
    if said := [*_SAID.finditer(rest), *_HASHES.finditer(rest)]:
        return _sentence(next(filter(None, max(said, key=lambda match: match.end()).groups())))
    if blocks:
        return FENCE + blocks[-1][1]
    return _in_last_lines(answer) or answer


def _plain(text: str) -> str:
    text = plain(text)
    for pattern, instead in _LATEX:
        text = pattern.sub(instead, text)
    return text


def _sentence(line: str) -> str:
    """The first sentence of a line."""
    return _END_OF_SENTENCE.split(line, maxsplit=1)[0].strip()


def _in_last_lines(answer: str) -> str | None:
    lines = [line for line in answer.splitlines() if line.strip()][-2:]
    if lines and (bold := _BOLD.findall(lines[-1])):
        return str(bold[-1])
    if lines and (options := _CHOSEN.findall(lines[-1])):
        return str(options[-1])
    if lines and _OPTION.match(lines[-1]) and not _OPTION.match(lines[0] if len(lines) > 1 else ""):
        return lines[-1]
    if lines == [answer] and _PHRASE.match(answer):
        return answer
    for written in (_MARKER.sub("", line) for line in reversed(lines)):
        if formulas := _FORMULA.findall(written):
            return str(formulas[-1])
        line = _plain(written)
        if equal := _EQUALS.search(line):
            return _sentence(equal[1])
        if _ONLY_NUMBERS.fullmatch(line) and any(map(str.isdigit, line)):
            return line
        if numbers := list(NUMBER.finditer(line)):
            return _last_quantity(line, numbers)
    return None


def _last_quantity(line: str, numbers: list[re.Match[str]]) -> str:
    """The last number of a line with its unit, and with those before it that are one quantity with it: 2 h 30 min."""
    first = len(numbers) - 1
    while first and joined(line, numbers[first - 1], numbers[first]):
        first -= 1
    return line[numbers[first].start() : unit_behind(line, numbers[-1].end())[1]]


def joined(line: str, number: re.Match[str], following: re.Match[str]) -> bool:
    """Whether there is but a unit between two numbers, which are one quantity then."""
    unit, end = unit_behind(line, number.end())
    return bool(unit) and _JOINT.fullmatch(line, end, following.start()) is not None

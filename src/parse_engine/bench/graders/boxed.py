"""The boxes that hold an answer: `\\boxed{47}`, and what stands for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BOX = re.compile(r"\\(?:boxed|fbox|framebox)(?![A-Za-z])\s*")
_BARE = re.compile(r"[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)|\\[A-Za-z]+(?:\d{1,2}|\{[^{}]*\})*")  # \boxed18, \boxed\frac12
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_SPACING = re.compile(r"\\(?:text\w*|mathrm|mathbf|mbox|[lc]?dots|q?quad|phantom|[,;:! ])|[\s{}.…_?*$]")
_MENTIONED = {"your", "the", "my", "final", "answer", "answers", "result", "solution", "value", "number", "here"}
_BETWEEN = re.compile(
    r"(?:[\s$.,;:&*}{-]|\\[()\[\],;:! ]|\\\\|\\(?:text|mathrm|mbox|q?quad)(?![A-Za-z])|\b(?:and|or)\b"
    r"|[A-Za-z](?:_?\{?\w{1,2}\}?)?\s?=)*"
)
_JOINED = re.compile(r"[,;&\n]|\b(?:and|or)\b|\\\\")
_FARTHEST = 80  # characters between two boxes of one answer


@dataclass(frozen=True)
class Boxes:
    """What the last boxes of a text hold, those that are one answer together."""

    contents: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True)
class _Box:
    content: str
    start: int
    end: int


def last_boxes(text: str) -> Boxes | None:
    """The last box, with those before it that are joined to it: `\\boxed{1}` and `\\boxed{2}`.

    An empty box, a bare `\\boxed` and `\\boxed{answer}` are mentions of what was asked for.
    """
    boxes = [box for box in _boxes(text) if not _is_mention(box.content)]
    if not boxes:
        return None
    together = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        between = text[box.end : together[0].start]
        if len(between) > _FARTHEST or not _JOINED.search(between) or not _BETWEEN.fullmatch(between):
            break
        together.insert(0, box)
    contents = dict.fromkeys(box.content.strip() for box in together)
    return Boxes(tuple(contents), together[0].start, together[-1].end)


def without_mentions(text: str) -> str:
    """The text of which no box holds anything, without the boxes."""
    for box in reversed(_boxes(text)):
        text = text[: box.start] + text[box.end :]
    return text


def _boxes(text: str) -> list[_Box]:
    """All boxes in their order; of one within another the inner one."""
    ends = _closing_braces(text)
    boxes: list[_Box] = []
    for match in _BOX.finditer(text):
        if text[match.end() : match.end() + 1] == "{":
            end = ends.get(match.end())
            line_end = text.find("\n", match.end())
            last = end if end is not None else line_end if line_end >= 0 else len(text)
            box = _Box(text[match.end() + 1 : last], match.start(), min(last + 1, len(text)))
        else:
            bare = _BARE.match(text, match.end())
            box = _Box(bare[0] if bare else "", match.start(), bare.end() if bare else match.end())
        if boxes and box.start < boxes[-1].end and not _is_mention(box.content):
            boxes[-1] = _Box(box.content, boxes[-1].start, boxes[-1].end)
        else:
            boxes.append(box)
    return boxes


def _closing_braces(text: str) -> dict[int, int]:
    """Where each opening brace is closed."""
    opened: list[int] = []
    ends: dict[int, int] = {}
    for match in _BRACE.finditer(text):
        if match[0] == "{":
            opened.append(match.start())
        elif match[0] == "}" and opened:
            ends[opened.pop()] = match.start()
    return ends


def _is_mention(content: str) -> bool:
    return len(content) < 99 and all(word in _MENTIONED for word in _SPACING.sub(" ", content).lower().split())

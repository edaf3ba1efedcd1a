"""Whether two answers come to the same, where nobody says which one is right."""

from __future__ import annotations

import re

from parse_engine.bench.graders.text import after_thinking

_BOX = "\\boxed{"
_LINE = re.compile(r"\banswer\b[^\n:]{0,20}:\s*(\S[^\n]*)", re.IGNORECASE)
_CODE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```", re.MULTILINE | re.DOTALL)


def same_answer(one: str, other: str) -> bool:
    """Whether both end in the same final answer: the last box, else the last fenced code, else the last line that says
    `answer: ...`, else the whole text. White space does not count."""
    return _final(one) == _final(other)


def _final(text: str) -> str:
    answer = after_thinking(text)
    for found in (_boxes(answer), _CODE.findall(answer), _LINE.findall(answer)):
        if found:
            return "".join(found[-1].split()).rstrip(".")
    return "".join(answer.split())


def _boxes(text: str) -> list[str]:
    """What stands in the boxes, with braces of their own inside them."""
    boxes = []
    for start in (match.end() for match in re.finditer(re.escape(_BOX), text)):
        depth = 1
        for at in range(start, len(text)):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            if depth == 0:
                boxes.append(text[start:at])
                break
    return boxes

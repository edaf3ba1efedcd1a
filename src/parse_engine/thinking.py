"""What a model thought, told from its answer: the marks of all models that are known to have some."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_TAGS = r"(?:\w+[:_])?think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|inner_?monologue"
_PAIRS = {
    re.escape("<|begin_of_thought|>"): re.escape("<|end_of_thought|>"),
    re.escape("<|START_THINKING|>"): re.escape("<|END_THINKING|>"),
    re.escape("<|think:start|>"): re.escape("<|think:end|>"),
    re.escape("<|think_start|>"): re.escape("<|think_end|>"),
    re.escape("<|inner_prefix|>"): re.escape("<|inner_suffix|>"),
    re.escape("<|channel>"): re.escape("<channel|>"),  # Gemma 4
    re.escape("[THINK]"): re.escape("[/THINK]"),
    re.escape("[unused16]"): re.escape("[unused17]"),
    re.escape("<unused94>"): re.escape("<unused95>"),
    re.escape("◁think▷"): re.escape("◁/think▷"),
    # gpt-oss, with its special tokens and without
    r"<\|channel\|>(?:analysis|commentary|\w{0,9}\Z)": r"<\|channel\|>final[^\n<]*(?:<\|constrain\|>\w*)?<\|message\|>",
    r"\A\s*analysis(?=[A-Z])": r"assistantfinal",
    r"\A\s*/think\n": r"<\|im_end\|>\s*<\|im_start\|>assistant\b",
    r"\A\s*Here(?:'s| is) my thought process:": r"Here(?:'s| is) my response:",
    r"\A\s*Here are my reasoning steps:": re.escape("[BEGIN FINAL RESPONSE]"),
}
"""Opening and closing marks, as patterns, where the closing mark is not the opening tag with a slash."""
_MARK = re.compile(
    "|".join(
        [
            rf"<(?P<slash>/?)(?P<tag>(?i:{_TAGS}))(?:\s[^<>\n]{{0,80}})?>",
            *(f"(?P<open_{n}>{opens})|(?P<close_{n}>{closes})" for n, (opens, closes) in enumerate(_PAIRS.items())),
        ]
    )
)
_QUOTES = "`'\""
_ANSWER = r"answer|response|output|solution"
_WRAPPED = re.compile(rf"\s*(?:<(?:{_ANSWER})>|<\|(?:begin_of_solution|START_RESPONSE|START_TEXT)\|>)", re.IGNORECASE)
_WRAPPED_END = re.compile(
    rf"(?:</(?:{_ANSWER})>|<\|(?:end_of_solution|END_RESPONSE|END_TEXT|return|end|im_end)\|>|\[END FINAL RESPONSE\])\Z",
    re.IGNORECASE,
)
_HEAD = re.compile(r"<\|message\|>|thought\n")  # of a thought: what belongs to the mark before it
_TAIL = re.compile(r"(?:<\|end\|>|<\|start\|>\s{0,9}assistant)\Z")
_LONGEST_END = 40
_BLANK = re.compile(r"\s*\n| +")
# Ends of a text that may yet become a mark, or belong to one.
_OPEN_END = re.compile(
    r"(?:[`'\"]?[<\[◁][^<>\[\]◁▷\n]{0,99}[>\]▷]?"
    r"|(?:<\|channel>|<unused94>)\w{1,8}"
    r"|(?:<\|(?:end|start|im_end|im_start|channel|constrain|message)\|>\s*\w{0,12}\s*)+(?:<[^>]{0,20})?)\Z"
)
_WORDS = ("assistantfinal", "Here is my response:", "Here's my response:")
_FIRST_WORDS = (
    "analysis",
    "/think\n",
    "Here is my thought process:",
    "Here's my thought process:",
    "Here are my reasoning steps:",
)
_HARMONY = {"<|channel|>", "<|message|>", "<|constrain|>", "<|start|>", "<|end|>"}


class Parts(NamedTuple):
    """An answer in its parts."""

    thinking: str | None
    """What was thought, without its marks; None where nothing was."""
    text: str
    """The answer alone; empty where the thought is cut off."""


class Mark(NamedTuple):
    """One mark in a text."""

    kind: str
    opens: bool
    start: int
    end: int


def split(text: str, opened: str = "") -> Parts:
    """Tell the thought from the answer behind it.

    A thought without its opening mark, which a chat template may have given, ends at the closing one; one that is cut
    off has no answer behind it. Where a model thinks again behind its answer, the answer is what comes last. A mark in
    quotes is a mention. A text without marks is left as it is.

    Args:
        opened: the kind of thought that the prompt has opened; see `opened_by`.
    """
    return _parts(text, _marks(text), opened)


def _parts(text: str, marks: Iterable[Mark], opened: str) -> Parts:
    start, thinking, inside = 0, opened, set[str]()
    thoughts, thought_from = list[str](), 0
    for mark in marks:
        if mark.opens and thinking:
            inside.add(mark.kind)
        elif mark.opens:
            thinking, inside, thought_from = mark.kind, set(), mark.end
        elif thinking in ("", mark.kind) or mark.kind not in inside:
            thoughts.append(text[thought_from : mark.start])
            start, thinking, thought_from = mark.end, "", mark.end
    if thinking:
        thoughts.append(text[thought_from:])
    elif not start:
        return Parts(None, text)
    thought = "\n\n".join(each for thought in thoughts if (each := _cleaned(thought)))
    return Parts(thought or None, "" if thinking else _unwrapped(text[start:]))


def _cleaned(thought: str) -> str:
    """A thought without what belongs to its marks."""
    if head := _HEAD.match(thought):
        thought = thought[head.end() :]
    thought = thought.strip()
    while tail := _TAIL.search(thought, max(0, len(thought) - _LONGEST_END)):
        thought = thought[: tail.start()].rstrip()
    return thought


def _unwrapped(answer: str) -> str:
    """What stands behind a thought, without the marks around it and blank lines before it."""
    if begin := _WRAPPED.match(answer):
        answer = answer[begin.end() :]
    if (bare := answer.rstrip()) and (end := _WRAPPED_END.search(bare, max(0, len(bare) - _LONGEST_END))):
        answer = answer[: end.start()]
    blank = _BLANK.match(answer)
    return answer[blank.end() :] if blank else answer


def opened_by(prompt: str) -> str:
    """The kind of thought that stands open at the end of a prompt; empty where none does."""
    end = len(prompt.rstrip())
    return next((mark.kind for mark in _marks(prompt) if mark.opens and mark.end == end), "")


def is_mark(name: str, names: Iterable[str]) -> bool:
    """Whether a special token, among all that a vocabulary has, is a mark of thoughts or belongs to one."""
    if name in _HARMONY:
        return "<|channel|>" in names
    return bool(_MARK.fullmatch(name))


class Telling:
    """Tells a growing text in its parts, as far as no later text can change them."""

    def __init__(self, opened: str = ""):
        """`opened`: as in `split`."""
        self._opened = opened
        self._thinking = self._answer = ""
        self._settled = 0
        self._marks: list[Mark] = []

    def more(self, text: str, *, whole: bool = False) -> Parts:
        """What is new in the thought and in the answer, of all the text so far; `whole`: nothing comes behind it."""
        settled = len(text) if whole else max(self._settled, _settled(text))
        self._marks += [mark for mark in _marks(text, self._settled) if mark.end <= settled]
        self._settled = settled
        now = _parts(text[:settled], self._marks, self._opened)
        if not whole and now.text.isspace():
            now = Parts(now.thinking, "")
        thinking, answer = _longer(self._thinking, now.thinking or ""), _longer(self._answer, now.text)
        new = Parts(thinking[len(self._thinking) :] or None, answer[len(self._answer) :])
        self._thinking, self._answer = thinking, answer
        return new


def _longer(told: str, now: str) -> str:
    """What can be told: what was told stays."""
    return now if now.startswith(told) else told


def _settled(text: str) -> int:
    """Characters that cannot become a part of a mark by what comes behind them."""
    if any(word.startswith(text.lstrip()) for word in _FIRST_WORDS):
        return 0
    ends = [match.start() if (match := _OPEN_END.search(text, max(0, len(text) - 200))) else len(text)]
    ends += [len(text) - n for word in _WORDS for n in range(1, len(word)) if text.endswith(word[:n])]
    return min(ends)


def _marks(text: str, start: int = 0) -> Iterator[Mark]:
    """The marks from a place on that are not in quotes."""
    for match in _MARK.finditer(text, start):
        before, behind = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if before and before == behind and before in _QUOTES:
            continue
        if match["tag"]:
            yield Mark(match["tag"].lower(), not match["slash"], match.start(), match.end())
        else:
            opens, _, kind = (match.lastgroup or "").partition("_")
            yield Mark(kind, opens == "open", match.start(), match.end())

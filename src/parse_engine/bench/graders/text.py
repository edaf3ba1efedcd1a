"""What the graders have in common: the answer without what was thought before it, and the graders of plain texts."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
    re.escape("◁think▷"): re.escape("◁/think▷"),
    # gpt-oss, with its special tokens and without
    r"<\|channel\|>(?:analysis|commentary)": r"<\|channel\|>final[^\n<]{0,40}(?:<\|constrain\|>\w{0,40})?<\|message\|>",
    r"\A\s*analysis(?=[A-Z])": r"assistantfinal",
    r"\A\s*/think\n": r"<\|im_end\|>\s*<\|im_start\|>assistant\b",
    r"\A\s*Here(?:'s| is) my thought process:": r"Here(?:'s| is) my response:",
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
_WRAPPED = re.compile(
    r"\A\s*(?:<(?:answer|response|output|solution)>|<\|(?:begin_of_solution|START_RESPONSE)\|>)"
    r"|(?:</(?:answer|response|output|solution)>|<\|(?:end_of_solution|END_RESPONSE|return|end|im_end)\|>)\s*\Z",
    re.IGNORECASE,
)


def after_thinking(text: str) -> str:
    """The answer alone, without what was thought before it; nothing where the thinking is cut off.

    Thoughts are told by the marks of the models that have them: `<think>` and tags like it, `[THINK]`, gpt-oss'
    channels and others. One without its opening mark, which the chat template may have given, ends at the closing one.
    A mark in quotes is a mention.
    """
    start, thinking, inside = 0, "", set[str]()
    for kind, opens, end in _marks(text):
        if opens and thinking:
            inside.add(kind)
        elif opens:
            thinking, inside = kind, set()
        elif thinking in ("", kind) or kind not in inside:
            start, thinking = end, ""
    return "" if thinking else _WRAPPED.sub("", text[start:])


def _marks(text: str) -> Iterator[tuple[str, bool, int]]:
    """Kind, whether it opens, and the end of each mark that is not in quotes."""
    for match in _MARK.finditer(text):
        before, behind = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if before and before == behind and before in _QUOTES:
            continue
        if match["tag"]:
            yield match["tag"].lower(), not match["slash"], match.end()
        else:
            opens, _, kind = (match.lastgroup or "").partition("_")
            yield kind, opens == "open", match.end()


def is_exactly(wanted: str, text: str) -> bool:
    """Whether the answer is this text, but for white space around it."""
    return after_thinking(text).strip() == wanted.strip()


def contains(wanted: str, text: str) -> bool:
    """Whether this text is somewhere in the answer, in any case."""
    return wanted.strip().casefold() in after_thinking(text).casefold()

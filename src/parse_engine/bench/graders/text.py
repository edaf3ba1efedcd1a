"""What the graders have in common: the answer without what was thought before it, and the graders of plain texts."""

from __future__ import annotations

from parse_engine.thinking import split


def after_thinking(text: str) -> str:
    """The answer alone, without what was thought before it; nothing where the thinking is cut off."""
    return split(text).text


def is_exactly(wanted: str, text: str) -> bool:
    """Whether the answer is this text, but for white space around it."""
    return after_thinking(text).strip() == wanted.strip()


def contains(wanted: str, text: str) -> bool:
    """Whether this text is somewhere in the answer, in any case."""
    return wanted.strip().casefold() in after_thinking(text).casefold()

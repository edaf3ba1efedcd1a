"""Where a draft may be cut: boundaries every `delta` tokens, moved to where a reader would cut."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NUMBER = re.compile(r"\d(?:[\d.,]*\d)?")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
# A sentence ends at its mark and closing quotes, when white space follows; "1." opening a list item is no sentence.
_SENTENCE = re.compile(r"(?<!^\d)(?<!\n\d)[.!?…]['\")\]*]*(?=[ \t])|[。！？]")


def boundaries(text: str, ends: Sequence[int | None], delta: int, max_prefixes: int) -> list[int]:
    """Token counts of the prefixes to judge, increasing; the last one is the full draft.

    Args:
        text: the draft.
        ends: for each token the character offset in `text` at which it ends; None where it ends inside a character.
        delta: tokens between boundaries; stretched where the draft would need more than `max_prefixes`.
        max_prefixes: most boundaries, the full draft included.

    Every boundary but the last is moved to the nearest free end of a line or sentence less than a step away. Without
    one it stays, or moves to the nearest token that ends neither inside a number nor inside a line of a code fence.
    """
    length = len(ends)
    if length == 0:
        return []
    step = max(delta, -(-length // max_prefixes))
    fenced = _inside_fenced_lines(text)
    good = _natural_ends(text, fenced)
    forbidden = _inside_numbers(text) | fenced
    allowed = [
        n for n in range(1, length) if (end := ends[n - 1]) is not None and (end in good or end not in forbidden)
    ]
    natural = [n for n in allowed if ends[n - 1] in good]
    cuts: list[int] = []
    for nominal in range(step, length, step):
        past = cuts[-1] if cuts else 0
        cut = _nearest(natural, nominal, step, past) or _nearest(allowed, nominal, (step + 1) // 2, past)
        if cut is not None:
            cuts.append(cut)
    return [*cuts, length]


def _nearest(cuts: Sequence[int], nominal: int, reach: int, past: int) -> int | None:
    """The closest cut beyond `past` and less than `reach` away, the later one of two; None without one."""
    near = [cut for cut in cuts if abs(cut - nominal) < reach and cut > past]
    return min(near, key=lambda cut: (abs(cut - nominal), -cut)) if near else None


def _natural_ends(text: str, fenced: set[int]) -> set[int]:
    """Character offsets right after a line (its last newline) or a sentence outside of fenced code."""
    lines = {match.end() for match in re.finditer(r"\n+", text)}
    return lines | {match.end() for match in _SENTENCE.finditer(text) if match.end() not in fenced}


def _inside_numbers(text: str) -> set[int]:
    """Character offsets with a number's characters on both sides."""
    return {offset for match in _NUMBER.finditer(text) for offset in range(match.start() + 1, match.end())}


def _inside_fenced_lines(text: str) -> set[int]:
    """Character offsets inside a line of fenced code, the fence included; an open fence runs to the end."""
    inside: set[int] = set()
    fences = [match.span() for match in _FENCE.finditer(text)]
    for opening, closing in zip(fences[::2], [*fences[1::2], (len(text), len(text))], strict=False):
        for line in re.finditer(r"[^\n]+\n?", text[opening[0] : closing[1]]):
            start = opening[0] + line.start()
            inside.update(range(start + 1, start + len(line.group())))
    return inside

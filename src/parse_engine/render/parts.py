"""Who wrote what: a draft cut at its boundaries, and an answer cut where the target took over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parse_engine.thinking import split
from parse_engine.trace import Answer, BoundaryVerdict, Trace


@dataclass(frozen=True)
class Piece:
    """A stretch of draft that was kept or rejected as a whole."""

    text: str
    kept: bool
    boundary: BoundaryVerdict | None
    """The boundary at the stretch's end, if there is one."""

    @property
    def words(self) -> str:
        """The text without the line breaks at its end: a boundary's mark stands behind it, on the line it judged."""
        return self.text[: len(self.text) - len(self.breaks)]

    @property
    def breaks(self) -> str:
        """The text's end from the first line break on behind which there is nothing but space."""
        space = self.text[len(self.text.rstrip()) :]
        return space[space.find("\n") :] if "\n" in space else ""


def pieces(draft: str, kept: int, ends: Sequence[int], boundaries: Sequence[BoundaryVerdict]) -> Iterator[Piece]:
    """Cut the draft at its boundaries and where its kept part ends; all offsets are in characters.

    The pieces' texts together are the draft.
    """
    start = 0
    for end, boundary in zip(ends, boundaries, strict=True):
        if start < kept < end:
            yield Piece(draft[start:kept], True, None)
            start = kept
        yield Piece(draft[start:end], end <= kept, boundary)
        start = end
    if start < kept < len(draft):
        yield Piece(draft[start:kept], True, None)
        start = kept
    if start < len(draft):
        yield Piece(draft[start:], len(draft) <= kept, None)


def kept_characters(trace: Trace) -> int:
    """Characters of the draft that are in the answer, counted from its start."""
    return len(trace.committed_text) if trace.draft_text.startswith(trace.committed_text) else 0


def by_author(answer: Answer) -> tuple[str, str]:
    """The answer's text without thoughts as what the drafter wrote and what the target wrote; together the text."""
    if answer.trace.method == "draft":
        return answer.text, ""
    committed = split(answer.trace.committed_text).text
    cut = len(committed) if answer.text.startswith(committed) else 0
    return answer.text[:cut], answer.text[cut:]

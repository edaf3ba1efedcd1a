"""Answers that no model had to write, and the events they come from."""

from __future__ import annotations

from collections.abc import Iterator

from parse_engine.trace import (
    Answer,
    BoundaryVerdict,
    Committed,
    Continuing,
    Done,
    Drafting,
    Event,
    Method,
    Seconds,
    Trace,
    Verified,
)

QUESTION = "A baker makes 24 rolls, sells 9 and bakes 12 more. How many rolls are there?"
KEPT = "The baker starts with 24 rolls. After selling 9 there are 24 - 9 = 15 rolls left. "
REJECTED = "Baking 12 more gives 15 + 12 = 28 rolls.\n\nThe answer is 28."
DRAFT = KEPT + REJECTED
REWRITTEN = "Baking 12 more gives 15 + 12 = 27 rolls.\n\nThe answer is 27."
ENDS = (31, 55, len(KEPT), 105, len(DRAFT))
BOUNDARIES = (
    BoundaryVerdict(end=8, p=0.97, label_mass=0.99, accepted=True),
    BoundaryVerdict(end=16, p=0.94, label_mass=0.98, accepted=True),
    BoundaryVerdict(end=24, p=0.88, label_mass=0.98, accepted=True),
    BoundaryVerdict(end=32, p=0.21, label_mass=0.97, accepted=False),
    BoundaryVerdict(end=44, p=0.08, label_mass=None, accepted=False),
)


def parse_answer(*, warnings: tuple[str, ...] = ()) -> Answer:
    """A draft of which three of five prefixes were kept."""
    trace = Trace(
        method="parse",
        draft_text=DRAFT,
        draft_tokens=44,
        committed_tokens=24,
        committed_text=KEPT,
        target_tokens=21,
        verify_passes=1,
        boundaries=BOUNDARIES,
        boundary_offsets=ENDS,
        computed_tokens=190,
        seconds=Seconds(draft=0.31, verify=0.12, continue_=0.84, total=1.30),
        warnings=warnings,
    )
    return Answer(KEPT + REWRITTEN, "stop", prompt_tokens=29, completion_tokens=45, trace=trace)


def plain_answer(method: Method, text: str = "The answer is 27.") -> Answer:
    """An answer that one model wrote alone."""
    trace = Trace(
        method=method,
        draft_text=text if method == "draft" else "",
        draft_tokens=7 if method == "draft" else 0,
        committed_tokens=0,
        committed_text="",
        target_tokens=7 if method == "target" else 0,
        verify_passes=0,
        boundaries=(),
        boundary_offsets=(),
        computed_tokens=36,
        seconds=Seconds(draft=0.2, total=0.2) if method == "draft" else Seconds(continue_=0.9, total=0.9),
    )
    return Answer(text, "length", prompt_tokens=29, completion_tokens=7, trace=trace)


def events(answer: Answer) -> Iterator[Event]:
    """What the engine would have yielded on the way to the answer."""
    if answer.trace.method == "parse":
        middle = len(DRAFT) // 2
        yield Drafting(DRAFT[:middle])
        yield Drafting(DRAFT[middle:])
        yield Verified(DRAFT, BOUNDARIES, ENDS)
        yield Committed(KEPT, end=len(KEPT))
        yield Continuing(REWRITTEN[:10])
        yield Continuing(REWRITTEN[10:])
    else:
        yield Continuing(answer.text)
    yield Done(answer)

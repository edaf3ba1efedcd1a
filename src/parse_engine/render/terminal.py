"""The terminal's view of an answer: pure functions from events to rich text, and the live display."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from parse_engine.render.parts import by_author, kept_characters, pieces
from parse_engine.trace import Answer, Committed, Continuing, Done, Drafting, Event, Verified

UNDECIDED = "dim italic"
KEPT = "green"
REJECTED = "dim red strike"
TARGET = "bold cyan"
NOTE = "dim"

_CONTROL = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {127: 0x2421}


def printable(text: str) -> str:
    """Control characters as their pictures, one for one, so that a model cannot steer the terminal."""
    return text.translate(_CONTROL)


@dataclass(frozen=True)
class View:
    """What is known of an answer so far."""

    draft: str = ""
    verified: Verified | None = None
    kept: int | None = None
    """Characters of the draft that are kept; None before the commit."""
    continued: str = ""


def advance(view: View, event: Event) -> View:
    """The view after one more event."""
    match event:
        case Drafting(text):
            return dataclasses.replace(view, draft=view.draft + text)
        case Verified(draft_text):
            return dataclasses.replace(view, draft=draft_text, verified=event)
        case Committed():
            return dataclasses.replace(view, kept=event.end)
        case Continuing(text, thinking):
            return dataclasses.replace(view, continued=view.continued + thinking + text)
        case Done(answer):
            return dataclasses.replace(view, kept=kept_characters(answer.trace))


def picture(view: View) -> Text:
    """The draft with its boundaries, kept and rejected parts told apart, and under it what the target wrote."""
    text = Text()
    if view.verified is not None:
        _add_judged_draft(text, view, view.verified)
    else:
        text.append(printable(view.draft), UNDECIDED)
    if view.continued:
        if view.draft:
            text.append("\n")
            text.append("target: ", NOTE)
        text.append(printable(view.continued), TARGET if view.draft else "")
    return text


def _add_judged_draft(text: Text, view: View, verified: Verified) -> None:
    kept = view.kept
    if kept is None:
        kept = max(
            (e for e, b in zip(verified.boundary_offsets, verified.boundaries, strict=True) if b.accepted), default=0
        )
    for piece in pieces(view.draft, kept, verified.boundary_offsets, verified.boundaries):
        style = KEPT if piece.kept else REJECTED
        text.append(printable(piece.words), style)
        if piece.boundary is not None:
            sign = "✓" if piece.boundary.accepted else "✗"
            text.append(f"⟨{piece.boundary.p:.2f}{sign}⟩", NOTE)
        text.append(printable(piece.breaks), style)


def final_text(answer: Answer) -> Text:
    """The answer's text and nothing else, coloured by author where two models wrote it."""
    drafter, target = by_author(answer)
    if answer.trace.method != "parse":
        return Text(printable(answer.text))
    return Text.assemble((printable(drafter), KEPT), (printable(target), TARGET))


def summary(answer: Answer) -> Text:
    """One line: tokens by origin, and seconds by phase."""
    trace = answer.trace
    if trace.method == "parse":
        tokens = f"kept {trace.committed_tokens} of {trace.draft_tokens} tokens, wrote {trace.target_tokens}"
    else:
        tokens = f"wrote {answer.completion_tokens} tokens"
    if answer.finish_reason == "length":
        tokens += ", the most allowed"
    spent = trace.seconds.to_dict()
    total = spent.pop("total")
    phases = ", ".join(f"{name} {seconds:.2f}" for name, seconds in spent.items() if seconds)
    return Text(f"{tokens} · {total:.2f} s: {phases}", NOTE)


class Tail:
    """The last lines of a text that fit on the screen: an answer longer than the terminal is followed at its end."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self.text, options.update(height=None), pad=False)
        for line in lines[-max(1, console.height - 1) :]:
            yield from line
            yield Segment.line()


def watch(events: Iterator[Event], *, keep: bool, console: Console | None = None) -> Iterator[Event]:
    """Pass the events on and show on stderr how the answer is decided.

    With `keep` the finished view stays on the terminal (the answer itself goes elsewhere); without it the view is
    wiped, because the answer will be printed to the same terminal.
    """
    console = console or Console(stderr=True, highlight=False)
    view = View()
    with Live(console=console, transient=True, refresh_per_second=12, vertical_overflow="crop") as live:
        for event in events:
            view = advance(view, event)
            live.update(Tail(picture(view)))
            yield event
    if keep:
        console.print(picture(view))

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from parse_engine.render.terminal import Tail, View, advance, final_text, picture, printable, summary, watch
from parse_engine.trace import Committed, Continuing, Drafting, Verified

from .samples import BOUNDARIES, DRAFT, ENDS, KEPT, REWRITTEN, events, parse_answer, plain_answer


def styled(text: Text, style: str) -> str:
    return "".join(text.plain[span.start : span.end] for span in text.spans if span.style == style)


def test_the_picture_before_and_after_the_verdict() -> None:
    view = advance(View(), Drafting(DRAFT))
    assert styled(picture(view), "dim italic") == DRAFT

    view = advance(view, Verified(DRAFT, BOUNDARIES, ENDS))
    text = picture(view)
    assert styled(text, "green") == KEPT
    assert styled(text, "dim red strike") == DRAFT[len(KEPT) :]
    assert "⟨0.97✓⟩" in text.plain
    assert "⟨0.21✗⟩" in text.plain

    view = advance(advance(view, Committed(KEPT + "Baking", end=len(KEPT + "Baking"))), Continuing(" 12 more"))
    assert styled(picture(view), "green") == KEPT + "Baking"
    assert styled(picture(view), "bold cyan") == " 12 more"


def test_a_confidence_stands_on_the_line_that_it_judged() -> None:
    """It stood at the beginning of the next line."""
    view = View("one\ntwo", Verified("one\ntwo", BOUNDARIES[2:4], (4, 7)))
    assert picture(view).plain == "one⟨0.88✓⟩\ntwo⟨0.21✗⟩"


def test_one_model_alone_is_shown_plain() -> None:
    assert picture(advance(View(), Continuing("hello"))).plain == "hello"


def test_final_text_is_the_answer_coloured_by_author() -> None:
    text = final_text(parse_answer())
    assert text.plain == KEPT + REWRITTEN
    assert styled(text, "green") == KEPT
    assert styled(text, "bold cyan") == REWRITTEN
    assert not final_text(plain_answer("target")).spans


def test_summary_is_one_line() -> None:
    line = summary(parse_answer()).plain
    assert line == "kept 24 of 44 tokens, wrote 21 · 1.30 s: draft 0.31, verify 0.12, continue 0.84"
    assert len(line) <= 80
    assert summary(plain_answer("target")).plain == "wrote 7 tokens, the most allowed · 0.90 s: continue 0.90"


def test_a_model_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2Jb\r\n\tc\x7f") == "a␛[2Jb␍\n\tc␡"
    assert "\x1b" not in final_text(plain_answer("draft", "\x1b[31mred")).plain


def test_a_long_answer_is_followed_at_its_end() -> None:
    console = Console(file=io.StringIO(), width=20, height=5)
    console.print(Tail(Text("\n".join(str(n) for n in range(100)))))
    assert console.file.getvalue().split() == ["96", "97", "98", "99"]  # type: ignore[attr-defined]


def test_watching_passes_every_event_on_and_leaves_the_view_only_when_asked() -> None:
    answer = parse_answer()
    for keep in (False, True):
        console = Console(file=io.StringIO(), force_terminal=True, width=200, height=40)
        assert list(watch(events(answer), keep=keep, console=console)) == list(events(answer))
        written = console.file.getvalue()  # type: ignore[attr-defined]
        assert written.rstrip("\n").endswith("\x1b[2K") != keep

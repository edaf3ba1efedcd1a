from __future__ import annotations

import dataclasses
import re
from html import escape, unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from parse_engine.config import BoundaryRule, Judge, ParseConfig, choices
from parse_engine.render.html import JUDGES, RULES, About, frame, page, phases
from parse_engine.trace import Seconds

from .samples import BOUNDARIES, DRAFT, KEPT, QUESTION, REWRITTEN, parse_answer, plain_answer

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Reader(HTMLParser):
    """Checks that tags are nested properly, and collects the text under each class."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.tags: list[str] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((tuple(f"{tag}.{cls}" for tag, cls in self.open), data))

    def under(self, place: str) -> str:
        return "".join(text for path, text in self.texts if place in path)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


def test_the_draft_is_shown_exactly_with_its_kept_and_rejected_parts() -> None:
    reader = read(page([(QUESTION, parse_answer())]))
    draft = [(p, t) for p, t in reader.texts if "div.text" in p]
    assert "".join(t for p, t in draft if p[-1] == "ins.kept") == KEPT
    assert "".join(t for p, t in draft if p[-1] == "del.rejected") == DRAFT[len(KEPT) :]


def test_every_boundary_has_a_marker_with_its_numbers() -> None:
    html = page([(QUESTION, parse_answer())])
    assert html.count("<button") == len(BOUNDARIES)
    assert html.count('class="chip yes">.') == 3 + 1  # and one in the key
    assert "Prefix 4: not accepted" in html
    assert "0.210" in html
    assert "none" in html  # the label mass of the last one


def lines_of_draft(html: str) -> list[str]:
    """The draft's lines as they are seen: a mark stands on the line in which it is."""
    draft = re.search(r'<section aria-label="Draft">.*?<div class="text">(.*?)</div>', html, re.DOTALL)
    assert draft is not None
    marks = re.sub(r"<button[^>]*>(\.\d\d).*?</button>", r"[\1]", draft[1], flags=re.DOTALL)
    return re.sub(r"<[^>]*>", "", marks).split("\n")


def test_a_confidence_stands_on_the_line_that_it_judged() -> None:
    """It stood at the beginning of the next line, because a prefix ends behind its line break."""
    answer = parse_answer()
    text = "one\ntwo  \n\nthree"
    ends = (text.index("two"), text.index("three"), len(text))
    trace = dataclasses.replace(
        answer.trace, draft_text=text, committed_text="one\n", boundaries=BOUNDARIES[2:], boundary_offsets=ends
    )
    html = page([("q", dataclasses.replace(answer, trace=trace))])
    assert lines_of_draft(html) == ["one[.88]", "two  [.21]", "", "three[.08]"]


def test_models_judge_and_thresholds_are_on_the_page() -> None:
    about = About("big <one>", "small at http://x", ParseConfig(threshold=0.6, full_threshold=0.7))
    reader = read(page([(QUESTION, parse_answer())], about))
    shown = reader.under("dl.about")
    for words in (
        "big <one>",
        "small at http://x",
        "prompt: asks the target whether a prefix is correct",
        "0.6: a prefix passes",
        "0.7: a finished draft as a whole passes",
        "the prefixes before the first that fails",
    ):
        assert words in shown
    alone = read(page([(QUESTION, plain_answer("target"))], About("big", None, ParseConfig()))).under("dl.about")
    assert alone.strip() == "Targetbig"


@pytest.mark.parametrize(("words", "name"), [(JUDGES, Judge), (RULES, BoundaryRule)])
def test_every_judge_and_rule_has_its_words(words: dict[str, str], name: Any) -> None:
    assert set(words) == set(choices(name))


def test_the_whole_draft_is_called_so() -> None:
    html = page([(QUESTION, parse_answer())])
    assert "<strong>Whole draft: not accepted</strong>" in html
    assert "Prefix 5" not in html


def test_the_answer_is_told_apart_by_author_in_words() -> None:
    reader = read(page([(QUESTION, parse_answer())]))
    answer = [(p[-1], t) for p, t in reader.texts if "div.text answer" in p]
    assert answer == [("span.who", "drafter"), ("span.kept", KEPT), ("span.who", "target"), ("span.target", REWRITTEN)]


def test_texts_are_escaped() -> None:
    evil = "</div><script>alert('x')</script><img src=x onerror=y>&amp;"
    answer = parse_answer(warnings=(evil,))
    trace = dataclasses.replace(answer.trace, draft_text=evil, committed_text="", boundaries=(), boundary_offsets=())
    reader = read(page([(evil, dataclasses.replace(answer, text=evil, trace=trace))]))
    assert "script" not in reader.tags
    assert "img" not in reader.tags
    places = ("div.text", "del.rejected", "span.target", "p.warning")
    assert all(evil in reader.under(place) for place in places)


def test_the_page_loads_nothing() -> None:
    html = page([(QUESTION, parse_answer()), ("other", plain_answer("target"))])
    assert not re.search(r"https?:|url\(|@import|<link|<script|src=", html)
    assert "prefers-color-scheme: dark" in html


def test_a_page_without_judged_answers_has_no_draft_section() -> None:
    html = page([("one", plain_answer("target")), ("two", plain_answer("draft"))])
    assert 'aria-label="Draft"' not in html
    assert "stopped at the token limit" in html
    read(html)


def test_whitespace_of_texts_survives() -> None:
    text = "  def f():\n\n      return 1\n"
    reader = read(page([("q", plain_answer("target", text))]))
    assert [t for p, t in reader.texts if p[-1:] == ("span.target",) and "div.text answer" in p] == [text]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (Seconds(draft=1, verify=1, continue_=1, total=4), ["draft", "verify", "continue", "other"]),
        (Seconds(draft=1, verify=0, continue_=1, total=2.01), ["draft", "continue"]),
        (Seconds(), []),
    ],
)
def test_phases_of_the_time_bar(seconds: Seconds, expected: list[str]) -> None:
    bar = phases(seconds)
    assert [phase.name for phase in bar] == expected
    assert not bar or sum(phase.share for phase in bar) == pytest.approx(1, abs=0.01)


def test_a_notebook_shows_the_page_of_an_answer_in_a_frame() -> None:
    """In a frame of its own, so that the page's styles do not become the notebook's."""
    answer = parse_answer(warnings=('a "quoted" <b>word</b>',))
    shown = answer._repr_html_()
    assert shown == frame(answer)
    [inner] = re.findall(r'^<iframe srcdoc="([^"]*)"[^>]*></iframe>$', shown)
    assert unescape(inner) == page([(None, answer)])
    assert "Question" not in inner
    assert escape(REWRITTEN) in unescape(inner)

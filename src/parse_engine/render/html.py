"""One self-contained HTML page that shows how answers came about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape

import jinja2

from parse_engine.config import BoundaryRule, Judge, ParseConfig
from parse_engine.render.parts import Piece, by_author, kept_characters, pieces
from parse_engine.trace import Answer, Seconds

METHODS = {
    "parse": "method parse: the drafter wrote, the target judged",
    "target": "method target: the target wrote alone",
    "draft": "method draft: the drafter wrote alone",
}


_FRAME = "width: 100%; height: 40em; border: 0"

# In words, what is known of them by a name.
JUDGES: dict[Judge, str] = {
    "prompt": "asks the target whether a prefix is correct",
    "likelihood": "reads the target's probabilities of the draft",
    "head": "reads the target's hidden states, as it was fitted to",
    "fused": "reads verdicts, probabilities and hidden states, as it was fitted to",
}
RULES: dict[BoundaryRule, str] = {
    "first-failure": "the prefixes before the first that fails",
    "last-success": "the draft up to the last prefix that passes",
}


@dataclass(frozen=True)
class About:
    """How all answers of a page were made."""

    target: str
    drafter: str | None
    config: ParseConfig
    """How drafts were judged."""
    profile: str | None = None
    """What calibrated it."""


@dataclass(frozen=True)
class Phase:
    """One stretch of the time bar."""

    name: str
    seconds: float
    share: float
    """Of the total, in [0, 1]."""


def page(items: Sequence[tuple[str | None, Answer]], about: About | None = None) -> str:
    """The page of these prompts, as people should read them (None: not known), and their answers.

    It loads nothing from anywhere, and all texts are escaped.
    """
    return template("page.html").render(
        about=about,
        judges=JUDGES,
        rules=RULES,
        sections=[_section(number, *item) for number, item in enumerate(items, start=1)],
        judged=any(answer.trace.method == "parse" for _, answer in items),
    )


@cache
def template(name: str, *packages: str) -> jinja2.Template:
    """A page from the templates of `packages` and, after theirs, of this one, which has what all pages share."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(each) for each in (*packages, "parse_engine.render")]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)


def frame(answer: Answer) -> str:
    """The page of one answer as a part of another page, a notebook for instance, whose styles it leaves alone."""
    content = escape(page([(None, answer)]))
    return f'<iframe srcdoc="{content}" title="How this answer came about" style="{_FRAME}"></iframe>'


def _section(number: int, prompt: str | None, answer: Answer) -> dict[str, object]:
    trace = answer.trace
    drafter, target = by_author(answer)
    return {
        "number": number,
        "prompt": prompt,
        "answer": answer,
        "trace": trace,
        "method": METHODS[trace.method],
        "runs": list(_runs(pieces(trace.draft_text, kept_characters(trace), trace.boundary_offsets, trace.boundaries))),
        "named": [
            "Whole draft" if boundary.end == trace.draft_tokens else f"Prefix {number}"
            for number, boundary in enumerate(trace.boundaries, start=1)
        ],
        "accepted": sum(boundary.accepted for boundary in trace.boundaries),
        "drafter": drafter,
        "target": target,
        "phases": phases(trace.seconds),
    }


def _runs(cut: Iterator[Piece]) -> Iterator[tuple[bool, list[tuple[int, Piece]]]]:
    """Neighbouring pieces of the same fate together, each with the number of its boundary (0: none)."""
    run: list[tuple[int, Piece]] = []
    number = 0
    for piece in cut:
        if run and run[-1][1].kept != piece.kept:
            yield run[-1][1].kept, run
            run = []
        number += piece.boundary is not None
        run.append((number if piece.boundary is not None else 0, piece))
    if run:
        yield run[-1][1].kept, run


def phases(seconds: Seconds) -> list[Phase]:
    """The phases that took time, and what no phase accounts for as `other` when it is more than 1 % of the total."""
    spent = {"draft": seconds.draft, "verify": seconds.verify, "continue": seconds.continue_}
    total = max(seconds.total, sum(spent.values()))
    rest = total - sum(spent.values())
    if rest > 0.01 * total:
        spent["other"] = rest
    return [Phase(name, value, value / total) for name, value in spent.items() if value > 0]

"""A report as one self-contained HTML page."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from parse_engine.bench.records import Record
from parse_engine.bench.report.choice import choose
from parse_engine.bench.report.document import Report
from parse_engine.bench.report.pairs import graded, group
from parse_engine.bench.report.plots import plots
from parse_engine.bench.report.summary import is_total_rejection
from parse_engine.render.html import template
from parse_engine.render.parts import by_author, kept_characters, pieces


def to_html(report: Report) -> str:
    """The page of a report. It loads nothing from anywhere, and all texts are escaped."""
    groups = group(report.run.records)
    drawn = {
        task: plots(methods, {method: graded(groups[task][method]) for method in methods})
        for task, methods in report.summary.items()
    }
    questions = choose(report.run.records)
    shown = sum(len(asked.records) for asked in questions)
    return template("report.html", "parse_engine.bench.report").render(
        report=report,
        plots={task: [(plot.title, Markup(plot.svg), plot.caption) for plot in own] for task, own in drawn.items()},
        questions=[(asked, [_answer(record) for record in asked.records]) for asked in questions],
        methods=list(dict.fromkeys(record.method for record in report.run.records)),
        shown=shown,
        left_out=len(report.run.records) - shown,
    )


def _answer(record: Record) -> dict[str, Any]:
    """What the page shows of one answer."""
    trace = record.answer.trace
    judged = trace.method != "draft" and trace.draft_text
    # SpecReason's steps alternate, and its trace does not tell which text is whose.
    mixed = trace.method != "draft" and trace.committed_tokens and not trace.committed_text
    drafter, target = ("", "") if mixed else by_author(record.answer)
    cut = pieces(trace.draft_text, kept_characters(trace), trace.boundary_offsets, trace.boundaries) if judged else ()
    return {
        "record": record,
        "trace": trace,
        "verdict": _verdict(record),
        "rejected": is_total_rejection(trace),
        "pieces": list(cut),
        "drafter": drafter,
        "target": target,
        "mixed": record.answer.text if mixed else "",
    }


def _verdict(record: Record) -> str:
    if record.grade is None:
        return "not graded"
    if record.grade.right is None:
        return "no key"
    return "right" if record.grade.right else "wrong"

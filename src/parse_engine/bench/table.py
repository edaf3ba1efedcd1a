"""The summary of a run as tables for people, narrow enough for a terminal of 80 columns."""

from __future__ import annotations

from rich import box
from rich.table import Table

from parse_engine.bench.stats import Interval
from parse_engine.bench.summary import MethodSummary, Summary

MISSING = "-"
COLUMNS = ("method", "accuracy", "difference", "tokens/s", "speed", "kept")
CAPTION = (
    "difference: percentage points against the target; speed: the target's seconds over the method's; "
    "in brackets the 95 % intervals; kept: share of tokens from the draft"
)


def summary_tables(summary: Summary) -> list[Table]:
    """A table per task, with a row per method."""
    tables = []
    for task, methods in summary.items():
        answers = max(figures.answers for figures in methods.values())
        table = Table(*COLUMNS, title=f"{task}, {answers} questions", box=box.SIMPLE, pad_edge=False, caption=CAPTION)
        for method, figures in methods.items():
            table.add_row(method, *_cells(figures))
        tables.append(table)
    return tables


def _cells(figures: MethodSummary) -> list[str]:
    return [
        f"{figures.accuracy:.1%}",
        _with_interval(figures.accuracy_diff, figures.accuracy_diff_ci, "{:+.1f}", scale=100),
        _figure(figures.tokens_per_s, "{:.1f}"),
        _with_interval(figures.speed_ratio, figures.speed_ratio_ci, "{:.2f}"),
        _figure(figures.kept_share, "{:.0%}"),
    ]


def _figure(value: float | None, form: str) -> str:
    return MISSING if value is None else form.format(value)


def _with_interval(value: float | None, interval: Interval | None, form: str, scale: float = 1) -> str:
    if value is None or interval is None:
        return MISSING
    low, high = (form.format(scale * end) for end in interval)
    return f"{form.format(scale * value)} [{low}, {high}]"

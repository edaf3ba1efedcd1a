"""The figures as sheets of text cells, the same for the terminal, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from parse_engine.bench.report.compare import SAME_ACCURACY, SAME_SPEED, Change
from parse_engine.bench.report.pairs import TOO_FEW
from parse_engine.bench.report.stats import Interval
from parse_engine.bench.report.summary import BASELINE, CategorySummary, MethodSummary

MISSING = "-"
INTERVAL = "with the 95 % interval over questions alone"
NOTES = {
    "difference": f"percentage points against the target, {INTERVAL}",
    "similarity": "the target's mean log-likelihood of the answers, in nats per token (this task has no key)",
    "speed": f"the target's seconds over the method's, {INTERVAL}",
    "kept": "share of tokens from the draft",
    "gained": "answers right where the target's are wrong",
    "lost": "the reverse",
    "p": "exact McNemar test",
    "unparsed": "no final answer was found",
    "cut": "by max_tokens",
    "mixed wrong": "wrong where target and drafter alone are both right",
    "first p50": "seconds to the first final text",
    "all p50": "seconds to the end of the answer",
    "draft": "mean seconds per answer, as verify and continue",
    "passes": "verify passes per answer",
    "rows": "token rows through the target per answer",
    "rejected": "drafts of which nothing was kept",
    "each": "seconds that one of them cost",
    "share": "of all seconds, what they cost together",
}
CHANGE_NOTES = {
    "difference": f"percentage points against the other run, {INTERVAL}",
    "speed": f"the speed over the target in this run over that in the other one, {INTERVAL}",
    "verdict": f"same: the whole interval lies within {100 * SAME_ACCURACY:g} points, or {SAME_SPEED:.0%} of the "
    f"speed; slower and faster: all of it lies beyond these {SAME_SPEED:.0%}",
}


@dataclass(frozen=True)
class Sheet:
    """A table of texts; the first column names the row."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str


def main_sheet(task: str, methods: Mapping[str, MethodSummary]) -> Sheet:
    """What matters most of a task: accuracy and speed."""
    columns = ("method", "accuracy", "difference", "similarity", "tokens/s", "speed", "kept")
    rows = [
        (
            method,
            figure(figures.accuracy, "{:.1%}"),
            with_interval(figures.accuracy_diff, figures.accuracy_diff_ci, "{:+.1f}", scale=100),
            figure(figures.similarity, "{:.3f}"),
            figure(figures.tokens_per_s, "{:.1f}"),
            with_interval(figures.speed_ratio, figures.speed_ratio_ci, "{:.2f}"),
            figure(figures.kept_share, "{:.0%}"),
        )
        for method, figures in methods.items()
    ]
    answers = max(figures.answers for figures in methods.values())
    sheet = _sheet(f"{task}: {answers} answer{'s' * (answers != 1)} per method", columns, rows)
    lacking = any(_lacks_interval(figures) for method, figures in methods.items() if method != BASELINE)
    return replace(sheet, caption=f"{sheet.caption}; {TOO_FEW}") if lacking else sheet


def detail_sheets(methods: Mapping[str, MethodSummary]) -> list[Sheet]:
    """The rest of a task's figures."""
    sheets = [_errors(methods), _seconds(methods), _drafts(methods)]
    return [sheet for sheet in sheets if sheet.rows]


def category_sheet(methods: Mapping[str, MethodSummary]) -> Sheet | None:
    """Accuracy, and the speed against the target, by category; None for a task without categories."""
    names = dict.fromkeys(name for figures in methods.values() for name in figures.categories)
    rows = []
    for name in names:
        parts = [figures.categories.get(name) for figures in methods.values()]
        answers = max(part.answers for part in parts if part)
        rows.append((name, str(answers), *map(_category_cell, parts)))
    caption = "accuracy, and how many times faster than the target"
    return Sheet("By category", ("category", "answers", *methods), tuple(rows), caption) if rows else None


def change_sheet(changes: Iterable[Change], other: str) -> Sheet:
    """What differs from another run, by task and method."""
    rows = [
        (
            f"{change.task} {change.method}",
            with_interval(change.accuracy_diff, change.accuracy_diff_ci, "{:+.1f}", scale=100),
            with_interval(change.speed_ratio, change.speed_ratio_ci, "{:.2f}"),
            change.verdict or MISSING,
        )
        for change in changes
    ]
    return _sheet(f"Compared with {other}", ("method", "difference", "speed", "verdict"), rows, CHANGE_NOTES)


def figure(value: float | None, form: str) -> str:
    return MISSING if value is None else form.format(value)


def with_interval(value: float | None, interval: Interval | None, form: str, scale: float = 1) -> str:
    if value is None:
        return MISSING
    ends = [] if interval is None else [form.format(scale * end) for end in interval]
    return form.format(scale * value) + (f" [{', '.join(ends)}]" if ends else "")


def seconds_form(methods: Mapping[str, MethodSummary]) -> str:
    """Three decimals where no method takes a second, else two."""
    return "{:.3f}" if max(figures.seconds_per_answer or 0.0 for figures in methods.values()) < 1 else "{:.2f}"


def _errors(methods: Mapping[str, MethodSummary]) -> Sheet:
    columns = ("method", "gained", "lost", "p", "unparsed", "cut", "mixed wrong")
    rows = [
        (
            method,
            figure(figures.gained, "{:d}"),
            figure(figures.lost, "{:d}"),
            _p_value(figures.mcnemar_p),
            figure(figures.unparsed, "{:.1%}"),
            figure(figures.cut, "{:.1%}"),
            figure(figures.mixed_wrong, "{:.1%}"),
        )
        for method, figures in methods.items()
    ]
    return _sheet("Errors", columns, rows)


def _seconds(methods: Mapping[str, MethodSummary]) -> Sheet:
    form = seconds_form(methods)
    columns = ("method", "first p50", "p95", "all p50", "p95", "p99", "draft", "verify", "continue")
    rows = [
        (
            method,
            figure(figures.ttft_p50, form),
            figure(figures.ttft_p95, form),
            figure(figures.latency_p50, form),
            figure(figures.latency_p95, form),
            figure(figures.latency_p99, form),
            figure(figures.draft_seconds, form),
            figure(figures.verify_seconds, form),
            figure(figures.continue_seconds, form),
        )
        for method, figures in methods.items()
        if figures.seconds_per_answer is not None
    ]
    return _sheet("Seconds", columns, rows)


def _drafts(methods: Mapping[str, MethodSummary]) -> Sheet:
    """Of the methods that judge drafts."""
    form = seconds_form(methods)
    columns = ("method", "passes", "rows", "rejected", "each", "share")
    rows = [
        (
            method,
            figure(figures.verify_passes, "{:.1f}"),
            figure(figures.computed_tokens, "{:.0f}"),
            figure(figures.total_rejections, "{:.1%}"),
            figure(figures.rejection_seconds, form),
            figure(figures.rejection_cost, "{:.1%}"),
        )
        for method, figures in methods.items()
        if figures.total_rejections is not None
    ]
    return _sheet("Drafts", columns, rows)


def _lacks_interval(figures: MethodSummary) -> bool:
    pairs = (figures.accuracy_diff, figures.accuracy_diff_ci), (figures.speed_ratio, figures.speed_ratio_ci)
    return any(value is not None and interval is None for value, interval in pairs)


def _p_value(p: float | None) -> str:
    return "<0.001" if p is not None and p < 0.001 else figure(p, "{:.3f}")


def _category_cell(part: CategorySummary | None) -> str:
    if part is None:
        return MISSING
    accuracy = [] if part.accuracy is None else [f"{part.accuracy:.0%}"]
    return " ".join([*accuracy, figure(part.speed_ratio, "{:.2f}x")])


def _sheet(
    title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], notes: Mapping[str, str] = NOTES
) -> Sheet:
    """Without the columns that no row fills."""
    used = [n for n in range(len(columns)) if n == 0 or any(row[n] != MISSING for row in rows)]
    names = tuple(columns[n] for n in used)
    caption = "; ".join(f"{name}: {notes[name]}" for name in names if name in notes)
    return Sheet(title, names, tuple(tuple(row[n] for n in used) for row in rows), caption)

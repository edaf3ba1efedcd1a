"""A report as Markdown: its tables, for pull requests and logs."""

from __future__ import annotations

import re

from parse_engine.bench.report.document import Report
from parse_engine.bench.report.sheets import Sheet


def to_markdown(report: Report) -> str:
    """The report without its plots and single answers."""
    parts = [f"# {_plain(report.title)}"]
    parts += [f"> {_plain(warning)}" for warning in report.warnings]
    parts.append("\n".join(f"- {_plain(name)}: {_plain(value)}" for name, value in [*report.facts, *report.more_facts]))
    if report.comparison:
        parts += _sheet(report.comparison.sheet)
        parts += [f"> {_plain(remark)}" for remark in report.comparison.remarks]
        lines = report.comparison.differences
        parts.append(
            "\n".join(["The runs differ in more than what is compared:", "", *(f"- {_plain(line)}" for line in lines)])
            if lines
            else "The runs share machine, versions, data and settings."
        )
    for sheets in report.sheets.values():
        for sheet in sheets:
            parts += _sheet(sheet)
    return "\n\n".join(parts) + "\n"


def _sheet(sheet: Sheet) -> list[str]:
    rules = [":--", *("--:" for _ in sheet.columns[1:])]
    rows = [sheet.columns, rules, *sheet.rows]
    table = "\n".join(f"| {' | '.join(map(_plain, row))} |" for row in rows)
    return [f"## {_plain(sheet.title)}", table, *([_plain(sheet.caption)] if sheet.caption else [])]


def _plain(text: str) -> str:
    """On one line, and nothing in it is markup."""
    return re.sub(r"([\\`*_<>|#])", r"\\\1", " ".join(text.split()))

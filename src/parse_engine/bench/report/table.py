"""Sheets as tables for people, narrow enough for a terminal of 80 columns."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from parse_engine.bench.report.sheets import Sheet, detail_sheets, main_sheet
from parse_engine.bench.report.summary import Summary

LONGEST = 16
"""Most characters of a method's name that the first column shows."""


def summary_tables(summary: Summary) -> list[Table]:
    """A table per task, with a row per method."""
    return [to_table(main_sheet(task, methods)) for task, methods in summary.items()]


def report_tables(summary: Summary) -> list[Table]:
    """All tables of every task but those by category, which have no room here."""
    return [
        to_table(sheet)
        for task, methods in summary.items()
        for sheet in (main_sheet(task, methods), *detail_sheets(methods))
    ]


def to_table(sheet: Sheet) -> Table:
    """Methods whose settings are too long for the first column get a number there and their names below the table."""
    long = [row[0] for row in sheet.rows if len(row[0]) > LONGEST and ":" in row[0]]
    short = {name: f"{name.partition(':')[0]} [{number}]" for number, name in enumerate(long, 1)}
    table = Table(
        title=Text(sheet.title),
        caption=Text("\n".join([sheet.caption, *(f"[{number}] {name}" for number, name in enumerate(long, 1))])),
        box=box.SIMPLE,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        title_justify="left",
        caption_justify="left",
    )
    for number, column in enumerate(sheet.columns):
        if number == 0:
            table.add_column(column, overflow="fold")
        else:
            table.add_column(column, no_wrap=True, justify="right")
    for name, *cells in sheet.rows:
        table.add_row(*(Text(cell) for cell in (short.get(name, name), *cells)))
    return table

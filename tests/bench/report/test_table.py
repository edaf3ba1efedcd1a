from __future__ import annotations

import io

import pytest
from rich.console import Console

from parse_engine.bench.report.sheets import category_sheet, detail_sheets, main_sheet
from parse_engine.bench.report.summary import summarize
from parse_engine.bench.report.table import report_tables, summary_tables

from .samples import record, small_run

LONG = "parse+ngram:delta=32:judge=likelihood"


def printed(tables: list[object], width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(*tables, sep="\n")
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_one_table_per_task_says_what_matters_most() -> None:
    lines = printed([*summary_tables(summarize(small_run()))])
    assert lines[0] == "sums: 4 answers per method"
    assert "method accuracy difference tokens/s speed kept" in lines
    assert "target 75.0% +0.0 4.0 1.00 0%" in lines
    assert "parse 75.0% +0.0 6.0 1.49 60%" in lines


def test_intervals_are_of_questions_alone_and_too_few_are_said() -> None:
    few = main_sheet("sums", summarize(small_run())["sums"])
    assert few.caption.endswith(
        "; fewer than 12 questions, or than 5 batches of answers in flight together, are too few for an interval"
    )
    records = [record(f"q/{n}", method, right=n > 4) for n in range(12) for method in ("target", "parse")]
    enough = main_sheet("sums", summarize(records)["sums"])
    assert enough.rows[1][2:5] == ("+0.0 [+0.0, +0.0]", "10.0", "1.00 [1.00, 1.00]")
    assert "too few" not in enough.caption
    assert enough.caption.count("with the 95 % interval over questions alone") == 2


@pytest.mark.parametrize("width", [80, 120])
def test_all_tables_fit_the_terminal_whatever_a_method_is_called(width: int) -> None:
    records = [record(f"q/{n}", LONG, right=n > 7, boundaries=[(1, n > 3)], drafted=1) for n in range(20)]
    records += [record(f"q/{n}", "target", right=n < 19) for n in range(20)]
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(*report_tables(summarize(records)), sep="\n")
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert text.count("[1]") == 8  # in four tables, and below each of them
    assert text.count(f"[1] {LONG}") == 4


def test_square_brackets_in_names_are_no_markup() -> None:
    lines = printed([*summary_tables(summarize([record("q/0", "[red]x", task="[bold]y")]))])
    assert lines[0] == "[bold]y: 1 answer per method"
    assert any(line.startswith("[red]x") for line in lines)


def test_columns_that_nothing_fills_are_left_out() -> None:
    """A task without a key, without the target: no accuracy, nothing to compare with, and a similarity so called."""
    sheet = main_sheet("chat", summarize([record("q/0", "parse", right=None, similarity=-0.25)])["sums"])
    assert sheet.columns == ("method", "similarity", "tokens/s", "kept")
    assert sheet.rows == (("parse", "-0.250", "10.0", "0%"),)
    assert "log-likelihood" in sheet.caption
    assert "difference" not in sheet.caption


def test_categories_have_a_row_each() -> None:
    assert category_sheet(summarize(small_run())["sums"]) is None
    records = [record(f"q/{n}", m, category="law") for n in range(2) for m in ("target", "parse")]
    sheet = category_sheet(summarize([*records, record("q/2", "parse", category="art")])["sums"])
    assert sheet is not None
    assert sheet.columns == ("category", "answers", "target", "parse")
    assert sheet.rows == (("law", "2", "100% 1.00x", "100% 1.00x"), ("art", "1", "-", "100% -"))


def test_a_p_value_too_small_to_print_is_not_nought() -> None:
    records = [record(f"q/{n}", method, right=method == "target") for n in range(20) for method in ("target", "draft")]
    errors = detail_sheets(summarize(records)["sums"])[0]
    assert [row[3] for row in errors.rows] == ["1.000", "<0.001"]

"""`parse-engine bench report` and `bench export`: what a run measured, for people and for publishing."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from parse_engine.bench.report.document import Report


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Directory of a run, finished or not.")],
    other: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN_DIR2", help="An earlier run: what has changed since, by the speeds over the target in each?"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where report.md and report.html go. Not given: RUN_DIR.")
    ] = None,
    json: Annotated[
        bool, typer.Option(help="Print one JSON object on stdout: task -> method -> figures (or changes).")
    ] = False,
) -> None:
    """Print the figures of a run as tables, and write report.md and report.html."""
    from parse_engine.bench.report.compare import changes_to_plain, compare
    from parse_engine.bench.report.document import make_report
    from parse_engine.bench.report.load import load_run
    from parse_engine.bench.report.summary import to_plain
    from parse_engine.bench.report.write import write_report

    loaded = load_run(run)
    loaded_other = load_run(other) if other is not None else None
    made = make_report(loaded, loaded_other)
    written = write_report(made, output or run)
    if json:
        plain = to_plain(made.summary) if loaded_other is None else changes_to_plain(compare(loaded, loaded_other))
        typer.echo(json_format.dumps(plain))
    else:
        _print(made)
    for warning in made.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if made.comparison:
        for remark in made.comparison.remarks:
            typer.echo(f"warning: {remark}", err=True)
        for line in made.comparison.differences:
            typer.echo(f"warning: the runs differ in {line}", err=True)
    typer.echo(f"written: {', '.join(map(str, written))}", err=True)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="Directory of a finished run.")],
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="Records go beside it, to records/FILE.jsonl.")],
) -> None:
    """Write what of a run may be published: figures, where they come from, and records without texts."""
    from parse_engine.bench.report.export import export
    from parse_engine.bench.report.load import load_run

    records = export(load_run(run), file)
    typer.echo(f"written: {file}, {records}", err=True)


def _print(report: Report) -> None:
    from rich.console import Console

    from parse_engine.bench.report.table import report_tables, to_table

    tables = report_tables(report.summary)
    if report.comparison:
        tables.append(to_table(report.comparison.sheet))
    Console().print(*tables, sep="\n")

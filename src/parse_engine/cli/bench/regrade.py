"""`parse-engine bench regrade`: today's graders on the answers of a run."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parse_engine.cli.settings import listed

if TYPE_CHECKING:
    from parse_engine.bench.regrade import Regraded


def regrade(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN_DIR", help="Directory of a run, finished or not; or FILE.json of an exported one."),
    ],
    tasks: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Its tasks to grade again; one of your own by its path. Not given: all."),
    ] = None,
    json: Annotated[bool, typer.Option(help="Print one JSON object on stdout: task -> method -> changes.")] = False,
) -> None:
    """Grade the answers of a run again, with the graders of this version, and write its records and figures anew.

    No model answers. What the grades were before is kept in run.json, under `regraded`.
    """
    from parse_engine.bench.regrade import regrade

    verdicts = regrade(run, None if tasks is None else listed(tasks))
    if json:
        plain = {task: {name: own.to_dict() for name, own in methods.items()} for task, methods in verdicts.items()}
        typer.echo(json_format.dumps(plain))
    else:
        _print(verdicts)


def _print(verdicts: Mapping[str, Mapping[str, Regraded]]) -> None:
    from rich.console import Console

    from parse_engine.bench.report.sheets import Sheet
    from parse_engine.bench.report.table import to_table

    columns = ("method", "answers", "right before", "right", "now right", "now wrong")
    for task, methods in verdicts.items():
        rows = tuple((method, *map(str, own.to_dict().values())) for method, own in methods.items())
        Console().print(to_table(Sheet(f"{task}, graded again", columns, rows, "now right: was wrong before")))

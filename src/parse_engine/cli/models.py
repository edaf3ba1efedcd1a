"""`parse-engine models`: what can be pulled and what is here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from parse_engine.models.resolve import ModelStatus

NOTE = "Q4_K_M and Q4_1 are 4-bit weights. The original comes from the hub: parse-engine pull ORG/NAME."


def models(
    json_: Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON object per model.")] = False,
) -> None:
    """List the known models: size, licence, origin, and whether each one is on this machine."""
    from rich.console import Console

    from parse_engine.models.resolve import known_models

    known = known_models()
    if json_:
        for model in known:
            typer.echo(json.dumps(_row(model)))
    else:
        console = Console()
        console.print(_table(known))
        for model in known:
            console.print(f"{model.name}: {model.origin}", markup=False, highlight=False)
        console.print(NOTE, highlight=False)


def _row(model: ModelStatus) -> dict[str, Any]:
    return {
        "name": model.name,
        "size": model.size,
        "licence": model.licence,
        "here": model.here,
        "path": None if model.path is None else str(model.path),
        "origin": model.origin,
    }


def _table(known: list[ModelStatus]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Name", no_wrap=True)
    table.add_column("Size", justify="right", no_wrap=True)
    table.add_column("Licence", overflow="fold")
    table.add_column("Here", no_wrap=True)
    for model in known:
        here = Text("yes", style="green") if model.here else Text("no", style="dim")
        table.add_row(Text(model.name), readable_size(model.size), Text(model.licence), here)
    return table


def readable_size(size: int) -> str:
    """Bytes in decimal units with three digits: `988 MB`, `1.52 GB`; a dash when the size is not known (0)."""
    if size == 0:
        return "–"
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.3g} {unit}"

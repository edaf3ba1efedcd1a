"""`parse-engine pull`: fetch models."""

from __future__ import annotations

from typing import Annotated

import typer


def pull(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Known models, as `parse-engine models` lists.")
    ],
    quiet: Annotated[bool, typer.Option("--quiet", metavar="", help="Show no progress.")] = False,
) -> None:
    """Fetch models and print where each one is, one path per line."""
    from parse_engine.models.pull import pull as fetch

    for name in names:
        typer.echo(fetch(name, quiet=quiet))

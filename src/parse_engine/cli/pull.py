"""`parse-engine pull`: fetch models."""

from __future__ import annotations

from typing import Annotated

import typer


def pull(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="Known models, as `parse-engine models` lists, or hub ids.")
    ],
    quiet: Annotated[bool, typer.Option("--quiet", metavar="", help="Show no progress.")] = False,
) -> None:
    """Fetch models and print where each one is, one path per line; on stderr what a known model was made from."""
    from parse_engine.models.catalog import find
    from parse_engine.models.pull import pull as fetch

    for name in names:
        typer.echo(fetch(name, quiet=quiet))
        if (known := find(name)) is not None and not quiet:
            typer.echo(f"{known.name}: {known.origin}", err=True)

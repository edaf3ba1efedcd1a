"""`parse-engine profile show`: what a profile promises, from what data, and the trade-off."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parse_engine.files import check_places, write_atomically

if TYPE_CHECKING:
    from parse_engine.profile import Profile

app = typer.Typer(help="Look at profiles (`parse-engine calibrate` makes them).", no_args_is_help=True)


@app.command("show")
def show(
    profile: Annotated[Path, typer.Argument(metavar="FILE", help="A profile.")],
    json: Annotated[bool, typer.Option(help="Print it as one JSON object on stdout.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write FILE, one page with the plot.")] = None,
) -> None:
    """Say what a profile promises, from what data, and what the settings on the way cost and gain."""
    from parse_engine.profile import Profile

    check_places({"the profile": profile}, {"the page": html})
    loaded = Profile.load(profile)
    if html is not None:
        from parse_engine.bench.report.plotting import require_matplotlib

        require_matplotlib(f"the page {html}")
    print_profile(loaded, json=json)
    if html is not None:
        from parse_engine.calibration.page import page
        from parse_engine.errors import ConfigError

        try:
            write_atomically(html, page(loaded))
        except OSError as error:
            raise ConfigError(f"the page {html} cannot be written: {error.strerror}. Give another place.") from None
        typer.echo(f"written: {html}", err=True)


def print_profile(profile: Profile, *, json: bool) -> None:
    """As tables, or as JSON without the weights."""
    from parse_engine.profile import to_plain

    if json:
        from json import dumps

        typer.echo(dumps(to_plain(profile)))
        return
    from rich.console import Console

    from parse_engine.calibration.tables import promise_lines, ranking_table, tried_table

    console = Console(highlight=False)
    for line in promise_lines(profile):
        console.print(line, soft_wrap=True)
    console.print(ranking_table(profile))
    if profile.tried:
        console.print(tried_table(profile))

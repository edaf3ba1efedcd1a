"""The command line. Subcommands import their machinery when they run, so `--help` does not import torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

import parse_engine
from parse_engine.cli import bench, calibrate, check, generate, models, profile, pull
from parse_engine.errors import ParseEngineError, did_you_mean

app = typer.Typer(
    help="A drafter writes the answer, the target judges its prefixes in one pass and finishes it (PARSE).",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"parse-engine {parse_engine.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", metavar="", help="Print the version and stop.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


app.command("generate")(generate.generate)
app.command("check")(check.check)
app.command("calibrate")(calibrate.calibrate)
app.add_typer(profile.app, name="profile")
app.command("pull")(pull.pull)
app.command("models")(models.models)
app.add_typer(bench.app, name="bench")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 all went well, 1 a failed check, 2 an error of the user's, 130 Ctrl-C.

    `args` are the words after the program's name; by default the process's own.
    """
    try:
        code = app(args, prog_name="parse-engine", standalone_mode=False)
    except ParseEngineError as error:
        _fail(str(error))
    except typer.TyperException as error:
        _fail(_usage_message(error))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code)


def _usage_message(error: typer.TyperException) -> str:
    """Typer's message; an unknown option, which typer has no public class for, gets a did-you-mean like everything."""
    given = getattr(error, "option_name", "")
    possible = getattr(error, "possibilities", None)
    return f"{error.message}.{did_you_mean(given, possible)}" if possible else error.format_message()


def _fail(message: str) -> NoReturn:
    if message:  # a group called without a subcommand has printed its help and says nothing
        typer.secho("error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
        typer.echo(" ".join(message.splitlines()), err=True)
    sys.exit(2)

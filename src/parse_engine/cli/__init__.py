"""The command line. Subcommands import their machinery when they run, so `--help` does not import torch."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer

import parse_engine
from parse_engine.cli import bench, calibrate, check, generate, models, profile, pull
from parse_engine.cli.streams import NOBODY_READS, open_closed_streams, print_error, status_after
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
    """Run the command line and exit.

    0: all went well. 1: a check failed, or some prompts. 2: an error of the user's. 130: Ctrl-C. 141: nobody reads the
    output any more. `args` are the words after the program's name; by default the process's own.
    """
    open_closed_streams()
    warnings.filterwarnings("ignore", "these models give", UserWarning)  # `generate` says so in a line of its own
    stdout = sys.stdout
    try:
        status = _run(args)
        sys.stdout.flush()
    except OSError as error:
        status = status_after(error)
    except SystemExit as stopped:
        if not isinstance(stopped.__context__, BrokenPipeError):
            raise
        # rich ends the program where its reader has gone; typer, which puts another stdout there, at any broken pipe
        status = NOBODY_READS if sys.stdout is stdout else status_after(stopped.__context__)
    sys.exit(status)


def _run(args: Sequence[str] | None) -> int:
    """The exit status; an error is said here."""
    try:
        return app(args, prog_name="parse-engine", standalone_mode=False) or 0
    except ParseEngineError as error:
        print_error(str(error))
    except typer.TyperException as error:
        if message := _usage_message(error):  # a group called without a subcommand has printed its help
            print_error(message)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    return 2


def _usage_message(error: typer.TyperException) -> str:
    """Typer's message; an unknown option, which typer has no public class for, gets a did-you-mean like everything."""
    given = getattr(error, "option_name", "")
    possible = getattr(error, "possibilities", None)
    return f"{error.message}.{did_you_mean(given, possible)}" if possible else error.format_message()

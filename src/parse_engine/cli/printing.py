"""Answers on stdout, with their warnings and summaries on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from json import dumps

import typer

from parse_engine.cli.answers import Outcome
from parse_engine.cli.prompts import Entry
from parse_engine.cli.results import row
from parse_engine.cli.settings import GenerateSettings
from parse_engine.errors import BackendError
from parse_engine.trace import Answer


class Printer:
    """Prints what becomes of the prompts, in their order."""

    def __init__(self, entries: Sequence[Entry], settings: GenerateSettings):
        self._settings = settings
        self._left = list(reversed(entries))
        self._came: dict[Entry, Outcome] = {}
        self._texts = 0

    def add(self, entry: Entry, outcome: Outcome) -> None:
        """Print it when all before it are printed."""
        self._came[entry] = outcome
        while self._left and self._left[-1] in self._came:
            entry = self._left.pop()
            self._print(entry, self._came.pop(entry))

    def rest(self) -> None:
        """Print what came and still waits for others, because these will not come any more."""
        for entry in reversed(self._left):
            if entry in self._came:
                self._print(entry, self._came.pop(entry))

    def _print(self, entry: Entry, outcome: Outcome) -> None:
        settings = self._settings
        if isinstance(outcome, Answer):
            for warning in outcome.trace.warnings:
                typer.echo(f"warning: {entry.named(warning)}", err=True)
        if settings.json:
            typer.echo(dumps(row(entry, outcome), ensure_ascii=False))
        elif settings.output is None:
            self._print_text(outcome)
        if isinstance(outcome, Answer) and settings.watched:
            from rich.console import Console

            from parse_engine.render.terminal import summary

            Console(stderr=True, highlight=False).print(summary(outcome), soft_wrap=True)

    def _print_text(self, outcome: Outcome) -> None:
        """The text, or what there is of it, as it is; on a terminal coloured by who wrote it."""
        if not isinstance(outcome, Answer) and not (isinstance(outcome, BackendError) and outcome.text):
            return
        if self._texts:
            typer.echo()
        self._texts += 1
        if not isinstance(outcome, Answer) or not sys.stdout.isatty():
            typer.echo(outcome.text)
            return
        from rich.console import Console

        from parse_engine.render.terminal import final_text

        Console(highlight=False).print(final_text(outcome), soft_wrap=True)

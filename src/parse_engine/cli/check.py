"""`parse-engine check`: whether the settings work together, in seconds."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from json import dumps
from typing import Any, get_type_hints

import typer

from parse_engine.cli.generate import generate
from parse_engine.cli.settings import given, merge

MARKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def check(ctx: typer.Context, **flags: Any) -> None:
    """Say whether prefixes will be shared in one step, labels and templates usable, and what to change.

    Takes the flags of `generate`. No weights are loaded. The exit status is 1 when something fails.
    """
    settings = merge(given(ctx, but={"prompt", "config"}), flags["config"])
    names = settings.names()
    from parse_engine.preflight import check

    findings = check(*names, settings.judging, settings.most_tokens, settings.loading, settings.loaded_profile())
    if settings.json:
        for finding in findings:
            typer.echo(dumps(asdict(finding), ensure_ascii=False))
    else:
        from rich.console import Console
        from rich.markup import escape

        console = Console(highlight=False)
        for finding in findings:
            advice = f"\n     {finding.advice}" if finding.advice else ""
            console.print(f"{MARKS[finding.level]} {escape(finding.text + advice)}", soft_wrap=True)
    if any(finding.level == "fail" for finding in findings):
        raise typer.Exit(1)


# What typer reads: a command line that works with `generate` can be checked as it stands.
check.__signature__ = inspect.signature(generate, eval_str=True)  # type: ignore[attr-defined]
check.__annotations__ = get_type_hints(generate, include_extras=True)

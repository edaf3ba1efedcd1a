"""`parse-engine bench pass`: what one verification costs."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from parse_engine.cli.settings import DEFAULTS, GenerateSettings, setting
from parse_engine.config import Attention, Backend


def measure_pass(
    target: Annotated[str, setting("target", metavar="NAME")] = DEFAULTS.target,
    prompt_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens of the prompt.")] = 150,
    draft_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens of the draft.")] = 256,
    prefixes: Annotated[int, typer.Option(metavar="N", min=1, help="Prefixes judged, the full answer included.")] = 16,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, help="Times each way is measured.")] = 5,
    dtype: Annotated[str, setting("dtype", metavar="NAME")] = DEFAULTS.dtype,
    device: Annotated[str, setting("device", metavar="NAME")] = DEFAULTS.device,
    backend: Annotated[Backend, setting("backend")] = DEFAULTS.backend,
    target_url: Annotated[str | None, setting("target_url", metavar="URL")] = None,
    target_option: Annotated[list[str] | None, setting("target_option", metavar="KEY=VALUE")] = None,
    attention: Annotated[Attention, setting("attention")] = DEFAULTS.attention,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the figures and their origin.")] = None,
    json: Annotated[bool, typer.Option(help="Print one JSON object on stdout.")] = False,
) -> None:
    """Time the verification pass: packed (on vLLM: one step), with the draft's likelihood and with that alone, plain
    causal ones, a pass per prefix without and with a cache.

    Median seconds of each way, and how many times the packed pass it takes.
    """
    from parse_engine.backends.load import load_pair
    from parse_engine.bench.passes import measure
    from parse_engine.bench.provenance import check_writable, describe, with_models, write_json

    if output is not None:
        check_writable(output)
    origin = describe()
    settings = GenerateSettings(
        target=target,
        method="target",
        backend=backend,
        target_url=target_url,
        target_option=tuple(target_option or ()),
        dtype=dtype,
        device=device,
        attention=attention,
    )
    model, _ = load_pair(settings.names()[0], None, **settings.loading)
    figures = measure(
        model,
        prompt_tokens=prompt_tokens,
        draft_tokens=draft_tokens,
        prefixes=prefixes,
        repeats=repeats,
    )
    if output is not None:
        write_json(output, {**with_models(origin, model, None), "figures": figures})
    if json:
        typer.echo(json_format.dumps(figures))
    else:
        _print_pass(figures)


def _print_pass(figures: Mapping[str, float]) -> None:
    from rich.console import Console
    from rich.table import Table

    from parse_engine.bench.passes import pass_rows

    sizes = "{prompt_tokens} prompt and {draft_tokens} draft tokens, {prefixes} prefixes: {rows} rows"
    table = Table("pass", "seconds", "times packed", title=sizes.format_map(figures))
    for label, seconds, times in pass_rows(figures):
        table.add_row(label, f"{seconds:.4f}", f"{times:.2f}")
    Console().print(table)

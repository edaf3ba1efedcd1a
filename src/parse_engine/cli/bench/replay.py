"""`parse-engine bench replay`: what the methods cost with models of any size, on random weights."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from parse_engine.cli.settings import DEFAULTS, GenerateSettings, listed, setting
from parse_engine.config import Attention, Backend

if TYPE_CHECKING:
    from parse_engine.bench.report.summary import MethodSummary

Unfitted = Literal["prompt", "likelihood"]
"""The judges of a replay. Others are fitted to two models, and there is nothing to fit to in random weights."""


def replay(
    pair: Annotated[
        str, typer.Option(metavar="NAME", help="Shapes: embedded, 0.6b+8b, 1.7b+32b, 8b+70b.")
    ] = "embedded",
    target_shape: Annotated[
        str | None, typer.Option(metavar="SHAPE", help="Another target: a known shape, or a model's config.json.")
    ] = None,
    draft_shape: Annotated[str | None, typer.Option(metavar="SHAPE", help="Another drafter.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Recorded acceptance: embedded, gsm8k, a run's directory, its records (.jsonl), a profile (.json). "
            "Not given: embedded for the pair embedded, else gsm8k.",
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            metavar="A,B", help="Methods: target, draft, cascade, specreason, parse. Not given: all in the profile."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Answers of the profile to replay.")] = None,
    repeats: Annotated[int, typer.Option(metavar="N", min=1, help="Times each answer is replayed.")] = 1,
    concurrency: Annotated[int, typer.Option(metavar="N", min=1, help="Answers in flight (vllm).")] = 1,
    judge: Annotated[
        Unfitted,
        typer.Option(
            help="`prompt` asks the target, which takes suffixes; `likelihood` does not. None is fitted here."
        ),
    ] = "prompt",
    backend: Annotated[Backend, setting("backend")] = DEFAULTS.backend,
    dtype: Annotated[str, setting("dtype", metavar="NAME")] = DEFAULTS.dtype,
    device: Annotated[str, setting("device", metavar="NAME")] = DEFAULTS.device,
    attention: Annotated[Attention, setting("attention")] = DEFAULTS.attention,
    target_option: Annotated[list[str] | None, setting("target_option", metavar="KEY=VALUE")] = None,
    draft_option: Annotated[list[str] | None, setting("draft_option", metavar="KEY=VALUE")] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a record per answer and where the figures come from.")
    ] = None,
    json: Annotated[bool, typer.Option(help="Print one JSON object on stdout: method -> figures.")] = False,
) -> None:
    """Time the phases of PARSE and of its rivals with random weights of given shapes, following a recorded profile.

    Nothing is fetched and nothing is judged: drafts, verdicts and answers have the lengths that were recorded.
    """
    from parse_engine.bench.replay.load import Pair
    from parse_engine.bench.replay.profile import read_profile
    from parse_engine.bench.replay.run import replay
    from parse_engine.bench.replay.shapes import find_shape, pair_shapes

    settings = GenerateSettings(
        backend=backend,
        dtype=dtype,
        device=device,
        attention=attention,
        judge=judge,
        target_option=tuple(target_option or ()),
        draft_option=tuple(draft_option or ()),
    )
    target, draft = pair_shapes(pair)
    shapes = find_shape(target_shape or target), find_shape(draft_shape or draft)
    recorded = read_profile(profile or ("embedded" if pair == "embedded" else "gsm8k")).first(limit)
    figures = replay(
        Pair(*shapes, settings.loading, concurrency),
        recorded,
        None if methods is None else listed(methods),
        repeats=repeats,
        config=settings.judging,
        output=output,
    )
    if json:
        typer.echo(json_format.dumps({method: row.to_dict() for method, row in figures.items()}))
    else:
        _print_figures(f"target {shapes[0].name}, drafter {shapes[1].name}, {len(recorded.answers)} answers", figures)


def _print_figures(title: str, figures: Mapping[str, MethodSummary]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    caption = (
        "draft, verify, continue: seconds per answer; speed: the target's seconds over the method's, with the 95 % "
        "interval; rows: tokens computed by the target, per answer"
    )
    columns = ("method", "draft", "verify", "continue", "tokens/s", "speed", "rows")
    table = Table(*columns, title=title, caption=caption, box=box.SIMPLE, pad_edge=False)
    for method, row in figures.items():
        phases = (row.draft_seconds, row.verify_seconds, row.continue_seconds)
        low, high = row.speed_ratio_ci or (0.0, 0.0)
        interval = f" [{low:.2f}, {high:.2f}]" if low < high else ""
        table.add_row(
            method,
            *(_figure(seconds, "{:.4f}") for seconds in phases),
            _figure(row.tokens_per_s, "{:.1f}"),
            _figure(row.speed_ratio, "{:.2f}") + interval,
            _figure(row.computed_tokens, "{:.0f}"),
        )
    Console().print(table)


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)

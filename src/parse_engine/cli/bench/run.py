"""`parse-engine bench run`: every method answers every question in the same run."""

from __future__ import annotations

import asyncio
import dataclasses
import json as json_format
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parse_engine.backends.load import names_of
from parse_engine.cli.settings import DEFAULTS, GenerateSettings, calibrated, given, listed, setting
from parse_engine.config import DEFAULT_MAX_TOKENS, Backend, BoundaryRule, Judge

if TYPE_CHECKING:
    from parse_engine.bench.directory import Run
    from parse_engine.bench.methods import Method
    from parse_engine.bench.report.summary import Summary
    from parse_engine.profile import Profile

TASKS_HELP = (
    "Tasks: tiny, gsm8k, math500, humaneval+, mbpp+, mmlu-redux, mmlu-pro, gpqa, mt-bench, spec-bench, FILE.jsonl."
)
METHODS_HELP = (
    "Methods: target, draft, cascade, specreason, parse; on vLLM also ngram and draft-model, alone or as parse+ngram. "
    "Settings follow a colon: parse:delta=32:judge=likelihood."
)


def run(
    ctx: typer.Context,
    tasks: Annotated[str, typer.Option(metavar="A,B", help=TASKS_HELP)] = "tiny",
    methods: Annotated[str, typer.Option(metavar="A,B", help=METHODS_HELP)] = "target,draft,parse",
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="Questions per task. All of them when not given.")
    ] = None,
    target: Annotated[str, setting("target", metavar="NAME")] = DEFAULTS.target,
    draft: Annotated[str, setting("draft", metavar="NAME")] = DEFAULTS.draft,
    backend: Annotated[Backend, setting("backend")] = DEFAULTS.backend,
    target_url: Annotated[str | None, setting("target_url", metavar="URL")] = None,
    draft_url: Annotated[str | None, setting("draft_url", metavar="URL")] = None,
    timeout: Annotated[float, setting("timeout", metavar="S")] = DEFAULTS.timeout,
    label_ids: Annotated[bool, setting("label_ids", metavar="")] = DEFAULTS.label_ids,
    target_option: Annotated[list[str] | None, setting("target_option", metavar="KEY=VALUE")] = None,
    draft_option: Annotated[list[str] | None, setting("draft_option", metavar="KEY=VALUE")] = None,
    concurrency: Annotated[int, typer.Option(metavar="N", min=1, help="Answers in flight.")] = 1,
    max_tokens: Annotated[
        int,
        typer.Option(metavar="N", help="Most tokens of an answer. Questions without room for them are left out."),
    ] = DEFAULT_MAX_TOKENS,
    profile: Annotated[str | None, setting("profile", metavar="FILE")] = None,
    judge: Annotated[Judge, setting("judge")] = DEFAULTS.judge,
    threshold: Annotated[float, setting("threshold", metavar="P")] = DEFAULTS.threshold,
    full_threshold: Annotated[float, setting("full_threshold", metavar="P")] = DEFAULTS.full_threshold,
    delta: Annotated[int, setting("delta", metavar="N")] = DEFAULTS.delta,
    max_prefixes: Annotated[int, setting("max_prefixes", metavar="N")] = DEFAULTS.max_prefixes,
    boundary_rule: Annotated[BoundaryRule, setting("boundary_rule")] = DEFAULTS.boundary_rule,
    device: Annotated[str, setting("device", metavar="NAME")] = DEFAULTS.device,
    dtype: Annotated[str, setting("dtype", metavar="NAME")] = DEFAULTS.dtype,
    temperature: Annotated[float, setting("temperature", metavar="T")] = DEFAULTS.temperature,
    top_p: Annotated[float, setting("top_p", metavar="P")] = DEFAULTS.top_p,
    seed: Annotated[int | None, setting("seed", metavar="N")] = None,
    stop: Annotated[list[str] | None, setting("stop", metavar="TEXT")] = None,
    accuracy_only: Annotated[
        bool,
        typer.Option(help="Write once what methods have in common, drafts and plain greedy answers; tell no speeds."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Keep the run in DIR. One that was stopped goes on there; one that ended can get more methods, tasks "
            "and questions.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option(help="Print one JSON object on stdout: task -> method -> figures.")] = False,
) -> None:
    """Answer every question with every method in the same run, grade, and compare with the target alone.

    The task's data is read from the directory that PARSE_ENGINE_DATA names; `tiny` needs none.
    """
    from parse_engine.bench.methods import parse_method
    from parse_engine.bench.tasks import load_task

    chosen = [parse_method(name) for name in listed(methods)]
    loaded = [load_task(name) for name in listed(tasks)]
    flags = given(ctx, but={"tasks", "methods", "limit", "accuracy_only", "output", "json"})
    method = "parse" if any(each.needs_drafter for each in chosen) else "target"
    settings = GenerateSettings.from_mapping({**flags, "method": method})
    known = settings.loaded_profile()
    target_name, draft_name = names_of(settings.target, settings.draft, settings.target_url, settings.draft_url)
    from parse_engine.bench.directory import open_run
    from parse_engine.bench.lineup import check_methods

    check_methods(chosen, None if draft_name is None else str(draft_name), settings.loading)
    provenance = {
        "target": target_name,
        "draft": draft_name,
        "config": dataclasses.asdict(settings.judging),
        "profile": known and {"file": settings.profile, "sha256": known.digest},
        "concurrency": concurrency,
        "accuracy_only": accuracy_only,
        **settings.loading,
    }
    names = [method.name for method in chosen]
    own = {name: value for name, value in flags.items() if name in calibrated()}
    with open_run(
        loaded,
        names,
        limit,
        settings.sampling,
        output,
        concurrency=concurrency,
        timed=not accuracy_only,
        settings=provenance,
    ) as opened:
        summary = asyncio.run(_run(opened, settings, chosen, known, own))
    if json:
        from parse_engine.bench.report.summary import to_plain

        typer.echo(json_format.dumps(to_plain(summary)))
    else:
        from rich.console import Console

        from parse_engine.bench.report.table import summary_tables

        Console().print(*summary_tables(summary), sep="\n")


async def _run(
    run: Run,
    settings: GenerateSettings,
    methods: Sequence[Method],
    profile: Profile | None,
    given: Mapping[str, Any],
) -> Summary:
    from parse_engine.bench.lineup import load_lineup
    from parse_engine.bench.run import answer

    lineup = load_lineup(
        methods,
        *settings.names(),
        settings.judging,
        run.concurrency,
        profile=profile,
        given=given,
        share=not run.timed,
        **settings.loading,
    )
    try:
        return await answer(run, lineup)
    except asyncio.CancelledError:
        if run.output is not None:
            typer.echo(f"stopped; what was answered is kept in {run.output}, the same command goes on", err=True)
        raise
    finally:
        await lineup.close()

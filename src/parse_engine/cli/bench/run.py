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
from parse_engine.cli.settings import DEFAULTS, GenerateSettings, calibrated, given, listed
from parse_engine.config import DEFAULT_MAX_TOKENS, Backend, BoundaryRule, Judge

if TYPE_CHECKING:
    from parse_engine.bench.directory import Run
    from parse_engine.bench.methods import Method
    from parse_engine.bench.report.summary import Summary
    from parse_engine.profile import Profile

TASKS_HELP = "tiny, gsm8k, math500, humaneval+, mbpp+, mmlu-redux, mmlu-pro, gpqa, mt-bench, spec-bench, FILE.jsonl."
METHODS_HELP = (
    "target, draft, cascade, specreason, parse; on vLLM also ngram and draft-model, alone or as parse+ngram. Settings "
    "follow a colon: parse:delta=32:judge=likelihood."
)


def _brief(panel: str, metavar: str, text: str) -> Any:
    """An option shared with `generate`, whose help explains it; here a line must do."""
    return typer.Option(metavar=metavar, help=text, rich_help_panel=panel)


MODELS, SERVERS, JUDGING, SAMPLING = "Models", "Servers", "Judging", "Sampling"


def run(
    ctx: typer.Context,
    tasks: Annotated[str, typer.Option(metavar="A,B", help=TASKS_HELP)] = "tiny",
    methods: Annotated[str, typer.Option(metavar="A,B", help=METHODS_HELP)] = "target,draft,parse",
    limit: Annotated[int | None, typer.Option(metavar="N", help="Questions per task; not given: all.")] = None,
    concurrency: Annotated[int, typer.Option(metavar="N", min=1, help="Answers in flight.")] = 1,
    accuracy_only: Annotated[
        bool,
        typer.Option("--accuracy-only", metavar="", help="Write once what methods share; no speeds."),
    ] = False,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the run; a stopped one goes on, an ended one can grow.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", metavar="", help="Print task -> method -> figures.")] = False,
    target: Annotated[str, _brief(MODELS, "NAME", "A known name, a hub id or a folder.")] = DEFAULTS.target,
    draft: Annotated[str, _brief(MODELS, "NAME", "The same for the drafter.")] = DEFAULTS.draft,
    backend: Annotated[Backend, _brief(MODELS, "NAME", "hf, vllm or http.")] = DEFAULTS.backend,
    target_url: Annotated[str | None, _brief(SERVERS, "URL", "Server with the target.")] = None,
    draft_url: Annotated[str | None, _brief(SERVERS, "URL", "Server with the drafter.")] = None,
    timeout: Annotated[float, _brief(SERVERS, "S", "Longest wait for a piece.")] = DEFAULTS.timeout,
    label_ids: Annotated[bool, _brief(SERVERS, "", "Read labels by their ids.")] = DEFAULTS.label_ids,
    target_option: Annotated[list[str] | None, _brief(MODELS, "KEY=VALUE", "An engine argument of vLLM.")] = None,
    draft_option: Annotated[list[str] | None, _brief(MODELS, "KEY=VALUE", "The same for the drafter.")] = None,
    device: Annotated[str, _brief(MODELS, "NAME", "auto, cpu, cuda or cuda:N (hf).")] = DEFAULTS.device,
    dtype: Annotated[str, _brief(MODELS, "NAME", "Or float32, bfloat16, float16.")] = DEFAULTS.dtype,
    profile: Annotated[str | None, _brief(JUDGING, "FILE", "Judges and settings that calibrate has made.")] = None,
    judge: Annotated[Judge, _brief(JUDGING, "NAME", "prompt, likelihood, head, fused.")] = DEFAULTS.judge,
    threshold: Annotated[float, _brief(JUDGING, "P", "Least confidence in a prefix.")] = DEFAULTS.threshold,
    full_threshold: Annotated[float, _brief(JUDGING, "P", "The same for a full answer.")] = DEFAULTS.full_threshold,
    delta: Annotated[int, _brief(JUDGING, "N", "Tokens between judged prefixes.")] = DEFAULTS.delta,
    max_prefixes: Annotated[int, _brief(JUDGING, "N", "Most of them per draft.")] = DEFAULTS.max_prefixes,
    boundary_rule: Annotated[BoundaryRule, _brief(JUDGING, "RULE", "Or last-success.")] = DEFAULTS.boundary_rule,
    max_tokens: Annotated[int, _brief(SAMPLING, "N", "Most tokens of an answer.")] = DEFAULT_MAX_TOKENS,
    temperature: Annotated[float, _brief(SAMPLING, "T", "0 is greedy.")] = DEFAULTS.temperature,
    top_p: Annotated[float, _brief(SAMPLING, "P", "Mass of the tokens to sample from.")] = DEFAULTS.top_p,
    seed: Annotated[int | None, _brief(SAMPLING, "N", "Makes sampling repeatable.")] = None,
    stop: Annotated[list[str] | None, _brief(SAMPLING, "TEXT", "Ends an answer; can be repeated.")] = None,
) -> None:
    """Answer every question with every method in the same run, grade, and compare with the target alone.

    The task's data is read from the directory that PARSE_ENGINE_DATA names; `tiny` needs none.

    The options on models, servers, judging and sampling are those of `generate`, whose help explains them.
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

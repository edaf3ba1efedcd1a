"""`parse-engine calibrate`: fit judges to a pair of models, and test which settings may be promised."""

from __future__ import annotations

import asyncio
import importlib.util
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parse_engine.cli.settings import DEFAULTS, GenerateSettings, given, listed, merge, setting
from parse_engine.config import DEFAULT_MAX_TOKENS, Backend, choices
from parse_engine.config import Judge as JudgeName
from parse_engine.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from parse_engine.bench.tasks.base import Question, Task
    from parse_engine.calibration.collect import Plan
    from parse_engine.calibration.run import Promise
    from parse_engine.profile import Profile

DEFAULT_CONCURRENCY = 16
OWN = {
    "tasks",
    "limit",
    "judges",
    "max_loss",
    "confidence",
    "fit_share",
    "deltas",
    "answers",
    "output",
    "cases",
    "json",
}


def calibrate(
    ctx: typer.Context,
    tasks: Annotated[
        str,
        typer.Option(metavar="A,B", help="Tasks to calibrate on, as in bench run. Nothing may be reported on them."),
    ] = "tiny-calibration",
    limit: Annotated[int, typer.Option(metavar="N", min=2, help="Questions per task.")] = 450,
    judges: Annotated[
        str, typer.Option(metavar="A,B", help="Judges to fit: prompt, likelihood, head, fused. They share the risk.")
    ] = "fused",
    max_loss: Annotated[
        float, typer.Option(metavar="SHARE", help="Most questions that the target has right and PARSE wrong.")
    ] = 0.01,
    confidence: Annotated[float, typer.Option(metavar="P", help="Probability with which the promise holds.")] = 0.95,
    fit_share: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of the questions for fitting; the others are for testing.")
    ] = 0.25,
    deltas: Annotated[
        str, typer.Option(metavar="A,B", help="Tokens between judged prefixes that are tried.")
    ] = "16,32,64",
    answers: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Answers of the target to every prefix: the greedy one, others drawn."),
    ] = 1,
    target: Annotated[str, setting("target", metavar="NAME")] = DEFAULTS.target,
    draft: Annotated[str, setting("draft", metavar="NAME")] = DEFAULTS.draft,
    backend: Annotated[Backend, setting("backend")] = DEFAULTS.backend,
    target_url: Annotated[str | None, setting("target_url", metavar="URL")] = None,
    draft_url: Annotated[str | None, setting("draft_url", metavar="URL")] = None,
    timeout: Annotated[float, setting("timeout", metavar="S")] = DEFAULTS.timeout,
    label_ids: Annotated[bool, setting("label_ids", metavar="")] = DEFAULTS.label_ids,
    target_option: Annotated[list[str] | None, setting("target_option", metavar="KEY=VALUE")] = None,
    draft_option: Annotated[list[str] | None, setting("draft_option", metavar="KEY=VALUE")] = None,
    concurrency: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Most answers in flight, as they will be in use: costs depend on it."),
    ] = DEFAULT_CONCURRENCY,
    max_tokens: Annotated[
        int,
        typer.Option(metavar="N", help="Most tokens of an answer. Questions without room for them are left out."),
    ] = DEFAULT_MAX_TOKENS,
    stop: Annotated[list[str] | None, setting("stop", metavar="TEXT")] = None,
    max_prefixes: Annotated[int, setting("max_prefixes", metavar="N")] = DEFAULTS.max_prefixes,
    device: Annotated[str, setting("device", metavar="NAME")] = DEFAULTS.device,
    dtype: Annotated[str, setting("dtype", metavar="NAME")] = DEFAULTS.dtype,
    output: Annotated[Path, typer.Option(metavar="FILE", help="The profile.")] = Path("parse-engine.profile"),
    cases: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where the cases are kept; what was stopped goes on there. Not given: beside the profile, FILE.cases.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option(help="Print the profile as one JSON object on stdout.")] = False,
) -> None:
    """Fit judges to a pair of models, and test on other questions which settings may be promised.

    Answers every question with the target and with the drafter, judges every draft in one pass, lets the target go on
    from every prefix, and so knows what any setting would do. The profile is for generate and bench.
    """
    from parse_engine.bench.provenance import check_writable
    from parse_engine.bench.tasks import load_task

    require_fitting()
    promise = _promise(listed(judges), max_loss, confidence, fit_share)
    settings = merge({"concurrency": DEFAULT_CONCURRENCY, **given(ctx, but=OWN), "method": "parse"}, None)
    check_writable(output)
    asked = [
        (task, question) for name in listed(tasks) for task in [load_task(name)] for question in task.questions(limit)
    ]
    profile = asyncio.run(
        _calibrate(
            settings,
            asked,
            _plan(settings, deltas, answers),
            promise,
            cases or output.with_name(f"{output.name}.cases"),
        )
    )
    profile.save(output)
    from parse_engine.cli.profile import print_profile

    print_profile(profile, json=json)
    typer.echo(f"written: {output}", err=True)


async def _calibrate(
    settings: GenerateSettings,
    questions: list[tuple[Task, Question]],
    plan: Plan,
    promise: Promise,
    folder: Path,
) -> Profile:
    from parse_engine.backends.load import effective
    from parse_engine.bench.provenance import describe, describe_models, open_folder
    from parse_engine.calibration.collect import usable
    from parse_engine.calibration.run import calibrate
    from parse_engine.engine import AsyncEngine

    engine = AsyncEngine.load(
        *settings.names(),
        config=settings.judging,
        concurrency=settings.concurrency,
        **effective(*settings.names(), settings.loading),
    )
    try:
        assert engine.drafter is not None
        same: dict[str, Any] = {
            "models": [engine.target.fingerprint, engine.drafter.fingerprint],
            "plan": asdict(plan),
            "settings": settings.loading,
        }
        with open_folder(folder / "calibrate.json", {**describe(), **same}, list(same)):
            asked, left_out = usable(engine, questions, plan)
            for said in left_out:
                typer.echo(f"warning: {said}", err=True)
            _warn_if_few(asked, promise)
            provenance = {**describe(), "models": describe_models(engine.target, engine.drafter)}
            about = {"backend": settings.backend, "dtype": settings.dtype, "provenance": provenance}
            return await calibrate(engine, asked, plan, promise, folder, about)
    except asyncio.CancelledError:
        typer.echo(f"stopped; what was done is kept in {folder}, the same command goes on", err=True)
        raise
    finally:
        await engine.close()


def _promise(judges: list[str], max_loss: float, confidence: float, fit_share: float) -> Promise:
    known = choices(JudgeName)
    for name in judges:
        if name not in known:
            raise ConfigError(f"unknown judge '{name}'.{did_you_mean(name, known)} Judges: {', '.join(known)}.")
    if not judges or len(set(judges)) < len(judges):
        raise ConfigError(
            f"judges is '{','.join(judges)}'; it must be one or more different ones of {', '.join(known)}."
        )
    for name, share in (("max_loss", max_loss), ("confidence", confidence), ("fit_share", fit_share)):
        if not 0 < share < 1:
            raise ConfigError(f"{name} is {share:g}; it must be between 0 and 1.")
    from parse_engine.calibration.run import Promise

    return Promise(judges=tuple(judges), max_loss=max_loss, confidence=confidence, fit_share=fit_share)  # type: ignore[arg-type]


def _plan(settings: GenerateSettings, deltas: str, answers: int) -> Plan:
    from parse_engine.calibration.collect import Plan

    if not listed(deltas) or not all(text.isdecimal() and int(text) > 0 for text in listed(deltas)):
        raise ConfigError(
            f"deltas is '{deltas}'; it must be numbers of tokens with commas between, 16,32 for instance."
        )
    chosen = tuple(sorted({int(text) for text in listed(deltas)}))
    sampling = replace(settings.sampling, max_tokens=settings.most_tokens)
    return Plan(sampling, chosen, settings.max_prefixes, answers)


def _warn_if_few(questions: list[tuple[Task, Question]], promise: Promise) -> None:
    """Say beforehand when no promise can come of it."""
    from parse_engine.calibration.guarantee import fewest_questions
    from parse_engine.calibration.run import drawn

    needed = fewest_questions(promise.max_loss, (1 - promise.confidence) / len(promise.judges))
    tested = sum(drawn(task.name, question.id) >= promise.fit_share for task, question in questions)
    if tested < needed:
        typer.echo(
            f"warning: {tested} questions are left for testing, and a loss of at most {promise.max_loss:.1%} cannot be "
            f"promised at {promise.confidence:.0%} with fewer than {needed}. Raise --limit or --max-loss.",
            err=True,
        )


def require_fitting() -> None:
    """Raise ConfigError, before any model answers, where the fitting library is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise ConfigError("calibration needs scikit-learn. Install it: pip install 'parse-engine[calibrate]'.")

"""`parse-engine bench judge`: how well a target tells right prefixes from wrong ones."""

from __future__ import annotations

import asyncio
import json as json_format
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parse_engine.cli.settings import DEFAULTS, GenerateSettings, listed, setting
from parse_engine.config import AUTO, Backend, ParseConfig, choices
from parse_engine.config import Judge as JudgeName
from parse_engine.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from parse_engine.bench.judging.figures import JudgeFigures

SHOWN = 0.5  # the threshold of the table: the default one


def judge(
    data: Annotated[
        str, typer.Option(metavar="NAME", help="Solutions: processbench-gsm8k or processbench-math.")
    ] = "processbench-gsm8k",
    judges: Annotated[
        str, typer.Option(metavar="A,B", help="Judges: prompt, likelihood; with a profile also head, fused.")
    ] = "prompt,likelihood",
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=2, help="Solutions. All of them when not given.")
    ] = None,
    target: Annotated[str, setting("target", metavar="NAME")] = DEFAULTS.target,
    draft: Annotated[
        str | None, typer.Option(metavar="NAME", help="The drafter, for judges that read its probabilities.")
    ] = None,
    profile: Annotated[str | None, setting("profile", metavar="FILE")] = None,
    backend: Annotated[Backend, setting("backend")] = DEFAULTS.backend,
    target_url: Annotated[str | None, setting("target_url", metavar="URL")] = None,
    draft_url: Annotated[str | None, setting("draft_url", metavar="URL")] = None,
    target_option: Annotated[list[str] | None, setting("target_option", metavar="KEY=VALUE")] = None,
    draft_option: Annotated[list[str] | None, setting("draft_option", metavar="KEY=VALUE")] = None,
    dtype: Annotated[str, setting("dtype", metavar="NAME")] = DEFAULTS.dtype,
    device: Annotated[str, setting("device", metavar="NAME")] = DEFAULTS.device,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep records, figures and plots in DIR. A run that was stopped goes on there."
        ),
    ] = None,
    json: Annotated[bool, typer.Option(help="Print one JSON object on stdout: judge -> figures.")] = False,
) -> None:
    """Judge real solutions whose first wrong step is known, one pass each, at the ends of their steps.

    The data (ProcessBench) is read from the directory that PARSE_ENGINE_DATA names. Nothing is tuned on it, but the
    thresholds in the figures are: F1 is of thresholds chosen on other solutions.
    """
    names = listed(judges)
    known = choices(JudgeName)
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown judge '{name}'.{did_you_mean(name, known)} Judges: {', '.join(known)}.")
    if not names:
        raise ConfigError("no judge given; name at least one.")
    settings = GenerateSettings(
        target=target,
        draft=draft or AUTO,
        method="target" if draft is None and draft_url is None else "parse",
        profile=profile,
        backend=backend,
        target_url=target_url,
        draft_url=draft_url,
        target_option=tuple(target_option or ()),
        draft_option=tuple(draft_option or ()),
        dtype=dtype,
        device=device,
    )
    figures = asyncio.run(_judge(settings, data, list(dict.fromkeys(names)), limit, output))
    if json:
        typer.echo(json_format.dumps({name: own.to_dict() for name, own in figures.items()}))
    else:
        _print(figures)


async def _judge(
    settings: GenerateSettings, data: str, judges: list[str], limit: int | None, output: Path | None
) -> dict[str, JudgeFigures]:
    from parse_engine.backends.load import load_pair
    from parse_engine.bench.judging.figures import figures
    from parse_engine.bench.judging.processbench import load_solutions
    from parse_engine.bench.judging.run import Panel, judge_solutions
    from parse_engine.bench.provenance import describe, describe_models, open_folder, write_json
    from parse_engine.bench.report.plotting import require_matplotlib

    solutions = load_solutions(data, limit)
    if len({solution.right for solution in solutions}) < 2:
        raise ConfigError(f"the first {len(solutions)} solutions are all right or all wrong. Take more.")
    if output is not None:
        require_matplotlib(f"the plot {output / 'judge.svg'}")
    profile = settings.loaded_profile()
    target, drafter = load_pair(*settings.names(), **settings.loading)
    try:
        if profile is not None:
            profile.check(target, drafter)
        panel = Panel.of(judges, ParseConfig(), target, drafter, profile.fits if profile else None)
        same: dict[str, Any] = {
            "data": data,
            "judges": sorted(judges),
            "target": settings.names()[0],
            "profile": profile and {"file": settings.profile, "sha256": profile.digest},
            "models": describe_models(target, drafter),
            "settings": settings.loading,
        }
        origin = {**describe(), **same}
        folder: AbstractContextManager[object] = nullcontext()
        if output is not None:
            folder = open_folder(output / "judge.json", origin, list(same))
        with folder:
            judged = await judge_solutions(panel, solutions, None if output is None else output / "judged.jsonl")
            result = {judge: figures(judged, judge) for judge in judges}
            if output is not None:
                from parse_engine.bench.judging.plot import draw

                seconds = sum(each.seconds for each in judged) / len(judged)
                plain = {name: own.to_dict() for name, own in result.items()}
                write_json(output / "judge.json", {**origin, "seconds_per_solution": seconds, "figures": plain})
                draw(result, output / "judge.svg")
    finally:
        for model in {id(each): each for each in (target, drafter) if each is not None}.values():
            await model.close()
    return result


def _print(figures: Mapping[str, JudgeFigures]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    first = next(iter(figures.values()))
    table = Table(
        "",
        *figures,
        title=f"{first.solutions} solutions, {first.prefixes} prefixes",
        box=box.SIMPLE,
        caption="in brackets the 95 % intervals; F1: ProcessBench's, at thresholds chosen on other solutions",
    )
    at = {name: next(each for each in own.thresholds if each["threshold"] == SHOWN) for name, own in figures.items()}

    def row(label: str, *cells: str) -> None:
        table.add_row(label, *cells)

    row("AUC, full solutions", *(f"{f.auc_full:.3f} {_span(f.auc_full_ci)}" for f in figures.values()))
    row("AUC, prefixes", *(f"{f.auc_prefix:.3f} {_span(f.auc_prefix_ci)}" for f in figures.values()))
    row("first wrong step found, F1", *(f"{f.f1:.3f}" for f in figures.values()))
    row("calibration error", *(f"{f.calibration_error:.3f}" for f in figures.values()))
    row(f"wrong accepted at {SHOWN}", *(f"{at[name]['false_accepts']:.1%}" for name in figures))
    row(f"right rejected at {SHOWN}", *(f"{at[name]['false_rejects']:.1%}" for name in figures))
    row(f"steps off at {SHOWN}", *(f"{at[name]['distance']:.2f}" for name in figures))
    row("tokens added", *(f"{f.suffix_tokens:.0f}" for f in figures.values()))
    Console().print(table)


def _span(interval: tuple[float, float]) -> str:
    return f"\\[{interval[0]:.3f}, {interval[1]:.3f}]"

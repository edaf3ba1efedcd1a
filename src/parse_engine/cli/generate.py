"""`parse-engine generate`: answer prompts. The answer goes to stdout, everything else to stderr."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parse_engine.cli.answers import Outcome, answers, refusal
from parse_engine.cli.helptext import field_docs
from parse_engine.cli.printing import Printer
from parse_engine.cli.prompts import Entry, read_entries
from parse_engine.cli.results import AnswersFile
from parse_engine.cli.settings import GenerateSettings, given, merge
from parse_engine.cli.streams import print_error
from parse_engine.config import AUTO, EMBEDDED_TARGET
from parse_engine.errors import ConfigError, DataError
from parse_engine.files import write_atomically
from parse_engine.trace import Answer

if TYPE_CHECKING:
    from parse_engine.blocking import Engine

DEFAULTS = GenerateSettings()


def _option(field: str, panel: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=field_docs(GenerateSettings)[field], rich_help_panel=panel, **more)


def _models(field: str, **more: Any) -> Any:
    return _option(field, "Models", **more)


def _decoding(field: str, **more: Any) -> Any:
    return _option(field, "Decoding", **more)


def _judging(field: str, **more: Any) -> Any:
    return _option(field, "Judging", **more)


def _prompting(field: str, **more: Any) -> Any:
    return _option(field, "Prompt", **more)


def _output(field: str, **more: Any) -> Any:
    return _option(field, "Output", **more)


def generate(
    ctx: typer.Context,
    prompt: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROMPT",
            help="Prompts, one answer each; -: stdin. What else is on stdin is put before them: in a shell's loop, "
            "which reads from it too, add </dev/null.",
        ),
    ] = None,
    file: Annotated[str | None, _prompting("file", metavar="FILE")] = None,
    system: Annotated[str | None, _prompting("system", metavar="TEXT")] = None,
    raw: Annotated[bool, _option("raw", "Prompt", "--raw", metavar="")] = False,
    thinking: Annotated[bool | None, _prompting("thinking", metavar="")] = None,
    target: Annotated[str, _models("target", metavar="NAME")] = DEFAULTS.target,
    draft: Annotated[str, _models("draft", metavar="NAME")] = DEFAULTS.draft,
    backend: Annotated[str, _models("backend", metavar="NAME")] = DEFAULTS.backend,
    target_url: Annotated[str | None, _models("target_url", metavar="URL")] = None,
    draft_url: Annotated[str | None, _models("draft_url", metavar="URL")] = None,
    timeout: Annotated[float, _models("timeout", metavar="S")] = DEFAULTS.timeout,
    label_ids: Annotated[bool, _models("label_ids", metavar="")] = DEFAULTS.label_ids,
    target_option: Annotated[list[str] | None, _models("target_option", metavar="KEY=VALUE")] = None,
    draft_option: Annotated[list[str] | None, _models("draft_option", metavar="KEY=VALUE")] = None,
    concurrency: Annotated[int | None, _models("concurrency", metavar="N")] = None,
    draft_timeout: Annotated[float | None, _models("draft_timeout", metavar="S")] = None,
    method: Annotated[str, _models("method", metavar="METHOD")] = DEFAULTS.method,
    device: Annotated[str, _models("device", metavar="NAME")] = DEFAULTS.device,
    dtype: Annotated[str, _models("dtype", metavar="NAME")] = DEFAULTS.dtype,
    attention: Annotated[str, _models("attention", metavar="NAME")] = DEFAULTS.attention,
    max_tokens: Annotated[int | None, _decoding("max_tokens", metavar="N")] = None,
    temperature: Annotated[float, _decoding("temperature", metavar="T")] = DEFAULTS.temperature,
    top_p: Annotated[float, _decoding("top_p", metavar="P")] = DEFAULTS.top_p,
    seed: Annotated[int | None, _decoding("seed", metavar="N")] = None,
    stop: Annotated[list[str] | None, _decoding("stop", metavar="TEXT")] = None,
    profile: Annotated[str | None, _judging("profile", metavar="FILE")] = None,
    judge: Annotated[str, _judging("judge", metavar="JUDGE")] = DEFAULTS.judge,
    threshold: Annotated[float, _judging("threshold", metavar="P")] = DEFAULTS.threshold,
    full_threshold: Annotated[float, _judging("full_threshold", metavar="P")] = DEFAULTS.full_threshold,
    delta: Annotated[int, _judging("delta", metavar="N")] = DEFAULTS.delta,
    max_prefixes: Annotated[int, _judging("max_prefixes", metavar="N")] = DEFAULTS.max_prefixes,
    boundary_rule: Annotated[str, _judging("boundary_rule", metavar="RULE")] = DEFAULTS.boundary_rule,
    keep_agreeing: Annotated[bool, _judging("keep_agreeing", metavar="")] = DEFAULTS.keep_agreeing,
    judge_suffix: Annotated[str | None, _judging("judge_suffix", metavar="TEXT")] = None,
    json: Annotated[bool, _option("json", "Output", "--json", metavar="")] = False,
    output: Annotated[str | None, _output("output", metavar="FILE")] = None,
    html: Annotated[str | None, _output("html", metavar="FILE")] = None,
    quiet: Annotated[bool, _option("quiet", "Output", "--quiet", metavar="")] = False,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file of these settings, named like the options. Options win over it."),
    ] = None,
) -> None:
    """Answer prompts: text on stdout, everything else on stderr.

    A prompt that is refused or fails leaves the others alone.
    Exit status: 0 when all were answered, 1 when some were, 2 when none was.
    """
    flags = given(ctx, but={"prompt", "config"})
    if prompt and "file" in flags:
        raise ConfigError("prompts were given both as arguments and with --file. Use one of the two.")
    settings = merge(flags, config)
    entries = read_entries(prompt or [], settings)
    code = _answer_all(entries, settings)
    if code:
        raise typer.Exit(code)


def _answer_all(entries: list[Entry], settings: GenerateSettings) -> int:
    """Answer what is not answered yet, and leave files of it, also where Ctrl-C or an error comes between."""
    with nullcontext() if settings.output is None else AnswersFile(Path(settings.output), entries, settings) as file:
        answered = {} if file is None else dict(file.answers)
        asked = [entry for entry in entries if entry not in answered]
        if answered:
            typer.echo(f"{len(answered)} of {len(entries)} prompts are answered in {settings.output}", err=True)
        printer = Printer(asked, settings)
        try:
            with closing(_outcomes(asked, settings)) as outcomes:
                for entry, outcome in outcomes:
                    if isinstance(outcome, Answer):
                        answered[entry] = outcome
                    else:
                        print_error(entry.named(outcome))
                    if file is not None:
                        file.add(entry, outcome)
                    printer.add(entry, outcome)
        finally:
            try:
                printer.rest()
            finally:
                if settings.html is not None and answered:
                    _write_page(
                        settings.html,
                        [(entry.shown, answered[entry]) for entry in entries if entry in answered],
                        settings,
                    )
    return 0 if len(answered) == len(entries) else 1 if answered else 2


def _outcomes(entries: list[Entry], settings: GenerateSettings) -> Generator[tuple[Entry, Outcome]]:
    """What becomes of the prompts: first of those that are refused, then of the others, as they are answered."""
    broken = {entry: entry.error for entry in entries if entry.error is not None}
    yield from broken.items()
    whole = [entry for entry in entries if entry not in broken]
    if not whole:
        return
    with _load(settings) as engine:
        if settings.concurrency is not None and settings.concurrency > engine.concurrency:
            most = "one answer" if engine.concurrency == 1 else f"{engine.concurrency} answers"
            typer.echo(
                f"warning: these models give {most} at a time, so concurrency {settings.concurrency} changes nothing",
                err=True,
            )
        refused = {entry: error for entry in whole if (error := refusal(engine, entry, settings))}
        yield from refused.items()
        asked = [entry for entry in whole if entry not in refused]
        if engine.target.name == EMBEDDED_TARGET:
            _say_what_the_embedded_pair_can(asked)
        with closing(answers(engine, asked, settings)) as answered:
            yield from answered


def _say_what_the_embedded_pair_can(entries: list[Entry]) -> None:
    """One line where a prompt is not of its only task: what it writes then means nothing."""
    from parse_engine.bench.tasks.tiny import asks_for_a_count

    if not all(asks_for_a_count(entry.shown) for entry in entries):
        typer.echo(
            "warning: the embedded pair can only do short word problems about counts, as in `make run`; what it says "
            "to anything else means nothing. For other prompts give models of your own with --target and --draft.",
            err=True,
        )


def _load(settings: GenerateSettings) -> Engine:
    target, draft = settings.names()
    with _status(settings):
        from parse_engine.backends.load import effective
        from parse_engine.blocking import Engine

        return Engine.load(
            target,
            draft,
            config=settings.config,
            profile=settings.loaded_profile(),
            concurrency=settings.concurrency,
            draft_timeout=settings.draft_timeout,
            **effective(target, draft, settings.loading),
        )


def _status(settings: GenerateSettings) -> Any:
    if not settings.watched:
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("loading the models")


def _placed(name: str, url: str | None) -> str:
    """A model for people, with its address if it has one; auto is whatever is served there."""
    return name if url is None else f"the model at {url}" if name == AUTO else f"{name} at {url}"


def _write_page(file: str, items: list[tuple[str, Answer]], settings: GenerateSettings) -> None:
    from parse_engine.render.html import About, page

    target, drafter = settings.names()
    about = About(
        _placed(target, settings.target_url),
        None if drafter is None else _placed(drafter, settings.draft_url),
        settings.judging,
        settings.profile,
    )
    try:
        write_atomically(Path(file), page(items, about))
    except OSError as error:
        raise DataError(f"the page {file} cannot be written: {error.strerror}. Give another place.") from None

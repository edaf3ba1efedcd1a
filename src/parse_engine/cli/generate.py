"""`parse-engine generate`: answer prompts. The answer goes to stdout, everything else to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from parse_engine.cli.helptext import field_docs
from parse_engine.cli.prompts import read_prompts, shown
from parse_engine.cli.settings import GenerateSettings, given, merge
from parse_engine.errors import BackendError, ConfigError, DataError, ParseEngineError
from parse_engine.trace import Answer, Done, Event

if TYPE_CHECKING:
    from parse_engine.blocking import Engine
    from parse_engine.prompt import Prompt
    from parse_engine.request import RequestOptions

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
        typer.Argument(metavar="PROMPT", help="Prompts, one answer each. Without any: --file, else stdin."),
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
    html: Annotated[str | None, _output("html", metavar="FILE")] = None,
    quiet: Annotated[bool, _option("quiet", "Output", "--quiet", metavar="")] = False,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TOML file of these settings, named like the options. Options win over it."),
    ] = None,
) -> None:
    """Answer prompts: text on stdout, everything else on stderr."""
    flags = given(ctx, but={"prompt", "config"})
    if prompt and "file" in flags:
        raise ConfigError("prompts were given both as arguments and with --file. Use one of the two.")
    settings = merge(flags, config)
    _answer_all(read_prompts(prompt or [], settings), settings)


def _answer_all(prompts: list[Prompt], settings: GenerateSettings) -> None:
    items = []
    with _load(settings) as engine:
        try:
            for number, (prompt, answer) in enumerate(zip(prompts, _answers(engine, prompts, settings), strict=True)):
                if isinstance(answer, ParseEngineError):
                    raise answer
                for warning in answer.trace.warnings:
                    typer.echo(f"warning: {warning}", err=True)
                items.append((shown(prompt), answer))
                _print(answer, settings, first=number == 0)
        except BackendError as error:
            _print_broken_off(error, settings)
            raise
    if settings.html is not None:
        from parse_engine.render.html import page

        try:
            Path(settings.html).write_text(page(items), encoding="utf-8")
        except OSError as error:
            raise DataError(f"the page {settings.html} cannot be written: {error.strerror}.") from None


def _load(settings: GenerateSettings) -> Engine:
    target, draft = settings.names()
    with _status(settings):
        from parse_engine.blocking import Engine

        return Engine.load(
            target,
            draft,
            config=settings.config,
            profile=settings.loaded_profile(),
            concurrency=settings.concurrency,
            draft_timeout=settings.draft_timeout,
            **settings.loading,
        )


def _answers(engine: Engine, prompts: list[Prompt], settings: GenerateSettings) -> Iterator[Answer | ParseEngineError]:
    """In the order of the prompts: several at a time where the models can, else each shown as it is decided."""
    if len(prompts) == 1 or engine.concurrency == 1:
        return (_answer(engine, prompt, settings) for prompt in prompts)
    answers = engine.map(prompts, settings.sampling, **_asked(settings))
    return _counted(answers, len(prompts)) if _watched(settings) else answers


def _asked(settings: GenerateSettings) -> RequestOptions:
    return {"method": settings.method, "raw": settings.raw, "thinking": settings.thinking}


def _counted(answers: Iterator[Answer | ParseEngineError], total: int) -> Iterator[Answer | ParseEngineError]:
    """The same, under a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("answers", total=total)
        for answer in answers:
            yield answer
            progress.advance(bar)


def _watched(settings: GenerateSettings) -> bool:
    return sys.stderr.isatty() and not settings.quiet


def _status(settings: GenerateSettings) -> Any:
    if not _watched(settings):
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("loading the models")


def _answer(engine: Engine, prompt: Prompt, settings: GenerateSettings) -> Answer:
    """One answer, shown on stderr as it is decided."""
    events: Iterator[Event] = engine.stream(prompt, settings.sampling, **_asked(settings))
    if _watched(settings):
        from parse_engine.render.terminal import watch

        events = watch(events, keep=not sys.stdout.isatty() and not settings.json)
    *_, last = events
    assert isinstance(last, Done)
    return last.answer


def _print(answer: Answer, settings: GenerateSettings, *, first: bool) -> None:
    if settings.json:
        typer.echo(dumps(answer.to_dict(), ensure_ascii=False))
    else:
        _print_text(answer, first=first)
    if _watched(settings):
        from rich.console import Console

        from parse_engine.render.terminal import summary

        Console(stderr=True, highlight=False).print(summary(answer), soft_wrap=True)


def _print_broken_off(error: BackendError, settings: GenerateSettings) -> None:
    """What an answer had, when its target failed; the error itself goes where all errors go."""
    if settings.json:
        typer.echo(dumps({"text": error.text, "phase": error.phase, "error": str(error)}, ensure_ascii=False))
    elif error.text:
        typer.echo(error.text)


def _print_text(answer: Answer, *, first: bool) -> None:
    """The text as it is, or coloured by who wrote it on a terminal; an empty line between two answers."""
    if not first:
        typer.echo()
    if not sys.stdout.isatty():
        typer.echo(answer.text)
        return
    from rich.console import Console

    from parse_engine.render.terminal import final_text

    Console(highlight=False).print(final_text(answer), soft_wrap=True)

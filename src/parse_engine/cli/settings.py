"""All settings of `generate` as one frozen object, put together from the flags and the config file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from parse_engine.backends.load import LoadOptions, names_of
from parse_engine.cli.helptext import field_docs
from parse_engine.cli.ignored import refuse_ignored
from parse_engine.config import AUTO, Attention, Backend, ParseConfig, SamplingParams, load_config
from parse_engine.errors import ConfigError
from parse_engine.files import check_places
from parse_engine.trace import Method

if TYPE_CHECKING:
    from parse_engine.profile import Profile
    from parse_engine.request import RequestOptions

STDIN = "-"


@dataclass(frozen=True, kw_only=True)
class GenerateSettings(ParseConfig, SamplingParams):
    """The settings of decoding and of judging, and the command's own."""

    target: str = AUTO
    """Target: a known name (`parse-engine models`), a hub id or a folder. auto: the embedded one, or what is served."""
    draft: str = AUTO
    """Drafter: the same. auto: the embedded target's own, or what is served; any other target needs one to be named."""
    backend: Backend = "hf"
    """Where models without an address run: hf (transformers), vllm (in this process), http (all have an address)."""
    target_url: str | None = None
    """Address of an OpenAI-compatible server with the target, http://127.0.0.1:8001/v1 for instance."""
    draft_url: str | None = None
    """Address of a server with the drafter."""
    timeout: float = 60.0
    """Most seconds between two pieces of a server's answer (http)."""
    label_ids: bool = True
    """Read the verdict's labels by id (http). Off for vLLM servers that decode speculatively (vLLM issue 42592)."""
    target_option: tuple[str, ...] = ()
    """One of vLLM's own engine arguments for the target, KEY=VALUE; can be repeated. VALUE is read as JSON if it is."""
    draft_option: tuple[str, ...] = ()
    """The same for the drafter."""
    concurrency: int | None = None
    """Most answers in flight. Not given: as many as the models can take."""
    draft_timeout: float | None = None
    """Seconds after which a draft is judged as far as it has come."""
    profile: str | None = None
    """Profile of the two models (`parse-engine calibrate`): its judges, and its settings where none are given here."""
    method: Method = "parse"
    """`parse`: the drafter writes, the target judges and finishes; `target`, `draft`: one model writes alone."""
    device: str = "auto"
    """Where the models run (hf): auto, cpu, cuda or cuda:N."""
    dtype: str = "auto"
    """Number type of the weights: auto, float32, bfloat16, float16."""
    attention: Attention = "sdpa"
    """How the target's packed pass attends (hf): sdpa (a dense mask) or flex_attention (FlexAttention's block mask)."""
    file: str | None = None
    """Read prompts from FILE (-: stdin): one per line, or, if its name ends in .jsonl, objects with `prompt` or
    `messages` and, where wanted, `id`, `max_tokens`, `temperature`, `top_p`, `seed`, `stop`."""
    system: str | None = None
    """System message put before every prompt."""
    raw: bool = False
    """Give prompts to the models as they are, without the chat template."""
    thinking: bool | None = None
    """Ask the chat template for thinking or for none. Not given: the template decides."""
    json: bool = False
    """Print one JSON object per prompt on stdout: text, usage and the whole trace, or an error."""
    output: str | None = None
    """Write these objects to FILE, one a line, and print no text. The same command goes on where it was stopped."""
    html: str | None = None
    """Write FILE, one page that shows what was drafted, judged, kept and rewritten."""
    quiet: bool = False
    """Show no progress and no summary; warnings and errors are still shown."""
    falls_back: bool = dataclasses.field(default=False, init=False)
    """Whether there is a profile that promises nothing, and no setting was given instead."""

    def __post_init__(self) -> None:
        for name in ("target_option", "draft_option"):
            if isinstance(given := getattr(self, name), list):
                object.__setattr__(self, name, tuple(given))
        SamplingParams.__post_init__(self)
        ParseConfig.__post_init__(self)
        if self.concurrency is not None:
            self._check_range("concurrency", 1)
        for name in ("draft_timeout", "timeout"):
            if (seconds := getattr(self, name)) is not None and not seconds > 0:
                raise ConfigError(f"{name} is {seconds!r}; it must be above 0.")
        for name, what in (("system", "system message"), ("thinking", "thinking")):
            if self.raw and getattr(self, name) is not None:
                raise ConfigError(f"raw prompts go without a chat template, so there is no {what}. Drop one of them.")
        for name in ("output", "html"):
            if (file := getattr(self, name)) is not None and not Path(file).parent.is_dir():
                raise ConfigError(f"{name} is {file!r}, but there is no folder {Path(file).parent}. Create it first.")

    @property
    def sampling(self) -> SamplingParams:
        return SamplingParams(**_part(self, SamplingParams))

    @property
    def may_have_objects(self) -> bool:
        """Whether prompts come from JSON objects, which say themselves how they are decoded."""
        return self.file is not None and (self.file == STDIN or self.file.endswith(".jsonl"))

    @property
    def asking(self) -> RequestOptions:
        """How each prompt is asked, beside its sampling."""
        return {"method": self.method, "raw": self.raw, "thinking": self.thinking}

    @property
    def watched(self) -> bool:
        """Whether somebody looks on."""
        return sys.stderr.isatty() and not self.quiet

    @property
    def decisive(self) -> dict[str, Any]:
        """The settings that the words of an answer depend on, beside its prompt and its sampling."""
        values = {name: value for name, value in vars(self).items() if name not in _NOT_DECISIVE}
        profile = None if self.profile is None else hashlib.sha256(Path(self.profile).read_bytes()).hexdigest()
        return {**values, "profile": profile}

    @property
    def judging(self) -> ParseConfig:
        return ParseConfig(**_part(self, ParseConfig))

    @property
    def config(self) -> ParseConfig | None:
        """What an engine is given beside the profile; None lets the target answer alone."""
        return None if self.falls_back else self.judging

    def loaded_profile(self) -> Profile | None:
        """The profile.

        Raises:
            ConfigError: it is missing or is none.
        """
        if self.profile is None:
            return None
        from parse_engine.profile import Profile

        return Profile.load(Path(self.profile))

    def names(self) -> tuple[str, str | None]:
        """The target and the drafter to load; no drafter when the target writes alone.

        Raises:
            ConfigError: the method needs a drafter and none was given.
        """
        target, draft = names_of(self.target, self.draft, self.target_url, self.draft_url)
        if self.method == "target":
            return str(target), None
        if draft is None:
            raise ConfigError(
                f"method '{self.method}' needs a drafter for the target '{self.target_url or target}'. Add --draft "
                "NAME or --draft-url URL, or use --method target to let the target write alone."
            )
        return str(target), str(draft)

    @property
    def loading(self) -> LoadOptions:
        """How the models are loaded."""
        options: LoadOptions = {
            "backend": self.backend,
            "target_url": self.target_url,
            "draft_url": self.draft_url,
            "timeout": self.timeout,
            "label_ids": self.label_ids,
            "device": self.device,
            "dtype": self.dtype,
            "attention": self.attention,
            "target_options": _key_values("target_option", self.target_option),
            "draft_options": _key_values("draft_option", self.draft_option),
        }
        return options


DEFAULTS = GenerateSettings()

# Where prompts and answers go, how fast they come, and what each entry has itself.
_NOT_DECISIVE = {
    *("file", "system", "output", "html", "json", "quiet"),
    *("device", "attention", "concurrency", "timeout", "draft_timeout"),
    *(field.name for field in dataclasses.fields(SamplingParams)),
}


def setting(field: str, **more: Any) -> Any:
    """The option of a command that shares the setting `field`, with its help text."""
    return typer.Option(help=field_docs(GenerateSettings)[field], **more)


def listed(names: str) -> list[str]:
    """The names in a list with commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def _key_values(name: str, given: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE texts as a mapping; a value that is not JSON is a text. Dashes in keys count as underscores."""
    values: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(f"{name} is {text!r}; it must be KEY=VALUE, tensor_parallel_size=2 for instance.")
        try:
            values[key.strip().lstrip("-").replace("-", "_")] = json.loads(value)
        except json.JSONDecodeError:
            values[key.strip().lstrip("-").replace("-", "_")] = value
    return values


def _part(settings: GenerateSettings, part: type[SamplingParams] | type[ParseConfig]) -> dict[str, Any]:
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(part)}


def given(ctx: typer.Context, *, but: set[str]) -> dict[str, Any]:
    """The settings that the command line names, without defaults (which must not override the config file)."""

    def named(name: str) -> bool:
        source = ctx.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    return {name: ctx.params[name] for name in set(ctx.params) - but if named(name)}


def merge(flags: Mapping[str, Any], config: Path | None) -> GenerateSettings:
    """Settings from the profile, overridden by those of the config file, overridden by the flags that were given.

    Raises:
        ConfigError: a key of the file is unknown, a value has the wrong type or is out of range, there is no such
            profile, one file has two uses, or something would be ignored: of the flags beside all settings, of the
            config file beside its own and beside all.
    """
    own = {} if config is None else {key.replace("-", "_"): value for key, value in load_config(config).items()}
    with _naming(config):
        alone = GenerateSettings.from_mapping(own)
    values = {**own, **flags}
    settings = GenerateSettings.from_mapping(values)
    if (profile := settings.loaded_profile()) is not None:
        settings = _with_profile(profile, values)
    with _naming(config):
        refuse_ignored(own, alone, settings)
    refuse_ignored(flags, settings)
    check_places(
        {"file": None if settings.file == STDIN else settings.file, "profile": settings.profile, "config": config},
        {"output": settings.output, "html": settings.html},
    )
    return settings


@contextmanager
def _naming(config: Path | None) -> Iterator[None]:
    """Name the config file in an error about it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"config file {config}: {error}") from None


def _with_profile(profile: Profile, values: Mapping[str, Any]) -> GenerateSettings:
    """What the profile chose and was made with, for its models unless others are named, and what was given."""
    given = {name: value for name, value in values.items() if name in calibrated()}
    config = profile.config_on(ParseConfig(), given)
    chosen = {} if config is None else {**profile.sampling, **{name: getattr(config, name) for name in calibrated()}}
    models = {} if {"target_url", "draft_url"} & {*values} else {"target": profile.target, "draft": profile.draft}
    settings = GenerateSettings.from_mapping({**models, **chosen, **values})
    if settings.backend != profile.backend:
        typer.echo(f"warning: the profile was made on the back end {profile.backend}", err=True)
    object.__setattr__(settings, "falls_back", config is None)
    return settings


def calibrated() -> frozenset[str]:
    """The settings that a profile has a say in."""
    from parse_engine.profile import Setting

    return frozenset(field.name for field in dataclasses.fields(Setting)) | {"judge_suffix"}

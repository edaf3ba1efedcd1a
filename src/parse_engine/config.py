"""Frozen settings. Every field's docstring is also its help text on the command line."""

from __future__ import annotations

import dataclasses
import sys
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from parse_engine.errors import ConfigError, did_you_mean

EMBEDDED_TARGET, EMBEDDED_DRAFTER = "embedded-target", "embedded-drafter"
AUTO = "auto"

Judge = Literal["prompt", "likelihood", "head", "fused"]
Backend = Literal["hf", "vllm", "http"]
BoundaryRule = Literal["first-failure", "last-success"]
Attention = Literal["sdpa", "flex_attention"]


def choices(literal: Any) -> tuple[str, ...]:
    """The allowed values of a Literal type."""
    return typing.get_args(literal)


DEFAULT_MAX_TOKENS = 512


class Checked:
    """Type checks and unknown-key errors, which settings share."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build from plain data, a TOML table for instance; dashes in keys count as underscores.

        Raises:
            ConfigError: a key is unknown, or a value has the wrong type or is out of range.
        """
        known = {f.name for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
        clean = {str(key).replace("-", "_"): value for key, value in values.items()}
        for key in clean:
            if key not in known:
                allowed = ", ".join(sorted(known))
                raise ConfigError(f"unknown setting '{key}'.{did_you_mean(key, known)} Known settings: {allowed}.")
        return cls(**clean)

    @classmethod
    def of(cls, given: Self | Mapping[str, Any] | None, **changes: Any) -> Self:
        """What was given as such, as plain data, or not at all, with `changes` on top.

        Raises:
            ConfigError: as `from_mapping`, or something else was given.
        """
        if isinstance(given, cls):
            settings = given
        elif given is None or isinstance(given, Mapping):
            settings = cls.from_mapping(given or {})
        else:
            raise ConfigError(f"{given!r} was given where {cls.__name__} or a mapping of its fields belongs.")
        if not changes:
            return settings
        own = {f.name: getattr(settings, f.name) for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        return cls.from_mapping({**own, **changes})

    def _check_types(self) -> None:
        names = [f.name for f in dataclasses.fields(self)]  # type: ignore[arg-type]
        check_options({name: getattr(self, name) for name in names}, type(self))

    def _check_range(self, name: str, low: float, high: float | None = None) -> None:
        value = getattr(self, name)
        if not low <= value <= (sys.float_info.max if high is None else high):
            finite = "" if value < low else "a finite number, "
            allowed = f"in [{low:g}, {high:g}]" if high is not None else f"{finite}at least {low:g}"
            raise ConfigError(f"{name} is {value!r}; it must be {allowed}.")


def check_options(given: Mapping[str, Any], known: type) -> None:
    """Refuse what the annotations of `known` (a TypedDict or a dataclass) do not have, or have of another type.

    Raises:
        ConfigError: so it is.
    """
    hints = typing.get_type_hints(known)
    for name, value in given.items():
        if name not in hints:
            raise ConfigError(f"unknown option '{name}'.{did_you_mean(name, hints)} Known options: {', '.join(hints)}.")
        if not _fits(value, hints[name]):
            raise ConfigError(f"{name} is {value!r}; it must be {_describe(hints[name])}.")


def _fits(value: Any, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if origin in (tuple, list):
        return isinstance(value, origin) and all(_fits(item, typing.get_args(hint)[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _describe(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(hint))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(_describe(part) for part in typing.get_args(hint)))
    if origin in (tuple, list):
        return f"a list of {_describe(typing.get_args(hint)[0]).removeprefix('a ')}s"
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "nothing"}
    names[Mapping] = "a mapping"
    return names.get(origin or hint, f"a {hint.__name__}" if isinstance(hint, type) else str(hint))


@dataclass(frozen=True, kw_only=True)
class SamplingParams(Checked):
    """How the answer is decoded, by the drafter and by the target alike."""

    max_tokens: int | None = None
    """Most tokens of the answer, counted in the target's tokens, end-of-turn token excluded. Not given: 512, or the
    room that the prompt leaves in the context where that is less."""
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens with this probability."""
    seed: int | None = None
    """Makes sampling repeatable."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""

    def __post_init__(self) -> None:
        stop = (self.stop,) if isinstance(self.stop, str) else self.stop
        object.__setattr__(self, "stop", tuple(stop) if isinstance(stop, list) else stop)
        self._check_types()
        if self.max_tokens is not None:
            self._check_range("max_tokens", 1)
        self._check_range("temperature", 0)
        self._check_range("top_p", 0, 1)
        if self.top_p == 0:
            raise ConfigError("top_p is 0; it must be above 0. For greedy decoding set temperature to 0.")
        if self.seed is not None:
            self._check_range("seed", 0, 2**63 - 1)
        if "" in self.stop:
            raise ConfigError("stop has an empty text; every stop text must have at least one character.")

    @property
    def most_tokens(self) -> int:
        """`max_tokens`, or what stands for it where nobody gave it and there is room."""
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def greedy(self) -> bool:
        return self.temperature == 0


@dataclass(frozen=True, kw_only=True)
class ParseConfig(Checked):
    """How drafts are judged (PARSE, arXiv 2605.04263; where the paper is silent the values are ours)."""

    judge: Judge = "prompt"
    """`prompt` asks the target whether a prefix is correct; `likelihood` reads its probabilities of the draft. With a
    profile both are calibrated, and there are `head`, which reads hidden states, and `fused`, which reads all."""
    threshold: float = 0.5
    """A prefix passes when its confidence is at least this."""
    full_threshold: float = 0.5
    """The full answer passes when its confidence is at least this."""
    delta: int = 16
    """Tokens between judged prefixes."""
    max_prefixes: int = 16
    """Most prefixes judged per draft, the full answer included."""
    boundary_rule: BoundaryRule = "first-failure"
    """`first-failure` commits the prefixes before the first that fails; `last-success` up to the last that passes."""
    keep_agreeing: bool = True
    """With greedy decoding, keep the draft tokens behind the boundary that equal the target's own choice (lossless)."""
    judge_prompt: str = "v1"
    """Version of the judge's wording (parse_engine/prefix/judge_prompts.json)."""
    judge_suffix: str | None = None
    """Raw text put after a prefix instead of the suffix made from the chat template."""
    min_label_mass: float = 0.1
    """A prefix is rejected, with a warning, when the labels' share of the verdict's probability is below this; by a
    calibrated judge too, if it asks for verdicts. Profiles promise something for 0.1 alone."""

    def __post_init__(self) -> None:
        self._check_types()
        for name in ("threshold", "full_threshold", "min_label_mass"):
            self._check_range(name, 0, 1)
        if self.judge_suffix == "":
            raise ConfigError("judge_suffix is empty; give the text that asks for the verdict, or leave it out.")
        self._check_range("delta", 1)
        self._check_range("max_prefixes", 1)


def load_config(path: Path) -> dict[str, Any]:
    """Read a TOML file of flat settings, to be split between `SamplingParams`, `ParseConfig` and the command's own.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no config file at {path}. Check the path given to --config.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the config file {path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise ConfigError(f"the config file {path} cannot be read: {error.strerror}.") from None

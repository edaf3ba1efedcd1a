"""What can be compared: a loop, the settings it has of its own, and how the target decodes."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from parse_engine.config import ParseConfig
from parse_engine.errors import ConfigError, did_you_mean
from parse_engine.trace import Method as EngineMethod

Loop = Literal["target", "draft", "parse", "specreason"]
Decoder = Literal["plain", "ngram", "draft-model"]
StepEnd = Literal["blank-line", "line"]
Score = Literal["digit", "labels"]

# Name -> loop and settings. The cascade judges the full answer alone, keeps it or starts again: PARSE with one prefix.
LOOPS: Mapping[str, tuple[Loop, Mapping[str, Any]]] = {
    "target": ("target", {}),
    "draft": ("draft", {}),
    "cascade": ("parse", {"max_prefixes": 1, "keep_agreeing": False}),
    "specreason": ("specreason", {}),
    "parse": ("parse", {}),
}
DECODERS: tuple[str, ...] = typing.get_args(Decoder)[1:]
SPECREASON = {"step": typing.get_args(StepEnd), "score": typing.get_args(Score)}
SHORT = {"rule": "boundary_rule"}
CALIBRATED = "calibrated"


@dataclass(frozen=True)
class Method:
    """One method of a run: `parse`, `cascade`, `ngram`, `parse+ngram:delta=32:judge=likelihood`, for instance."""

    name: str
    """As it was given."""
    loop: Loop
    decoder: Decoder = "plain"
    """How the target decodes: `ngram` and `draft-model` are vLLM's own lossless speculation."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """In what it differs from the run's ParseConfig; for SpecReason its own options."""
    calibrated: bool = False
    """Whether it takes judges, and what is not set here, from the run's profile. PARSE does unless told not to. Others
    take from it a judge that has to be fitted, where that is asked for, and nothing else."""

    @property
    def runs_as(self) -> EngineMethod:
        """The engine's method. SpecReason is an engine of its own, which has one."""
        return "parse" if self.loop == "specreason" else self.loop

    @property
    def needs_drafter(self) -> bool:
        return self.loop != "target" or self.decoder == "draft-model"


def parse_method(name: str) -> Method:
    """Read `LOOP[+DECODER][:KEY=VALUE]...`, or `DECODER`, which is the target alone decoding that way.

    Raises:
        ConfigError: the loop, the decoder or a setting is unknown, or a value is not allowed.
    """
    head, *texts = name.split(":")
    loop, plus, decoder = head.partition("+")
    if head in DECODERS:
        loop, decoder = "target", head
    if loop not in LOOPS:
        known = [*LOOPS, *DECODERS]
        raise ConfigError(f"unknown method '{loop}'.{did_you_mean(loop, known)} Known methods: {', '.join(known)}.")
    kind, own = LOOPS[loop]
    if plus and (decoder not in DECODERS or kind == "draft"):
        raise ConfigError(f"unknown method '{name}'. A target can decode with +{' or +'.join(DECODERS)}.")
    given = dict(_key_value(name, text) for text in texts)
    for key in own.keys() & given.keys():
        raise ConfigError(f"method '{name}': {key} is what makes it the {loop}. Leave it out.")
    calibrated = given.pop(CALIBRATED, loop == "parse") if kind == "parse" else False
    settings = {**own, **given}
    if kind == "parse":
        if not isinstance(calibrated, bool):
            raise ConfigError(f"method '{name}': {CALIBRATED} is {calibrated!r}; it must be true or false.")
        try:
            ParseConfig.from_mapping(settings)
        except ConfigError as error:
            raise ConfigError(f"method '{name}': {error}") from None
    else:
        allowed = SPECREASON if kind == "specreason" else {}
        for key, value in settings.items():
            if value not in allowed.get(key, ()):
                options = [f"{key}={value}" for key, values in allowed.items() for value in values]
                raise ConfigError(f"method '{name}': {loop} takes {', '.join(options) or 'no settings'}.")
    return Method(name, kind, typing.cast(Decoder, decoder or "plain"), settings, calibrated)


def _key_value(name: str, text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"method '{name}': '{text}' must be KEY=VALUE, delta=32 for instance.")
    key = key.replace("-", "_")
    key = SHORT.get(key, key)
    kind = typing.get_type_hints(ParseConfig).get(key)
    if (kind is bool or key == CALIBRATED) and value in ("true", "false"):
        return key, value == "true"
    if kind in (int, float):
        with contextlib.suppress(ValueError):  # then the settings' own check says what is allowed
            return key, kind(value)
    return key, value

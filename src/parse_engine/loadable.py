"""What the engines take, and how they come from two names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack, cast

from parse_engine.backends.base import Model
from parse_engine.backends.load import LoadOptions, check_loading, closed_on_error, load_pair, without_effect
from parse_engine.config import AUTO, ParseConfig, check_options
from parse_engine.errors import ConfigError
from parse_engine.profile import Profile


class EngineOptions(TypedDict, total=False):
    """How answers are given. All may be left out."""

    concurrency: int | None
    """Most answers in flight; None: as many as the models can take."""
    max_waiting: int | None
    """Most answers waiting for their turn; None: no limit."""
    draft_timeout: float | None
    """Seconds after which a draft is judged as far as it has come; None: never."""
    profile: Profile | str | Path | None
    """What `parse-engine calibrate` made for these two models, or its file: fitted judges, and unless `config` is given
    the settings for which a loss was promised. Where none could be, the target answers alone."""


class Options(EngineOptions, LoadOptions, total=False):
    """All that `load` takes."""


def check_engine_options(options: EngineOptions) -> None:
    """Refuse options of an engine.

    Raises:
        ConfigError: one is unknown, of the wrong type or out of range.
    """
    check_options(options, EngineOptions)
    for name, least in (("concurrency", 1), ("max_waiting", 0)):
        if isinstance(number := options.get(name), int) and number < least:
            raise ConfigError(f"{name} is {number}; it must be at least {least}.")
    if (seconds := options.get("draft_timeout")) is not None and not seconds > 0:
        raise ConfigError(f"draft_timeout is {seconds!r}; it must be above 0.")


def read_profile(given: Profile | str | Path | None) -> Profile | None:
    """A profile that may be given by its file.

    Raises:
        ConfigError: there is no such file, or it is no profile.
    """
    return Profile.load(Path(given)) if isinstance(given, str | Path) else given


class Loadable:
    """An engine made of two models, which can also be named."""

    def __init__(
        self,
        target: Model,
        drafter: Model | None,
        config: ParseConfig | Mapping[str, Any] | None = None,
        **options: Unpack[EngineOptions],
    ):
        raise NotImplementedError

    @classmethod
    def load(
        cls,
        target: str | Path = AUTO,
        draft: str | Path | None = AUTO,
        *,
        config: ParseConfig | Mapping[str, Any] | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """Load a target and a drafter by catalog name, hub id or folder; see `EngineOptions` and `LoadOptions`.

        Args:
            target: auto is the embedded target, or with an address what the server serves.
            draft: auto is the embedded target's own drafter, none for any other, or with an address what the server
                serves; None loads the target alone, for method `target`.
            config: how drafts are judged; a mapping names some of the fields.

        Raises:
            ConfigError: an option is unknown or would have no effect, or options contradict each other.
            ModelError: a model is unknown, absent or unsuited.
            DeviceError: CUDA was asked for and is absent.
            BackendError: a server does not answer.
        """
        for role, name in (("target", target), ("draft", draft)):
            if not isinstance(name, str | Path) and not (role == "draft" and name is None):
                raise ConfigError(f"{role} is {name!r}; it must be the name, the hub id or the folder of a model.")
        check_options(options, Options)
        given: dict[str, Any] = {**options}
        own: Any = {name: given.pop(name) for name in EngineOptions.__annotations__ if name in given}
        check_engine_options(own)
        loading = cast(LoadOptions, given)
        check_loading(target, draft, loading)
        for option, need in without_effect(target, draft, loading).items():
            raise ConfigError(f"{option} would be ignored: it needs {need}. Drop it, or change the rest.")
        own["profile"] = read_profile(own.get("profile"))
        config = None if config is None else ParseConfig.of(config)
        with closed_on_error() as loaded:
            pair = load_pair(target, draft, **loading)
            loaded += [model for model in pair if model is not None]
            return cls(*pair, config, **own)

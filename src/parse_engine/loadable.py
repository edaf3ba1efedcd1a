"""What the engines take, and how they come from two names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self, TypedDict, Unpack, cast

from parse_engine.backends.base import Model
from parse_engine.backends.load import LoadOptions, closed_on_error, load_pair
from parse_engine.config import AUTO, ParseConfig
from parse_engine.profile import Profile


class EngineOptions(TypedDict, total=False):
    """How answers are given. All may be left out."""

    thinking: bool | None
    """`enable_thinking` of the chat templates that know it; None leaves their default."""
    concurrency: int | None
    """Most answers in flight; None: as many as the models can take."""
    max_waiting: int | None
    """Most answers waiting for their turn; None: no limit."""
    draft_timeout: float | None
    """Seconds after which a draft is given up and the target answers alone; None: never."""
    profile: Profile | None
    """What `parse-engine calibrate` made for these two models: fitted judges, and unless `config` is given the settings
    for which a loss was promised. Where none could be, the target answers alone."""


class Options(EngineOptions, LoadOptions, total=False):
    """All that `load` takes."""


class Loadable:
    """An engine made of two models, which can also be named."""

    def __init__(
        self, target: Model, drafter: Model | None, config: ParseConfig | None = None, **options: Unpack[EngineOptions]
    ):
        raise NotImplementedError

    @classmethod
    def load(
        cls,
        target: str | Path = AUTO,
        draft: str | Path | None = AUTO,
        *,
        config: ParseConfig | None = None,
        **options: Unpack[Options],
    ) -> Self:
        """Load a target and a drafter by catalog name, hub id or folder; see `EngineOptions` and `LoadOptions`.

        Args:
            target: auto is the embedded target, or with an address what the server serves.
            draft: auto is the embedded target's own drafter, none for any other, or with an address what the server
                serves; None loads the target alone, for method `target`.

        Raises:
            ConfigError: an option is unknown, or options contradict each other.
            ModelError: a model is unknown, absent or unsuited.
            DeviceError: CUDA was asked for and is absent.
            BackendError: a server does not answer.
        """
        given: dict[str, Any] = {**options}
        own: Any = {name: given.pop(name) for name in EngineOptions.__annotations__ if name in given}
        with closed_on_error() as loaded:
            pair = load_pair(target, draft, **cast(LoadOptions, given))
            loaded += [model for model in pair if model is not None]
            return cls(*pair, config, **own)

"""What is asked of an engine, for one answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypedDict

from parse_engine.config import SamplingParams, check_options
from parse_engine.errors import ConfigError
from parse_engine.prompt import Prompt
from parse_engine.trace import Method

Params = SamplingParams | Mapping[str, Any] | None
"""How an answer is decoded: as such, or as a mapping of some of the fields."""


class Sampling(TypedDict, total=False):
    """The fields of `SamplingParams`, each of which can also be given by its name."""

    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int | None
    stop: str | list[str] | tuple[str, ...]


class RequestOptions(Sampling, total=False):
    """How a prompt is answered. All may be left out."""

    method: Method
    """`parse` (the default), `target` or `draft`."""
    raw: bool
    """Give the prompt to the models as it stands, without a chat template."""
    thinking: bool | None
    """`enable_thinking` of the chat templates that know it; None leaves their default."""


@dataclass(frozen=True)
class Request:
    """A prompt, and how it is to be answered. Raises ConfigError where that makes no sense."""

    prompt: Prompt
    params: SamplingParams = field(default_factory=SamplingParams)
    method: Method = "parse"
    raw: bool = False
    thinking: bool | None = None

    def __post_init__(self) -> None:
        if self.raw and self.thinking is not None:
            raise ConfigError(
                "raw prompts go without a chat template, so there is no thinking to switch on or off. Drop one of them."
            )

    @classmethod
    def of(cls, prompt: Prompt, params: Params, options: Mapping[str, Any]) -> Self:
        """From the arguments of a call, `RequestOptions` among them; sampling fields by name go before `params`.

        Raises:
            ConfigError: an option is unknown, of the wrong type or out of range, or options contradict each other.
        """
        check_options(options, RequestOptions)
        sampling = {name: value for name, value in options.items() if name in Sampling.__annotations__}
        own = {name: value for name, value in options.items() if name not in sampling}
        return cls(prompt, SamplingParams.of(params, **sampling), **own)

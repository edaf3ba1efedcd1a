"""One answer under way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from parse_engine.backends.base import Model, Usage
from parse_engine.clock import Clock
from parse_engine.errors import PromptError
from parse_engine.prompt import encode
from parse_engine.request import Request
from parse_engine.trace import Committed, Continuing, Event


@dataclass(frozen=True)
class Flight:
    """One answer under way: what was asked, who hears of it, and what it has taken so far."""

    request: Request
    context: list[int]
    """The prompt in the tokens of the model that the answer is counted in."""
    drafters_context: list[int]
    """The prompt in the drafter's tokens, where it writes a draft."""
    max_tokens: int
    """Most tokens of the answer."""
    listener: Callable[[Event], None]
    clock: Clock
    target: Usage = field(default_factory=Usage)
    drafter: Usage = field(default_factory=Usage)
    warnings: list[str] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        if isinstance(event, Committed | Continuing) and (event.text or event.thinking):
            self.clock.first()
        self.listener(event)


def read(request: Request, model: Model, suffix: int = 0) -> tuple[list[int], int]:
    """A prompt in a model's tokens, and how many tokens its answer may have, with room for the judge's suffix behind.

    Raises:
        PromptError: the prompt cannot be given to the model, or leaves no room for what was asked for.
    """
    context = encode(model, request.prompt, raw=request.raw, thinking=request.thinking)
    given = request.params.max_tokens
    room = model.context_length - len(context) - suffix
    if room >= (given or 1):
        return context, min(request.params.most_tokens, room)
    parts = f"{len(context)} tokens" + (f" and the judge's suffix {suffix}" if suffix else "")
    wanted = "room for an answer" if given is None else f"max_tokens {given}"
    advice = f"Set max_tokens to {room} or less." if room > 0 else "Shorten the prompt."
    raise PromptError(
        f"the prompt has {parts}, and with {wanted} that is beyond the {model.context_length} tokens of context of "
        f"{model.name}. {advice}"
    )

"""What the engine asks of a model, wherever it runs.

A model is a next-token machine over token ids with a prefix cache of its own: the engine always passes whole sequences
and never handles caches. A back end computes only what it has not cached.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from parse_engine.config import SamplingParams
from parse_engine.errors import ClosedError
from parse_engine.text import Codec


@dataclass
class Usage:
    """What a model did for one answer; the back end adds to it while it works."""

    computed_tokens: int = 0
    """Token rows that went through the model."""
    verify_passes: int = 0
    """Passes (on vLLM: scheduler steps) that verification took."""
    logprobs: list[float] | None = None
    """Give a list to be told the log-probability of every token that `decode` yields, before the token is yielded."""


Signal = Literal["logprobs", "entropy", "hidden", "sampled"]
"""What a back end can tell beyond the verdicts. Of a pass: the log-probability of every draft token and whether it is
the greedy choice; the entropy of the distribution that it was read from; hidden states. And `sampled`: the
log-probabilities of the tokens that it decodes."""


@dataclass(frozen=True)
class VerifyRequest:
    """One verification pass: the prompt, the draft, and what to read at each boundary."""

    prompt: tuple[int, ...]
    draft: tuple[int, ...]
    boundaries: tuple[int, ...]
    """b_1 < ... < b_N: draft tokens in each prefix."""
    suffixes: tuple[tuple[int, ...], ...] = ()
    """One per boundary, or none at all."""
    labels: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    """Token ids whose probabilities are summed after each suffix: those of Correct and those of Incorrect."""
    signals: frozenset[Signal] = frozenset()
    """What else is wanted, of the target's `signals`."""


@dataclass(frozen=True)
class Scores:
    """What one verification pass read."""

    labels: tuple[tuple[float, float], ...] | None = None
    """For each boundary the probabilities of Correct and of Incorrect after its suffix."""
    logprobs: tuple[float, ...] | None = None
    """log p(y_t | x, y_<t) in nats, for each draft token."""
    agrees: tuple[bool, ...] | None = None
    """Whether each draft token is the model's greedy choice where it stands; comes with `logprobs`."""
    entropy: tuple[float, ...] | None = None
    """Of the distribution that each draft token was read from, in nats."""
    hidden: NDArray[np.float32] | None = None
    """[N, 2, d] hidden states at two thirds of the depth: of each prefix's last token, and the mean over its tokens."""
    agreeing: Callable[[int], int] = lambda accepted: 0
    """How many draft tokens behind the first `accepted` equal, in order, the model's own greedy choice. Reads what the
    pass left behind and computes no rows; 0 where the back end keeps nothing to read."""


def run_of(agrees: Sequence[bool]) -> Callable[[int], int]:
    """`Scores.agreeing` where it is known of every draft token."""
    return lambda accepted: [*agrees[accepted:], False].index(False)


class Model(Protocol):
    """A drafter or a target.

    Its calls raise BackendError when the engine or the server behind it fails; cancelling a call stops its work.
    """

    name: str
    codec: Codec
    fingerprint: str
    """Tells this model from any other: weights, configuration, tokenizer."""
    context_length: int
    """Most tokens of prompt and answer together."""
    eos: frozenset[int]
    """Tokens that end an answer."""
    concurrency: int
    """Most answers that may be in flight at once."""
    block_size: int
    """Tokens that the prefix cache shares at a time: what does not fill a block is computed again. 1: every token."""
    signals: frozenset[Signal]
    """What the back end can tell beyond tokens and verdicts."""

    @property
    def closed(self) -> bool:
        """Whether it was closed: then every call but `close` raises ClosedError."""

    def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        """Continue `tokens`: yields at most `max_tokens` ids, and nothing after one that ends the answer.

        Closing the generator stops the work.
        """

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        """Score all prefixes of a draft at once; afterwards prompt and draft are in the prefix cache."""

    async def forget(self) -> bool:
        """Empty the prefix cache, so that the next call computes everything; whether that could be done."""

    async def close(self) -> None:
        """Free what the model holds. A second call does nothing."""


def check_open(model: Model) -> None:
    """Refuse a model that was closed.

    Raises:
        ClosedError: so it was.
    """
    if model.closed:
        raise ClosedError(f"the model {model.name} was closed, as engines close their models. Load it again.")

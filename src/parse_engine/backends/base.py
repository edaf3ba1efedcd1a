"""What the engine asks of a model, wherever it runs.

A model is a next-token machine over token ids with a prefix cache of its own: the engine always passes whole sequences
and never handles caches. A back end computes only what it has not cached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from parse_engine.config import SamplingParams
from parse_engine.text import Codec


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
    logprobs: bool = False
    """Whether the log-probabilities of the draft tokens are wanted."""


@dataclass(frozen=True)
class Scores:
    """What one verification pass read."""

    labels: tuple[tuple[float, float], ...] | None = None
    """For each boundary the probabilities of Correct and of Incorrect after its suffix."""
    logprobs: tuple[float, ...] | None = None
    """log p(y_t | x, y_<t) in nats, for each draft token."""


class Model(Protocol):
    """A drafter or a target."""

    name: str
    codec: Codec
    context_length: int
    """Most tokens of prompt and answer together."""
    eos: frozenset[int]
    """Tokens that end an answer."""
    computed_tokens: int
    """Rows that went through the model so far, over all calls."""

    def decode(self, tokens: Sequence[int], params: SamplingParams, max_tokens: int) -> Iterator[int]:
        """Continue `tokens`: yields at most `max_tokens` ids, and nothing after one that ends the answer.

        The id after the last one taken is not computed; closing the iterator stops the work.
        """

    def verify(self, request: VerifyRequest) -> Scores:
        """Score all prefixes of a draft in one pass; afterwards prompt and draft are in the prefix cache."""

    def forget(self) -> None:
        """Empty the prefix cache, so that the next call computes everything."""

    def agreeing(self, tokens: Sequence[int], proposal: Sequence[int]) -> int:
        """How many tokens of `proposal`, in order after `tokens`, equal the model's own greedy choice.

        Reads what the last pass left behind and computes no rows; 0 where the back end keeps nothing to read.
        """

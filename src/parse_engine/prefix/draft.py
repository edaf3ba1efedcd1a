"""A draft in the target's tokens, with all that is known of it before it is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parse_engine.text import Codec


@dataclass(frozen=True)
class Draft:
    """A draft in the target's tokens. `ends` are character offsets as in `Codec.read`."""

    text: str
    tokens: tuple[int, ...]
    ends: tuple[int | None, ...]
    complete: bool
    """Whether the drafter ended it, rather than a token limit."""
    logprobs: tuple[float, ...] | None = None
    """The drafter's own log-probabilities of it, in nats, for each of the target's tokens; None when not asked for."""

    @classmethod
    def of(
        cls,
        tokens: Sequence[int],
        codec: Codec,
        *,
        complete: bool,
        max_tokens: int,
        after: Sequence[int] = (),
        drafted: Drafted | None = None,
    ) -> Draft:
        """At most `max_tokens` tokens; a draft that is cut there is not complete.

        Args:
            after: as in `Codec.read`.
            drafted: the drafter's log-probabilities, for the text that the tokens stand for.
        """
        text, ends = codec.read(tokens[:max_tokens], after)
        logprobs = None if drafted is None else drafted.spread(ends)
        return cls(text, tuple(tokens[:max_tokens]), tuple(ends), complete and len(tokens) <= max_tokens, logprobs)


NO_DRAFT = Draft("", (), (), complete=False)


@dataclass(frozen=True)
class Drafted:
    """The drafter's log-probabilities of its own tokens, and where in the text each of them ends."""

    logprobs: Sequence[float]
    ends: Sequence[int | None]

    def spread(self, ends: Sequence[int | None]) -> tuple[float, ...]:
        """The same for tokens that end elsewhere in the text: each takes its characters' share of what covers them.

            drafter     | un | believable |          -0.2  -1.0
            target      | unbe | lie | vable |       -0.4  -0.3  -0.5

        A token that ends inside a character counts to the one that completes it. The sum over the text stays the same.
        """
        offsets, totals = [0], [0.0]
        total = 0.0
        for logprob, end in zip(self.logprobs, self.ends, strict=True):
            total += logprob
            if end is not None and end > offsets[-1]:
                offsets.append(end)
                totals.append(total)
            elif end is not None:  # a token without text of its own
                totals[-1] = total
        reached = np.interp([_known(ends, at) for at in range(len(ends))], offsets, totals)
        return tuple(np.diff(reached, prepend=0.0).tolist())


def _known(ends: Sequence[int | None], at: int) -> int:
    """The last offset that is known at token `at`."""
    return next((end for end in reversed(ends[: at + 1]) if end is not None), 0)

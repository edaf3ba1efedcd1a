"""The packed pass as data: which rows go through the target, at which positions, and what each one sees.

    tokens     x[0..P)   y[0..L)    s_1 ...    s_2 ...   ...  s_N ...
    position   0..P-1    P..P+L-1   P+b_1+j    P+b_2+j        P+b_N+j

with one draft of four tokens, boundaries after two and four, and suffixes of two tokens (# seen, . hidden):

                 x x y y y y s1 s1 s2 s2
    x            # . . . . . .  .  .  .
    x            # # . . . . .  .  .  .
    y            # # # . . . .  .  .  .
    y            # # # # . . .  .  .  .      base rows: causal
    y            # # # # # . .  .  .  .
    y            # # # # # # .  .  .  .
    s1           # # # # . . #  .  .  .      suffix rows: their own prefix and themselves
    s1           # # # # . . #  #  .  .
    s2           # # # # # # .  .  #  .
    s2           # # # # # # .  .  #  #

The base comes first, so that cropping the suffix rows off the KV cache leaves a cache ready to continue from.
Shape letters: C cached keys, Q new rows, K = C + Q keys, N boundaries. (PARSE, arXiv 2605.04263; that the rotary
positions of a suffix continue its own prefix is our reading.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """One packed pass.

    Every row sees the keys below its `limit`, and those from its `start` up to itself. For base rows `limit` and
    `start` are 0; for a suffix `limit` is the end of its prefix and `start` its own first key.
    """

    cached: int
    """C: keys already in the cache, all of them of the base."""
    base: int
    """New base rows; the first key of the suffixes is cached + base."""
    tokens: Tensor
    """[Q] token ids."""
    positions: Tensor
    """[Q] rotary positions."""
    limit: Tensor
    """[Q]"""
    start: Tensor
    """[Q]"""
    reads: Tensor
    """[N] the last row of each suffix, where its verdict is read; empty without suffixes."""

    @property
    def keys(self) -> int:
        """K"""
        return self.cached + len(self.tokens)


def pack(base: Sequence[int], cached: int, prefix_ends: Sequence[int], suffixes: Sequence[Sequence[int]]) -> Layout:
    """Lay out the rows of one pass.

    Args:
        base: the tokens of prompt and draft; the first `cached` of them are in the cache and are not packed.
        cached: C, less than len(base) or equal to it.
        prefix_ends: for every suffix the number of base tokens it continues (P + b_i).
        suffixes: the tokens of every suffix; none may be empty.

    Raises:
        ValueError: lengths that do not fit together.
    """
    if not 0 <= cached <= len(base):
        raise ValueError(f"{cached} cached tokens of a base of {len(base)}")
    if len(prefix_ends) != len(suffixes) or any(not suffix for suffix in suffixes):
        raise ValueError("every prefix needs one suffix of at least one token")
    if any(not 0 < end <= len(base) for end in prefix_ends):
        raise ValueError(f"prefix ends {list(prefix_ends)} outside of a base of {len(base)}")
    fresh = len(base) - cached
    tokens, positions = list(base[cached:]), list(range(cached, len(base)))
    limit, start = [0] * fresh, [0] * fresh
    reads = []
    for end, suffix in zip(prefix_ends, suffixes, strict=True):
        first_key = cached + len(tokens)
        limit += [end] * len(suffix)
        start += [first_key] * len(suffix)
        positions += range(end, end + len(suffix))
        tokens += suffix
        reads.append(len(tokens) - 1)
    columns = (torch.tensor(column, dtype=torch.long) for column in (tokens, positions, limit, start, reads))
    return Layout(cached, fresh, *columns)


def visible(layout: Layout) -> Tensor:
    """[Q, K] bool: whether row q sees key k."""
    key = torch.arange(layout.keys)[None, :]
    row = layout.cached + torch.arange(len(layout.tokens))[:, None]
    return (key < layout.limit[:, None]) | ((key >= layout.start[:, None]) & (key <= row))


def mask_mod(layout: Layout, device: torch.device) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The same rule as `visible`, as a mask function for FlexAttention's block masks."""
    limit, start = layout.limit.to(device), layout.start.to(device)

    def rule(batch: Tensor, head: Tensor, row: Tensor, key: Tensor) -> Tensor:
        return (key < limit[row]) | ((key >= start[row]) & (key <= layout.cached + row))

    return rule

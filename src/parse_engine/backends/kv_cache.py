"""A model's memory of one sequence: keys and values in transformers' cache, the last hidden states beside them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer


class KVCache:
    """Keys and values of `tokens`, and the final hidden states of its newest rows.

    `hidden` [H, d] belongs to the last H of `tokens`. It lets a later call read logits at a row that a pass has already
    computed, the accepted boundary above all, so that nothing is computed twice.
    """

    def __init__(self, config: PreTrainedConfig):
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.past = DynamicCache(config=self._config)
        context = getattr(self._config, "max_position_embeddings", None) or 0
        self.past.layers = [_unwindowed(layer, context) for layer in self.past.layers]
        self.tokens: list[int] = []
        self.hidden: Tensor | None = None

    @property
    def can_crop(self) -> bool:
        """Whether rows can be taken back: true for full attention only, in every layer."""
        return all(type(layer) is DynamicLayer for layer in self.past.layers)

    def reuse(self, tokens: Sequence[int], most: int) -> int:
        """Keep the longest common prefix of cache and `tokens`, at most `most`, drop the rest; returns its length."""
        pairs = zip(self.tokens[:most], tokens, strict=False)
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if common < len(self.tokens):
            if self.can_crop:
                self.crop(common)
            else:
                self.reset()
        return len(self.tokens)

    def crop(self, length: int) -> None:
        """Drop all but the first `length` tokens, in every layer."""
        extra = len(self.tokens) - length
        if extra == 0:
            return
        self.crop_rows(extra)
        del self.tokens[length:]
        if self.hidden is not None:
            self.hidden = self.hidden[:-extra] if extra < len(self.hidden) else None

    def crop_rows(self, rows: int) -> None:
        """Drop the newest `rows` keys and values of every layer, tokens and hidden states untouched."""
        if rows:
            self.past.crop(-rows)

    def append(self, tokens: Sequence[int], hidden: Tensor) -> None:
        """Note that the model has just added `tokens`, whose final hidden states are `hidden` [len(tokens), d]."""
        self.tokens += tokens
        self.hidden = hidden

    def row(self, index: int) -> Tensor | None:
        """[d] final hidden state of token `index`, or None where it is not kept."""
        if self.hidden is None:
            return None
        at = index - (len(self.tokens) - len(self.hidden))
        return self.hidden[at] if 0 <= at < len(self.hidden) else None


def _unwindowed(layer: Any, context: int) -> Any:
    """A layer whose window holds the whole context keeps everything, as one of full attention does."""
    wide = type(layer) is DynamicSlidingWindowLayer and layer.sliding_window >= context
    return DynamicLayer() if wide else layer  # type: ignore[no-untyped-call]

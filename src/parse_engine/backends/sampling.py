"""From logits to the next token."""

from __future__ import annotations

import torch
from torch import Tensor

from parse_engine.config import SamplingParams


def warp(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """[V] probabilities after temperature and nucleus; `temperature` is above 0."""
    probs = torch.softmax((logits.float() - logits.max()) / temperature, dim=-1)
    if top_p < 1:
        ordered, order = probs.sort(descending=True)
        # A token stays while the mass before it is below top_p: the smallest set with at least that mass.
        kept = ordered.cumsum(-1) - ordered < top_p
        probs = torch.zeros_like(probs).scatter(-1, order, ordered * kept)
        probs = probs / probs.sum()
    return probs


class Sampler:
    """Draws tokens for one answer, repeatably where a seed is given."""

    def __init__(self, params: SamplingParams, device: torch.device):
        self._params = params
        self._generator = torch.Generator(device)
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(params.seed)

    def __call__(self, logits: Tensor) -> int:
        """The next token from [V] logits."""
        if self._params.greedy:
            return int(logits.argmax())
        probs = warp(logits, self._params.temperature, self._params.top_p)
        return int(torch.multinomial(probs, 1, generator=self._generator))

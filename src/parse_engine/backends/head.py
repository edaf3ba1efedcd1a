"""A model's own way from final hidden states to logits."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput


class Head:
    """The logits of hidden states: LM head, and what the architecture does before it and after it.

    It is the model without its decoder, sharing its weights: embeddings that are given to it go straight to the head.
    """

    def __init__(self, model: PreTrainedModel, decoder: nn.Module):
        path = next(name for name, module in model.named_modules() if module is decoder)
        self._model = _without_decoder(model, path.split("."))

    def __call__(self, hidden: Tensor) -> Tensor:
        """[..., V] logits of hidden states [..., d]."""
        logits: Tensor = self._model(inputs_embeds=hidden.reshape(1, -1, hidden.shape[-1]), use_cache=False).logits[0]
        return logits.view(*hidden.shape[:-1], -1)


def find_decoder(model: PreTrainedModel) -> nn.Module:
    """The part of a model that ends with its final hidden states."""
    decoder: nn.Module = model.get_decoder()  # type: ignore[no-untyped-call]
    if isinstance(decoder, PreTrainedModel) and decoder is not model:
        return decoder
    # Some models (ModernBERT, Llama 4) call another part a decoder, or name it in a way that transformers misses.
    return next((part for part in model.children() if isinstance(part, PreTrainedModel)), decoder)


def cache_option(decoder: nn.Module) -> str:
    """By which name a decoder takes its cache: Mamba's have one of their own."""
    return "cache_params" if "cache_params" in inspect.signature(decoder.forward).parameters else "past_key_values"


@dataclass
class _States(ModelOutput):
    """A decoder's output of which the final hidden states are known, and all else is None."""

    last_hidden_state: Tensor | None = None

    def __getattr__(self, name: str) -> None:
        return None


def _pass_on(*others: Any, inputs_embeds: Tensor, **options: Any) -> _States:
    """In the place of a decoder's forward: the embeddings that it is given are its final hidden states."""
    return _States(last_hidden_state=inputs_embeds)


def _without_decoder(module: nn.Module, path: Sequence[str]) -> nn.Module:
    """The module with `_pass_on` for the forward of the part at `path`; it shares everything else."""
    twin = copy.copy(module)
    if path:
        twin._modules = {**module._modules, path[0]: _without_decoder(getattr(module, path[0]), path[1:])}
    else:
        twin.forward = _pass_on
    return twin

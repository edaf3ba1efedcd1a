"""Whether a model computes behind the engine what it computes by itself: tried on a dozen tokens when it is loaded.

The architectures of transformers share an interface, not what they do with it: some ignore positions or masks, some
have caches of their own. What does not agree would give wrong answers without a word.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from parse_engine.errors import ParseEngineError
from parse_engine.prefix.layout import pack

if TYPE_CHECKING:
    from parse_engine.backends.hf import HFModel

# The largest root mean square difference of logits that is rounding, over their standard deviation. Wrong positions
# or masks make it 0.1 to 1.
_ROUNDING = {torch.float32: 0.01, torch.float16: 0.03, torch.bfloat16: 0.1}
_TOKENS = 12


@dataclass(frozen=True)
class Agreement:
    """What a model does otherwise behind the engine than by itself, in words; empty where it agrees."""

    decoding: str
    """Reading a prompt, and token by token behind it."""
    extending: str
    """Reading several tokens behind those in the cache."""
    packing: str
    """One pass over several prefixes, and going back to one of them."""


@torch.inference_mode()
def find_agreement(model: HFModel) -> Agreement:
    """Compare a model with its own plain forward. Leaves its prefix cache filled.

    Raises:
        DeviceError: the device's memory does not suffice.
    """
    with _eager_attention(model):
        return _compare(model, _tokens(model))


def _compare(model: HFModel, tokens: Sequence[int]) -> Agreement:
    own = cache(lambda: model._own_logits(tokens))
    half, end = len(tokens) // 2, len(tokens)
    extending = _fault(lambda: _in_pieces(model, tokens, [0, half, end - 1, end], own()))
    decoding = extending and _fault(lambda: _in_pieces(model, tokens, [0, end - 2, end - 1, end], own()))
    return Agreement(decoding, extending, decoding or _fault(lambda: _packed(model, tokens, own())))


@contextmanager
def _eager_attention(model: HFModel) -> Iterator[None]:
    """FlexAttention is compiled anew for lengths that are not seen again; the architecture is the same without it."""
    given = model._config._attn_implementation
    if given != "flex_attention":
        yield
        return
    model._model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model._model.set_attn_implementation(given)


def _fault(check: Callable[[], str]) -> str:
    try:
        return check()
    except ParseEngineError:
        raise
    except Exception as error:  # an architecture may fail in any way
        return textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" ...")


def _in_pieces(model: HFModel, tokens: Sequence[int], cuts: Sequence[int], own: Tensor) -> str:
    model.cache.reset()
    rows = [model._forward(tokens[start:end], range(start, end)) for start, end in pairwise(cuts)]
    if _agree(model, model._logits(torch.cat(rows)), own):
        return ""
    return "read piece by piece, a text gets other probabilities than in one pass"


def _packed(model: HFModel, tokens: Sequence[int], own: Tensor) -> str:
    if not model.cache.can_crop:
        return "its cache cannot be taken back to a boundary"
    model.cache.reset()
    end = len(tokens) // 3
    base, suffix = tokens[: 2 * end], tokens[2 * end :]  # the suffix is asked behind half of the base and behind it all
    hidden = model._packed(pack(base, 0, [end, len(base)], [suffix, suffix]), base, middle=False)[0]
    logits = model._logits(hidden[len(base) :])
    inner = model._own_logits([*base[:end], *suffix])[end:]
    if not _agree(model, logits, torch.cat([inner, own[len(base) :]])):
        return "a pass over several prefixes gives other probabilities than a pass over each of them"
    model.cache.reuse(base, most=end)
    if not _agree(model, model._logits(model._forward(suffix, range(end, end + len(suffix)))), inner):
        return "taken back to a boundary, its cache gives other probabilities than a new one"
    return ""


def _agree(model: HFModel, ours: Tensor, own: Tensor) -> bool:
    """Whether logits [T, V] are the same but for rounding; a NaN agrees with nothing."""
    ours, own = ours.float(), own.float()
    far = (ours - own).square().mean(-1).sqrt() / own.std(-1).clamp_min(torch.finfo(own.dtype).tiny)
    return bool(far.max() <= _ROUNDING[model._model.dtype])


def _tokens(model: HFModel) -> list[int]:
    """Different ids from all over the vocabulary, none of them special."""
    added = model.codec.backend.get_added_tokens_decoder()
    special = {token for token, about in added.items() if about.special}
    padding = getattr(model._config, "pad_token_id", None)  # some architectures do not count it as a position
    known = range(min(model.codec.size, model._config.vocab_size))
    ids = [token for token in known if token not in special and token != padding]
    return ids[:: max(1, len(ids) // _TOKENS)][:_TOKENS]

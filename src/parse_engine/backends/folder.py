"""What is read from a model's folder without loading its weights."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
)

from parse_engine.backends.kv_cache import KVCache
from parse_engine.config import Attention
from parse_engine.errors import ModelNotFoundError, UnsupportedModelError
from parse_engine.text import Codec

# They keep their memory in another form than transformers' DynamicCache, or have none.
_OWN_CACHE = {"minimax", "openai-gpt", "prophetnet", "reformer", "rwkv", "xlm", "xlnet", "xlstm"}
_ALIBI = {"bloom", "mpt"}  # always; others say so in their configuration
# Their positions begin behind the id of the padding token.
_OFFSET = {"camembert", "data2vec-text", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"}
_STATE_SPACE = {"mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm", "recurrent_gemma", "zamba", "zamba2", "jamba"}

Ends = dict[str, frozenset[int]]
"""Ids that end an answer, by who names them."""


def read_codec(path: Path, kind: type[Codec] = Codec) -> Codec:
    """The tokenizer of a model folder, as a codec of this kind.

    Raises:
        ModelNotFoundError: there is none, or a broken one.
        UnsupportedModelError: it is not a fast one.
    """
    with reading("tokenizer", path):
        tokenizer = AutoTokenizer.from_pretrained(path)
    return kind(tokenizer)


def read_config(path: Path) -> PreTrainedConfig:
    """The configuration of a folder's language model.

    Raises:
        ModelNotFoundError: there is none, or a broken one.
    """
    return _whole_config(path).get_text_config()


def _whole_config(path: Path) -> PreTrainedConfig:
    """The same with what is not of its language model."""
    with reading("model", path):
        config: PreTrainedConfig = AutoConfig.from_pretrained(path)
    return config


def read_ends(path: Path, codec: Codec) -> Ends:
    """The ids that end an answer, by who names them; see `named_ends`."""
    try:
        generation = GenerationConfig.from_pretrained(path)
    except OSError:
        generation = None
    return named_ends(codec, read_config(path), generation)


def named_ends(codec: Codec, config: PreTrainedConfig, generation: GenerationConfig | None) -> Ends:
    """The ids that end an answer, by who names them. All of them do: published models often lack some in one place.

    What a configuration names because its class has this default, and is an ordinary token here, is left out.
    """
    default = as_ids(getattr(type(config), "eos_token_id", None))
    named = {
        "the generation config": as_ids(None if generation is None else generation.eos_token_id),
        "the configuration": as_ids(config.eos_token_id),
        "the tokenizer": as_ids(codec.eos),
        "the chat template": as_ids(codec.turn_end),
    }
    return {
        who: frozenset(id for id in ids if id not in default or not codec.is_text(id)) for who, ids in named.items()
    }


def united(ends: Ends) -> frozenset[int]:
    """All of them."""
    return frozenset(id for ids in ends.values() for id in ids)


def as_ids(eos: int | list[int] | None) -> frozenset[int]:
    """The `eos_token_id` of a configuration, which may be one id, several or none."""
    return frozenset([eos] if isinstance(eos, int) else eos or [])


def check_target(path: Path) -> None:
    """Refuse a target whose cache cannot be rolled back, before its weights are loaded.

    Raises:
        UnsupportedModelError: sliding-window, state-space or hybrid layers.
        ModelNotFoundError: the folder holds no model configuration, or a broken one.
    """
    config = read_config(path)
    layers = set(getattr(config, "layer_types", None) or []) - {"full_attention"}
    kinds = layers - {"sliding_attention", "chunked_attention"}  # what these mean depends on their width
    if config.model_type in _STATE_SPACE:
        kinds.add("state-space")
    if not kinds and not KVCache(config).can_crop:
        kinds = layers or {"sliding-window"}
    if kinds:
        raise UnsupportedModelError(
            f"the target in {path} has {', '.join(sorted(kinds))} layers, whose cache cannot be taken back to a "
            "boundary. PARSE needs full attention in every layer; use another target."
        )


def check_here(path: Path, *, judges: bool = False, attention: Attention = "sdpa") -> None:
    """Refuse a model that does not work on transformers, as far as that is known without its weights.

    Args:
        judges: it is to judge drafts, in packed passes.

    Raises:
        UnsupportedModelError: its architecture, or a packed pass, does not work here.
        ModelNotFoundError: the folder holds no model configuration, or a broken one.
    """
    whole = _whole_config(path)
    config = whole.get_text_config()
    kind = f"the model in {path} is of type {whole.model_type}"
    if type(whole) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise UnsupportedModelError(
            f"{kind}, of which transformers has no causal language model. Use another model, or the address of a "
            "server that runs this one."
        )
    architecture: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(whole)]
    reason = ""
    if config.model_type in _OWN_CACHE:
        reason = "which does not keep its memory in a cache that the engine can use"
    elif config.model_type in _OFFSET:
        reason = "whose positions do not begin with 0"
    if reason:
        raise UnsupportedModelError(
            f"{kind}, {reason}. Use another model, or the address of a server that runs this one."
        )
    if attention == "flex_attention" and not architecture._supports_flex_attn:
        raise UnsupportedModelError(f"{kind}, which has no flex_attention in transformers. Use --attention sdpa.")
    if not judges:
        return
    if config.model_type in _ALIBI or getattr(config, "alibi", False):
        reason = "whose attention goes by distance in the pass (ALiBi)"
    elif "position_ids" not in inspect.signature(architecture.forward).parameters:
        reason = "which counts positions by itself"
    elif (
        "local" in getattr(config, "attention_layers", ()) or config.model_type == "doge"
    ):  # the cache keeps everything
        reason = "which attends to a part of the keys, counted in rows of the pass"
    if reason:
        raise UnsupportedModelError(
            f"{kind}, {reason}: it cannot judge several prefixes of a draft in one pass. Use it as the drafter or with "
            "--method target, or use another target."
        )


def context_length(config: PreTrainedConfig, name: str) -> int:
    """Most tokens of prompt and answer together.

    Rotary frequencies may change once a text is longer than those of the first training (longrope, as in Phi-3). Keys
    computed before do not fit then, and one pass over long and short prefixes has one table for all: so the context
    ends there.

    Raises:
        UnsupportedModelError: the configuration does not tell.
    """
    length = longest_text(config)
    if length is None:
        raise UnsupportedModelError(
            f"the configuration of {name} has no max_position_embeddings, which says how long its context is. Add it "
            "to config.json, or use another model."
        )
    given: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    tables = [given, *(each for each in given.values() if isinstance(each, dict))]  # one, or one by kind of layer
    switches = [
        int(table["original_max_position_embeddings"]) for table in tables if table.get("rope_type") == "longrope"
    ]
    return min([length, *switches])


def longest_text(config: PreTrainedConfig) -> int | None:
    """The context that a configuration names."""
    length = getattr(config, "max_position_embeddings", None)
    return None if length is None else int(length)


@contextmanager
def reading(what: str, path: Path) -> Iterator[None]:
    """Whatever is raised inside becomes a ModelNotFoundError."""
    try:
        yield
    except Exception as error:  # transformers, safetensors and the Rust tokenizers have no error in common
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 250, placeholder=" ...")
        raise ModelNotFoundError(
            f"no usable {what} in {path} ({reason}). Fetch the model again, or give another one."
        ) from error

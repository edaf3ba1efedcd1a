"""What is read from a model's folder without loading its weights."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedConfig

from parse_engine.backends.kv_cache import KVCache
from parse_engine.errors import ModelNotFoundError, UnsupportedModelError
from parse_engine.text import Codec

_STATE_SPACE = {"mamba", "mamba2", "falcon_mamba", "rwkv", "xlstm", "recurrent_gemma", "zamba", "zamba2", "jamba"}

Ends = dict[str, frozenset[int]]
"""Ids that end an answer, by who names them."""


def read_codec(path: Path) -> Codec:
    """The tokenizer of a model folder.

    Raises:
        ModelNotFoundError: there is none, or a broken one.
        UnsupportedModelError: it is not a fast one.
    """
    with reading("tokenizer", path):
        tokenizer = AutoTokenizer.from_pretrained(path)
    return Codec(tokenizer)


def read_config(path: Path) -> PreTrainedConfig:
    """The configuration of a folder's language model.

    Raises:
        ModelNotFoundError: there is none, or a broken one.
    """
    with reading("model", path):
        config: PreTrainedConfig = AutoConfig.from_pretrained(path).get_text_config()
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
    kinds = set(getattr(config, "layer_types", None) or []) - {"full_attention"}
    if config.model_type in _STATE_SPACE:
        kinds.add("state-space")
    if not kinds and not KVCache(config).can_crop:
        kinds.add("sliding-window")
    if kinds:
        raise UnsupportedModelError(
            f"the target in {path} has {', '.join(sorted(kinds))} layers, whose cache cannot be taken back to a "
            "boundary. PARSE needs full attention in every layer; use another target."
        )


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

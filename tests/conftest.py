"""Small models and tokenizers of our own: random weights, bytes as tokens, no downloads."""

from __future__ import annotations

import os
import signal

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from parse_engine.backends.hf import HFModel
from parse_engine.text import Codec

# A shell that starts the tests in the background has them ignore interrupts, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

CHATML = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


LABELS = ("Correct", "Incorrect")


def byte_tokenizer(
    merged: tuple[str, ...] = (), template: str | None = CHATML, labels: tuple[str, ...] = LABELS
) -> PreTrainedTokenizerFast:
    """Every byte a token, and the labels; `merged` adds longer tokens, so that two tokenizers can disagree."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={symbol: index for index, symbol in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>", "<|user|>", "<|assistant|>", "<|system|>"])
    tokenizer.add_tokens([*labels, *merged])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", name_or_path="tiny")
    fast.chat_template = template
    return fast


def ascii_tokenizer(lower: bool = False) -> PreTrainedTokenizerFast:
    """A token for each ASCII character and none for others, which are lost; with `lower` none for capitals either."""
    characters = [chr(code) for code in [10, *range(32, 127)]]
    tokenizer = Tokenizer(models.BPE({"<unk>": 0} | {c: n for n, c in enumerate(characters, 1)}, [], unk_token="<unk>"))
    tokenizer.decoder = decoders.Fuse()
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_special_tokens(["<unk>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<|end|>")
    fast.chat_template = CHATML
    return fast


def tiny_model(
    seed: int = 0, layers: int = 2, tokenizer: PreTrainedTokenizerFast | None = None, attention: str = "sdpa"
) -> HFModel:
    """A random Llama of two narrow layers in float32 on the CPU, with weights large enough to have opinions."""
    tokenizer = tokenizer or byte_tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        attn_implementation=attention,
    )
    return HFModel(LlamaForCausalLM(config), Codec(tokenizer), f"tiny-{seed}")


@pytest.fixture
def target() -> HFModel:
    return tiny_model(seed=1)


@pytest.fixture
def drafter() -> HFModel:
    return tiny_model(seed=2, layers=1)

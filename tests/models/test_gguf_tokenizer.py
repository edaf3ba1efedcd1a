from __future__ import annotations

import pytest

from parse_engine.errors import UnsupportedModelError
from parse_engine.models.gguf_tokenizer import read_tokenizer

from .fakes import gguf_metadata

TEXTS = [
    "def f(x):\n    return x**2  # ok\n",
    "naïve café, 日本語 🙂",
    "in 2024: 1,234.5 %\r\n\r\n\t end  ",
    "it's <end> WE'LL",
]


@pytest.mark.parametrize("kind", ["qwen2", "smollm"])
def test_decoding_gives_the_text_back(kind: str) -> None:
    tokenizer = read_tokenizer(gguf_metadata(kind), "<end>")
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("kind", ["qwen2", "smollm"])
def test_digits_stand_alone_though_a_merge_would_join_them(kind: str) -> None:
    """The usual byte-level cut keeps 2024 whole, and the merge `2 0` would then give ids the model never saw."""
    tokenizer = read_tokenizer(gguf_metadata(kind), "<end>")
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("in 2024"))[-4:] == ["2", "0", "2", "4"]
    assert "20" in tokenizer.get_vocab()
    assert tokenizer.tokenize("in in") == ["in", "Ġ", "in"]


def test_special_tokens_keep_their_ids() -> None:
    metadata = gguf_metadata("qwen2")
    tokens = metadata["tokenizer.ggml.tokens"]
    tokenizer = read_tokenizer(metadata, "<end>")
    for token in ("<end>", "<start>", "<tool>"):
        assert tokenizer.encode(token) == [tokens.index(token)]
    assert tokenizer.eos_token_id == tokens.index("<end>")
    assert tokenizer.decode(tokenizer.encode("<start>a<tool>b<end>"), skip_special_tokens=True) == "a<tool>b"
    assert tokenizer.bos_token == "<start>"


def test_placeholders_stay_out() -> None:
    tokenizer = read_tokenizer(gguf_metadata("qwen2"), "<end>")
    assert "[PAD0]" not in tokenizer.get_vocab()


def test_the_chat_template_comes_along() -> None:
    tokenizer = read_tokenizer(gguf_metadata("qwen2"), "<end>")
    text = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert text == "<start>hi<end>"


def test_an_unknown_cut_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="'llama-bpe' is not known"):
        read_tokenizer(gguf_metadata("llama-bpe"), "<end>")

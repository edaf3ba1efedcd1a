"""Which tokens end an answer: what tokenizer, template and both configurations name, together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import GenerationConfig, LlamaConfig, Qwen2Config

from parse_engine import Engine
from parse_engine.backends.folder import named_ends, read_codec, read_ends, united
from parse_engine.models.resolve import resolve
from parse_engine.preflight import end_findings
from parse_engine.text import Codec
from tests.conftest import CHATML, byte_tokenizer

QUESTION = (
    "Ada has 12 apples. In May Ada buys 5 more apples. In June Ada sells 4 apples. In July Ada doubles the apples. "
    "How many apples does Ada have at the end?"
)

GPT_OSS = (
    "{% for m in messages %}<|start|>{{ m['role'] }}<|message|>{{ m['content'] }}"
    "{% if loop.last and m['role'] == 'assistant' %}<|return|>{% else %}<|end|>{% endif %}{% endfor %}"
)


def edited(folder: Path, **eos: Any) -> Path:
    """A copy of the embedded target with other ends in both configurations."""
    shutil.copytree(resolve("embedded-target"), folder)
    for name in ("config.json", "generation_config.json"):
        values = json.loads((folder / name).read_text()) | eos
        (folder / name).write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize("id", [0, None, []])
def test_an_answer_ends_where_the_tokenizer_says_so_too(tmp_path: Path, id: Any) -> None:
    """Models whose generation config names another token ran to max_tokens, and wrote on behind the end of the turn."""
    folder = edited(tmp_path / "model", eos_token_id=id)
    with Engine.load("embedded-target", None) as engine:
        right = engine.generate(QUESTION, method="target")
    with Engine.load(folder, None) as engine:
        answer = engine.generate(QUESTION, method="target")
    assert (answer.text, answer.finish_reason) == (right.text, "stop")
    codec = read_codec(folder)
    [finding] = end_findings("target", codec, read_ends(folder, codec))
    assert finding.level == "warn"
    assert "the tokenizer <|end|>; the chat template <|end|>" in finding.text


def test_ends_that_agree_are_no_finding() -> None:
    codec = read_codec(resolve("embedded-target"))
    ends = read_ends(resolve("embedded-target"), codec)
    assert list(end_findings("target", codec, ends)) == []
    assert len(united(ends)) == 1


def test_nothing_that_ends_an_answer_is_a_finding() -> None:
    codec = Codec(byte_tokenizer(template=None))
    [finding] = end_findings("draft", codec, {"the configuration": frozenset()})
    assert finding.level == "warn"
    assert "run to max_tokens" in finding.text


def test_each_place_counts() -> None:
    tokenizer = byte_tokenizer(template=CHATML.replace("<|end|>", "\n<|user|>"))
    tokenizer.eos_token = "<|system|>"
    end, user, assistant, system = (
        tokenizer.convert_tokens_to_ids(f"<|{t}|>") for t in ("end", "user", "assistant", "system")
    )
    named = named_ends(Codec(tokenizer), Qwen2Config(eos_token_id=end), GenerationConfig(eos_token_id=[assistant, 7]))
    assert united(named) == {end, user, assistant, system, 7}


def test_a_default_of_the_architecture_is_no_end_where_it_is_an_ordinary_token() -> None:
    """Llama's class says 2, whatever the tokenizer has there."""
    codec = Codec(byte_tokenizer())
    assert united(named_ends(codec, LlamaConfig(), GenerationConfig.from_model_config(LlamaConfig()))) == {codec.eos}
    assert 3 in united(named_ends(codec, LlamaConfig(eos_token_id=3), None))


@pytest.mark.parametrize(
    ("template", "token"),
    [
        (CHATML, "<|end|>"),
        (CHATML.replace("<|end|>", " <|end|>\n"), "<|end|>"),
        (GPT_OSS, "<|return|>"),
        (CHATML.replace("<|end|>", "\n\n"), None),
        ("{{ raise_exception('no') }}", None),
        ("{{ messages[0]['content'] }}<|end|>", None),
        (None, None),
    ],
)
def test_the_end_that_a_template_writes(template: str | None, token: str | None) -> None:
    tokenizer = byte_tokenizer(template=template)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|return|>", "<|"]})
    codec = Codec(tokenizer)
    assert codec.turn_end == (None if token is None else tokenizer.convert_tokens_to_ids(token))

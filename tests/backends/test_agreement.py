"""Architectures that do otherwise than most: refused in one line, or used without what they cannot do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import T5Config

from parse_engine.backends.folder import check_here, check_target
from parse_engine.backends.hf import HFModel
from parse_engine.backends.load import LoadOptions, load_pair
from parse_engine.config import ParseConfig
from parse_engine.errors import UnsupportedModelError
from parse_engine.models.resolve import resolve
from parse_engine.preflight import check
from parse_engine.text import Codec
from tests.backends.architectures import tiny_config, tiny_network
from tests.backends.test_architectures import greedy
from tests.backends.test_hf import decoded
from tests.conftest import byte_tokenizer

Save = Callable[..., Path]
CPU: LoadOptions = {"device": "cpu"}
PROMPT = list(range(40, 52))


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a tiny random model of a kind."""

    def write(kind: str, **own: Any) -> Path:
        config = tiny_config(kind, **own)
        if getattr(config, "max_position_embeddings", None) is None:
            config.max_position_embeddings = 512
        tiny_network(config).save_pretrained(tmp_path)
        byte_tokenizer().save_pretrained(tmp_path)
        return tmp_path

    return write


def failures(target: str | Path, draft: str | Path | None) -> list[str]:
    return [each.text for each in check(target, draft, ParseConfig(), 64, CPU) if each.level == "fail"]


@pytest.mark.parametrize(
    ("kind", "own", "reason"),
    [
        ("bart", {}, "which counts positions by itself"),
        ("falcon", {"alibi": True}, "whose attention goes by distance in the pass (ALiBi)"),
        ("bloom", {}, "whose attention goes by distance in the pass (ALiBi)"),
    ],
)
def test_what_cannot_judge_several_prefixes_in_one_pass_still_drafts(
    kind: str, own: dict[str, Any], reason: str, save: Save
) -> None:
    """BART's verdicts were off by up to 0.17 without a word, Falcon's and BLOOM's were tracebacks."""
    folder = save(kind, **own)
    with pytest.raises(UnsupportedModelError) as refused:
        load_pair(folder, "embedded-drafter", **CPU)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [text for text in failures(folder, "embedded-drafter") if reason in text]
    model = HFModel.load(folder, device="cpu")
    with pytest.raises(UnsupportedModelError, match="cannot judge drafts on transformers"):
        model.check_verify()  # found out on a dozen tokens, whatever the configuration says
    model.eos = frozenset()
    assert decoded(model, PROMPT, 6) == greedy(model, PROMPT, 6)
    assert failures("embedded-target", folder) == []


@pytest.mark.parametrize("kind", ["bert", "electra", "ernie", "granite", "falcon_h1", "cohere"])
def test_logits_are_those_of_the_models_own_head(kind: str) -> None:
    """What BERT's head does before its last matrix was left out: tokens and verdicts were wrong."""
    model = HFModel(tiny_network(tiny_config(kind)), Codec(byte_tokenizer()), kind)
    model.eos = frozenset()
    with torch.inference_mode():
        ours = model._logits(model._forward(PROMPT, range(len(PROMPT))))
        torch.testing.assert_close(ours, model._own_logits(PROMPT), atol=1e-4, rtol=1e-4)
    assert decoded(model, PROMPT, 6) == greedy(model, PROMPT, 6)


@pytest.mark.parametrize("kind", ["gemma2", "gpt_oss", "gptj", "bloom", "mamba", "modernbert-decoder", "llama4_text"])
def test_a_drafter_needs_no_particular_attention(kind: str, save: Save) -> None:
    """Models without SDPA were "no usable model ... Fetch the model again", the last two tracebacks."""
    folder = save(kind)
    model = HFModel.load(folder, device="cpu")
    model.eos = frozenset()
    assert decoded(model, PROMPT, 6) == greedy(model, PROMPT, 6)
    longer = [*PROMPT, 90, 91, 92]
    assert decoded(model, longer, 4) == greedy(model, longer, 4)
    assert failures("embedded-target", folder) == []


def test_attention_that_the_model_does_not_have_is_refused(save: Save) -> None:
    with pytest.raises(UnsupportedModelError, match=r"type gptj, which has no flex_attention .* Use --attention sdpa"):
        HFModel.load(save("gptj"), device="cpu", attention="flex_attention")


def test_a_cache_of_its_own_is_refused(save: Save) -> None:
    """MiniMax was a traceback, and a check that found nothing."""
    folder = save("minimax")
    with pytest.raises(UnsupportedModelError, match="type minimax, which does not keep its memory in a cache"):
        HFModel.load(folder, device="cpu")
    assert [text for text in failures("embedded-target", folder) if "type minimax" in text]


def test_what_is_no_causal_language_model_is_not_fetched_again(tmp_path: Path) -> None:
    T5Config().save_pretrained(tmp_path)
    with pytest.raises(UnsupportedModelError, match="type t5, of which transformers has no causal language model"):
        check_here(tmp_path)


LONGROPE = {
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "original_max_position_embeddings": 32,
        "short_factor": [1.0] * 4,
        "long_factor": [4.0] * 4,
    },
    "original_max_position_embeddings": 32,
}


def test_the_context_ends_where_rotary_frequencies_change(save: Save) -> None:
    """Behind the change keys were stale, and one table judged prefixes of both sides: 0.372 for 0.432."""
    folder = save("phi3", **LONGROPE)
    target, drafter = load_pair(folder, folder, **CPU)
    assert target is drafter
    assert target.context_length == 32
    found = check(folder, None, ParseConfig(), 64, CPU)
    [said] = [each for each in found if "rotary frequencies change behind 32 of 512 tokens" in each.text]
    assert said.level == "warn"
    assert "within 32 tokens" in said.advice


def test_a_window_that_holds_the_whole_context_is_full_attention(save: Save) -> None:
    """Phi-3 has one of 262,144 tokens in a context of 4,096 or 131,072, and was refused as a target."""
    folder = save("phi3", sliding_window=512)
    check_target(folder)
    load_pair(folder, folder, **CPU)
    with pytest.raises(UnsupportedModelError, match="sliding-window"):
        check_target(save("phi3", sliding_window=511))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_rounding_is_no_disagreement(dtype: str) -> None:
    for name in ("embedded-target", "embedded-drafter"):
        model = HFModel.load(resolve(name), device="cpu", dtype=dtype)
        model.check_verify()
        assert (model.computed_tokens, model.cache.tokens) == (0, [])


def test_a_second_turn_is_read_anew_where_a_state_cannot_take_several_tokens(save: Save) -> None:
    """Mamba and Jamba go on token by token only: the answer to a second turn was another one."""
    model = HFModel.load(save("jamba"), device="cpu")
    model.eos = frozenset()
    answer = decoded(model, PROMPT, 4)
    turn = [*PROMPT, *answer, 70, 71, 72]
    assert decoded(model, turn, 5) == greedy(model, turn, 5)

"""Every causal architecture of transformers that can be made tiny: right as a target or refused, right as a drafter."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest
import torch

from parse_engine.backends.base import VerifyRequest
from parse_engine.backends.folder import check_here, check_target
from parse_engine.backends.hf import HFModel
from parse_engine.errors import UnsupportedModelError
from parse_engine.text import Codec
from tests.backends.architectures import KINDS, tiny_config, tiny_network
from tests.backends.test_hf import LABELS, decoded, separately, verified
from tests.conftest import byte_tokenizer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # those of architectures that nobody here can mend
]

OWN_CACHE = "not keep its memory in a cache"
POSITIONS = "counts positions by itself"
OFFSET = "positions do not begin with 0"
ALIBI = "ALiBi"
WINDOW = "a part of the keys, counted in rows"  # longer than a dozen tokens
CACHE = "whose cache cannot be taken back"
REFUSED = {
    OWN_CACHE: ["minimax", "openai-gpt", "prophetnet", "reformer", "rwkv", "xlm", "xlnet", "xlstm"],
    POSITIONS: [
        *("bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "marian", "mbart", "mvp", "pegasus", "plbart"),
        *("roformer", "trocr"),
    ],
    OFFSET: ["camembert", "data2vec-text", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"],
    ALIBI: ["bloom", "mpt"],
    WINDOW: ["doge", "gpt_neo"],
    CACHE: [
        *("axk2", "bamba", "deepseek_v32", "deepseek_v4", "falcon_h1", "falcon_mamba", "glm_moe_dsa", "gpt_oss"),
        *("granite_swa", "granitemoe_swa", "granitemoehybrid", "hy_v4", "inkling2_text", "inkling_text", "jamba"),
        *("lfm2", "lfm2_moe", "lfm3", "mamba", "mamba2", "mimo_v2_flash", "modernbert-decoder"),
        *("nemotron_h", "olmo_hybrid", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_next", "recurrent_gemma", "zaya"),
    ],
}
"""Not used as targets, by the reason; those of the first and of OFFSET not as drafters either."""

REASON = {kind: reason for reason, kinds in REFUSED.items() for kind in kinds}


def load(kind: str) -> HFModel:
    config = tiny_config(kind)
    if getattr(config, "max_position_embeddings", None) is None:
        config.max_position_embeddings = 512
    return HFModel(tiny_network(config), Codec(byte_tokenizer()), kind)


def greedy(model: HFModel, tokens: list[int], most: int) -> list[int]:
    """What the model's own forward gives, without a cache."""
    with torch.inference_mode():
        for _ in range(most):
            tokens = [*tokens, int(model._model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax())]
    return tokens[-most:]


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_right_or_refused_and_the_configuration_tells(kind: str, tmp_path: Path) -> None:
    config, reason = tiny_config(kind), REASON.get(kind)
    if getattr(config, "max_position_embeddings", None) is None:
        config.max_position_embeddings = 512
    config.save_pretrained(tmp_path)
    if reason is None:
        check_target(tmp_path)
        check_here(tmp_path, judges=True)
    else:
        check = check_target if reason == CACHE else partial(check_here, judges=True)
        with pytest.raises(UnsupportedModelError, match=reason):
            check(tmp_path)
    if reason in (OWN_CACHE, OFFSET):
        with pytest.raises(UnsupportedModelError, match="does not work on transformers as the engine uses it"):
            load(kind)
        return
    check_here(tmp_path)
    model = load(kind)
    assert (model.computed_tokens, model.cache.tokens) == (0, [])
    rng = random.Random(0)
    prompt, draft, question = (tuple(rng.sample(range(20, 200), count)) for count in (9, 8, 3))
    for tokens in (list(prompt), [*prompt, *draft]):  # the second goes on from the first
        model.eos = frozenset()
        assert decoded(model, tokens, 5) == greedy(model, tokens, 5)
    request = VerifyRequest(prompt, draft, (3, 8), (question, question[:2]), LABELS, frozenset({"logprobs"}))
    if reason not in (None, WINDOW):
        with pytest.raises(UnsupportedModelError, match="cannot judge drafts on transformers"):
            verified(model, request)
        return
    scores = verified(model, request)
    labels, logprobs = separately(model, request)
    for one, other in zip(scores.labels or (), labels, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    assert scores.logprobs == pytest.approx(logprobs, abs=1e-3)
    tokens = [*prompt, *draft[:3]]
    assert decoded(model, tokens, 5) == greedy(model, tokens, 5)

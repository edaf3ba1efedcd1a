"""The packed pass: equal to N separate forwards, and its cache is as good as a fresh one."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import random
import weakref
from collections.abc import Callable, Sequence

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    FalconH1Config,
    Gemma2Config,
    GraniteConfig,
    HyperCLOVAXConfig,
    PreTrainedConfig,
)

from parse_engine.backends import hf
from parse_engine.backends.base import Scores, Signal, Usage, VerifyRequest
from parse_engine.backends.hf import HFModel, pick_device
from parse_engine.config import SamplingParams
from parse_engine.errors import ClosedError, ConfigError, DeviceError
from parse_engine.models.resolve import resolve
from parse_engine.prefix.layout import Layout, visible
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer, tiny_model

LABELS = ((5, 6), (7,))
SIGNALS: tuple[Signal, ...] = ("logprobs", "entropy", "hidden")
GREEDY = SamplingParams()
SMALL = {
    "vocab_size": 262,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "eos_token_id": None,
    "bos_token_id": None,
    "pad_token_id": None,
}


def decoded(model: HFModel, tokens: Sequence[int], most: int, params: SamplingParams = GREEDY) -> list[int]:
    async def collect() -> list[int]:
        return [token async for token in model.decode(tokens, params, most, Usage())]

    return asyncio.run(collect())


def verified(model: HFModel, request: VerifyRequest) -> Scores:
    return asyncio.run(model.verify(request, Usage()))


def random_request(rng: random.Random, vocabulary: int = 256) -> VerifyRequest:
    def tokens(most: int) -> tuple[int, ...]:
        return tuple(rng.randrange(vocabulary) for _ in range(rng.randint(1, most)))

    prompt, draft = tokens(40), tokens(60)
    ends = sorted({rng.randint(1, len(draft)) for _ in range(rng.randint(1, 8))} | {len(draft)})
    return VerifyRequest(prompt, draft, tuple(ends), tuple(tokens(12) for _ in ends), LABELS, frozenset(SIGNALS))


def separately(model: HFModel, request: VerifyRequest) -> tuple[list[tuple[float, float]], list[float]]:
    """The same scores from plain causal forwards, one per prefix, without a cache."""
    labels = []
    with torch.inference_mode():
        for end, suffix in zip(request.boundaries, request.suffixes, strict=True):
            tokens = torch.tensor([[*request.prompt, *request.draft[:end], *suffix]])
            probs = model._model(input_ids=tokens).logits[0, -1].softmax(-1)
            labels.append((float(probs[list(LABELS[0])].sum()), float(probs[list(LABELS[1])].sum())))
        tokens = torch.tensor([[*request.prompt, *request.draft]])
        logits = model._model(input_ids=tokens).logits[0, len(request.prompt) - 1 : -1].log_softmax(-1)
        logprobs = logits.gather(-1, torch.tensor(request.draft)[:, None])[:, 0].tolist()
    return labels, logprobs


def confidence(labels: tuple[float, float]) -> float:
    return labels[0] / sum(labels)


def check_passes(model: HFModel, layouts: int) -> None:
    rng = random.Random(0)
    for _ in range(layouts):
        request = random_request(rng)
        scores = verified(model, request)
        labels, logprobs = separately(model, request)
        assert scores.labels is not None
        for one, other in zip(scores.labels, labels, strict=True):
            assert confidence(one) == pytest.approx(confidence(other), abs=1e-4)
        assert scores.logprobs == pytest.approx(logprobs, abs=1e-3)


def test_signals_are_those_of_a_plain_forward(target: HFModel) -> None:
    """Entropy, agreement and hidden states, whatever is cached already."""
    rng = random.Random(4)
    for _ in range(20):
        request = random_request(rng)
        scores = verified(target, request)
        start = len(request.prompt)
        with torch.inference_mode():
            tokens = torch.tensor([[*request.prompt, *request.draft]])
            output = target._model(input_ids=tokens, output_hidden_states=True)
        logp = output.logits[0, start - 1 : -1].log_softmax(-1)
        assert scores.entropy == pytest.approx((-(logp.exp() * logp).sum(-1)).tolist(), abs=1e-4)
        assert scores.agrees == tuple((logp.argmax(-1) == torch.tensor(request.draft)).tolist())
        middle = output.hidden_states[len(output.hidden_states) * 2 // 3][0, start:]
        assert scores.hidden is not None
        for (last, mean), end in zip(scores.hidden, request.boundaries, strict=True):
            assert last.tolist() == pytest.approx(middle[end - 1].tolist(), abs=1e-4)
            assert mean.tolist() == pytest.approx(middle[:end].mean(0).tolist(), abs=1e-4)
        for accepted in (0, *request.boundaries):
            own = verified(target, dataclasses.replace(request, signals=frozenset()))
            assert scores.agreeing(accepted) == own.agreeing(accepted)


def test_decoding_tells_the_log_probabilities_of_its_tokens(target: HFModel) -> None:
    async def collect(usage: Usage) -> list[int]:
        return [token async for token in target.decode([5, 6, 7], GREEDY, 12, usage)]

    usage = Usage(logprobs=[])
    tokens = asyncio.run(collect(usage))
    request = VerifyRequest((5, 6, 7), tuple(tokens), (len(tokens),), signals=frozenset({"logprobs"}))
    assert usage.logprobs == pytest.approx(verified(target, request).logprobs, abs=1e-4)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("own_pass", [hf._OWN_PASS, 1], ids=["packed", "read_first"])
def test_one_pass_equals_separate_forwards(monkeypatch: pytest.MonkeyPatch, own_pass: int, attention: str) -> None:
    monkeypatch.setattr(hf, "_OWN_PASS", own_pass)
    check_passes(tiny_model(seed=3, attention=attention), 200 if attention == "sdpa" else 20)


def test_a_long_prompt_is_read_before_the_mask(target: HFModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it went through the dense mask: 8,000 tokens took eight times as long. Every row is computed once."""
    masks = list[torch.Size]()

    def mask(layout: Layout) -> torch.Tensor:
        masks.append(visible(layout).shape)
        return HFModel._mask(target, layout)  # type: ignore[no-any-return]

    monkeypatch.setattr(target, "_mask", mask)
    request = dataclasses.replace(random_request(random.Random(8)), prompt=tuple(range(250)) * 4)
    usage = Usage()
    scores = asyncio.run(target.verify(request, usage))
    rows = len(request.draft) + sum(map(len, request.suffixes))
    assert masks == [(1 + rows, 1000 + rows)]  # the prompt's last row predicts the draft's first token
    assert (usage.computed_tokens, usage.verify_passes) == (1000 + rows, 1)
    labels, logprobs = separately(target, request)
    assert [confidence(one) for one in scores.labels or ()] == pytest.approx(list(map(confidence, labels)), abs=1e-4)
    assert scores.logprobs == pytest.approx(logprobs, abs=1e-3)
    assert verified(target, request).logprobs == pytest.approx(logprobs, abs=1e-3)
    assert masks == [(1 + rows, 1000 + rows)] * 2  # once it is cached there is nothing to read first


@pytest.mark.slow
@pytest.mark.parametrize("name", ["embedded-target", "embedded-drafter"])
def test_one_pass_equals_separate_forwards_on_the_embedded_pair(name: str) -> None:
    check_passes(HFModel.load(resolve(name), device="cpu", dtype="float32"), 200)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it compiles
def test_flex_attention_computes_the_same_pass() -> None:
    request = dataclasses.replace(random_request(random.Random(5)), prompt=tuple(range(250)) * 3)
    dense, flex = (
        verified(tiny_model(seed=3), request),
        verified(tiny_model(seed=3, attention="flex_attention"), request),
    )
    assert dense.labels is not None
    assert flex.labels is not None
    for one, other in zip(dense.labels, flex.labels, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_a_suffix_sees_nothing_beyond_its_prefix(target: HFModel) -> None:
    """Editing any token after b_i, in the draft or in another suffix, changes nothing in suffix i: not one bit."""
    rng = random.Random(1)
    for _ in range(30):
        request = random_request(rng)
        chosen = rng.randrange(len(request.boundaries))
        end = request.boundaries[chosen]
        before = verified(target, request)
        draft = request.draft[:end] + tuple((t + 1) % 256 for t in request.draft[end:])
        suffixes = tuple(s if i == chosen else tuple((t + 1) % 256 for t in s) for i, s in enumerate(request.suffixes))
        target.cache.reset()
        after = verified(target, dataclasses.replace(request, draft=draft, suffixes=suffixes))
        target.cache.reset()
        again = verified(target, request)
        assert before.labels is not None
        assert after.labels is not None
        assert again.labels is not None
        assert after.labels[chosen] == again.labels[chosen]
        assert before.labels[chosen] == pytest.approx(after.labels[chosen], abs=1e-6)


def test_editing_the_prefix_does_change_its_verdict(target: HFModel) -> None:
    request = VerifyRequest((1, 2, 3), (4, 5, 6, 7), (2, 4), ((8, 9), (8, 9)), LABELS)
    edited = dataclasses.replace(request, draft=(4, 50, 6, 7))
    assert verified(target, request).labels != verified(target, edited).labels


def test_continuing_after_the_pass_equals_a_fresh_prefill() -> None:
    rng = random.Random(2)
    for seed in range(20):
        model, fresh = tiny_model(seed=4), tiny_model(seed=4)
        request = random_request(rng)
        verified(model, request)
        end = rng.choice(request.boundaries)
        tokens = [*request.prompt, *request.draft[:end]]
        assert decoded(model, tokens, 20) == decoded(fresh, tokens, 20), seed


def test_nothing_is_computed_twice(target: HFModel) -> None:
    """The pass computes prompt, draft and suffixes once; continuing computes only the new tokens."""
    request = random_request(random.Random(3))
    verified(target, request)
    rows = len(request.prompt) + len(request.draft) + sum(map(len, request.suffixes))
    assert target.computed_tokens == rows
    assert len(target.cache.tokens) == len(request.prompt) + len(request.draft)
    assert all(layer.get_seq_length() == len(target.cache.tokens) for layer in target.cache.past.layers)
    kept = [*request.prompt, *request.draft[: request.boundaries[0]]]
    written = decoded(target, kept, 7)
    assert target.computed_tokens == rows + len(written) - 1
    assert all(layer.get_seq_length() == len(kept) + len(written) - 1 for layer in target.cache.past.layers)


def test_a_later_turn_computes_only_what_is_new(target: HFModel) -> None:
    first = list(range(10, 40))
    answer = decoded(target, first, 5)
    computed = target.computed_tokens
    turn = [*first, *answer, 50, 51, 52]
    decoded(target, turn, 1)
    assert target.computed_tokens - computed == 4  # the answer's last token was never computed, and three are new
    request = VerifyRequest(tuple(turn), (60, 61), (2,), ((9,),), LABELS)
    verified(target, request)
    assert target.computed_tokens - computed == 4 + 1 + 2 + 1  # last prompt row, draft, suffix


def test_agreeing_counts_the_targets_own_choices_without_computing(target: HFModel) -> None:
    prompt = list(range(10, 30))
    own = decoded(tiny_model(seed=1), prompt, 12)
    draft = [*own[:9], (own[9] + 1) % 256, *own[10:]]
    scores = verified(target, VerifyRequest(tuple(prompt), tuple(draft), (4, len(draft)), ((9,), (9,)), LABELS))
    computed = target.computed_tokens
    assert [scores.agreeing(accepted) for accepted in (0, 4, 9, len(draft))] == [9, 5, 0, 0]
    assert target.computed_tokens == computed


def test_sampling_is_repeatable_and_follows_the_distribution(target: HFModel) -> None:
    warm = SamplingParams(temperature=0.8, top_p=0.9, seed=7)
    prompt = [1, 2, 3]
    assert decoded(target, prompt, 20, warm) == decoded(target, prompt, 20, warm)
    draws = {decoded(target, prompt, 1, SamplingParams(temperature=1.5, seed=s))[0] for s in range(30)}
    assert len(draws) > 1


def test_decoding_ends_with_the_end_of_turn_token(target: HFModel) -> None:
    first = decoded(target, [1, 2, 3], 1)[0]
    target.eos = frozenset([first])
    assert decoded(target, [1, 2, 3], 10) == [first]


def test_a_closed_model_frees_its_weights(target: HFModel) -> None:
    """They stayed as long as the model's object, so a notebook that loaded a second engine ran out of memory."""
    scores = verified(target, random_request(random.Random(9)))
    decoded(target, [1, 2, 3], 3)
    weights = [weakref.ref(weight) for weight in target._model.parameters()]
    keys = weakref.ref(target.cache.past.layers[0].keys)
    for _ in range(2):  # one model may be drafter and target, and is closed as both
        asyncio.run(target.close())
    gc.collect()
    assert [weight() for weight in (*weights, keys) if weight() is not None] == []
    assert scores.labels is not None


def test_a_closed_model_says_so(target: HFModel) -> None:
    """It ended in a traceback, in the middle of an answer too."""
    request = random_request(random.Random(9))
    scores = verified(target, dataclasses.replace(request, signals=frozenset()))

    async def closed_meanwhile() -> None:
        async for _ in target.decode([1, 2, 3], GREEDY, 9, Usage()):
            await target.close()

    calls: list[Callable[[], object]] = [
        lambda: asyncio.run(closed_meanwhile()),
        lambda: decoded(target, [1, 2, 3], 3),
        lambda: verified(target, request),
        lambda: asyncio.run(target.forget()),
        lambda: scores.agreeing(0),
    ]
    for call in calls:
        with pytest.raises(ClosedError, match=f"the model {target.name} was closed"):
            call()


def test_devices() -> None:
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="auto, cpu, cuda"):
        pick_device("gpu")
    with pytest.raises(ConfigError, match="auto, cpu, cuda"):  # torch knows it, and no tensor can be moved there
        pick_device("cpu:1")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="0 CUDA devices"):
            pick_device("cuda")


@pytest.mark.parametrize(
    "config",
    [
        GraniteConfig(logits_scaling=8.0, **SMALL),
        HyperCLOVAXConfig(logits_scaling=0.125, **SMALL),
        CohereConfig(logit_scale=0.25, **SMALL),
        Gemma2Config(final_logit_softcapping=5.0, **SMALL),
        FalconH1Config(lm_head_multiplier=0.3, mamba_d_ssm=32, mamba_n_heads=4, mamba_d_state=8, **SMALL),
    ],
    ids=lambda config: config.model_type,
)
def test_logits_are_those_of_the_models_own_forward(config: PreTrainedConfig) -> None:
    """Some architectures scale or cap what their LM head gives: without it confidences were wrong."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(config)
    for weight in network.parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.3)
    model, tokens = HFModel(network, Codec(byte_tokenizer()), config.model_type), list(range(20, 40))
    with torch.inference_mode():
        hidden = model._hidden_after(tokens)
        own = network(input_ids=torch.tensor([tokens])).logits[0, -1]
        torch.testing.assert_close(model._logits(hidden), own, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(network.get_output_embeddings()(hidden), own, atol=0.1)


def test_a_sliding_window_drafter_starts_afresh_instead_of_cropping() -> None:
    """Its cache cannot be taken back, so a second answer must not continue from a broken one."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    tokenizer = byte_tokenizer()

    def gemma() -> HFModel:
        torch.manual_seed(0)
        config = Gemma3TextConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=6,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            sliding_window=8,
            initializer_range=0.3,
            eos_token_id=None,
            bos_token_id=None,
            pad_token_id=None,
        )
        return HFModel(Gemma3ForCausalLM(config), Codec(tokenizer), "gemma")

    model = gemma()
    prompt = list(range(40))
    decoded(model, prompt, 20)
    edited = [*prompt[:30], 99, 98]
    assert decoded(model, edited, 15) == decoded(gemma(), edited, 15)


@pytest.mark.parametrize(
    ("raised", "seen"), [(KeyboardInterrupt, KeyboardInterrupt), (torch.OutOfMemoryError, DeviceError)]
)
def test_an_interrupted_forward_leaves_no_broken_cache(
    target: HFModel, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException], seen: type[BaseException]
) -> None:
    """Some layers had the new keys and others not; the next answer was wrong or failed."""
    prompt = list(range(20))
    expected = decoded(tiny_model(seed=1), prompt, 8)
    decoded(target, prompt[:10], 3)

    def interrupted(*args: object, **kwargs: object) -> None:
        raise raised

    with monkeypatch.context() as patch:
        patch.setattr(target._model.model.layers[1], "forward", interrupted)
        with pytest.raises(seen):
            decoded(target, prompt, 3)
    assert decoded(target, prompt, 8) == expected


@pytest.mark.parametrize("wrong", [0, 1, 15, 16, 17, 39, 40])
def test_agreement_is_read_in_blocks_of_rows(target: HFModel, monkeypatch: pytest.MonkeyPatch, wrong: int) -> None:
    """It took one LM-head call for each token; now as many as there are blocks up to the first that differs."""
    prompt = [1, 2, 3]
    draft = decoded(target, prompt, 40)
    assert len(draft) == 40
    if wrong < 40:
        draft[wrong] = (draft[wrong] + 1) % 200
    scores = verified(target, VerifyRequest(tuple(prompt), tuple(draft), (40,)))
    read: list[int] = []
    logits = target._logits
    monkeypatch.setattr(target, "_logits", lambda hidden: read.append(len(hidden)) or logits(hidden))
    assert scores.agreeing(0) == wrong
    assert read == [16, 16, 8][: min(wrong // 16, 2) + 1]

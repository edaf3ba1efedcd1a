"""vLLM in this process, with the embedded pair: the same verdicts as transformers, in one scheduler step."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest

pytest.importorskip("vllm")

from parse_engine import Answer, AsyncEngine, Engine, ParseConfig, SamplingParams
from parse_engine.backends.base import Scores, Usage, VerifyRequest
from parse_engine.backends.hf import HFModel
from parse_engine.backends.vllm import VLLMModel
from parse_engine.bench.passes import expected_tokens, random_request
from parse_engine.bench.tasks import tiny
from parse_engine.errors import BackendError, ConfigError
from parse_engine.models.resolve import resolve
from parse_engine.trace import Method

# One process for all: engines start once, and xdist would start them in every worker.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("vllm"),
    pytest.mark.filterwarnings("ignore"),  # vLLM's own, and those of what it imports
]

SMALL = {"kv_cache_memory_bytes": 256 * 2**20, "max_num_seqs": 64}
PARAMS = SamplingParams(max_tokens=300)


def load(name: str, **options: object) -> VLLMModel:
    return VLLMModel.load(resolve(name), name=name, dtype="float32", options={**SMALL, **options})


@pytest.fixture(scope="module")
def target() -> VLLMModel:
    return load("embedded-target")


@pytest.fixture(scope="module")
def drafter() -> VLLMModel:
    return load("embedded-drafter")


@pytest.fixture(scope="module")
def reference() -> Iterator[Engine]:
    with Engine.load(device="cpu", dtype="float32") as engine:
        yield engine


def questions(count: int) -> list[str]:
    return [problem.question for problem in itertools.islice(tiny.problems("test", seed=4), count)]


@pytest.mark.parametrize("judge", ["prompt", "likelihood"])
def test_answers_are_those_of_transformers(target: VLLMModel, drafter: VLLMModel, judge: str) -> None:
    config = ParseConfig(judge=judge)  # type: ignore[arg-type]
    prompts = questions(12)
    engine = Engine(target, drafter, config)
    engine.forget()  # a draft that is known already takes a second pass for its log-probabilities
    answers = engine.generate(prompts, PARAMS)
    with Engine.load(device="cpu", config=config) as reference:
        for answer, other in zip(answers, (reference.generate(prompt, PARAMS) for prompt in prompts), strict=True):
            assert answer.text == other.text
            assert answer.trace.committed_tokens == other.trace.committed_tokens
            assert answer.trace.verify_passes == 1
            assert [b.p for b in answer.trace.boundaries] == pytest.approx(
                [b.p for b in other.trace.boundaries], abs=1e-3
            )


@pytest.mark.parametrize("method", ["target", "draft"])
def test_the_plain_models_write_the_same(
    target: VLLMModel, drafter: VLLMModel, reference: Engine, method: Method
) -> None:
    engine = AsyncEngine(target, drafter)
    prompts = questions(8)

    async def texts() -> list[str]:
        return [answer.text async for answer in engine.map(prompts, PARAMS, method=method)]

    assert asyncio.run(texts()) == [reference.generate(prompt, PARAMS, method=method).text for prompt in prompts]


@pytest.mark.parametrize("prefixes", [4, 8, 16, 32])
def test_verification_is_one_step_and_shares_every_full_block(target: VLLMModel, prefixes: int) -> None:
    request = random_request(target, prompt_tokens=60, draft_tokens=128, prefixes=prefixes)

    async def verify() -> Usage:
        await target.forget()
        usage = Usage()
        await target.verify(request, usage)
        return usage

    usage = asyncio.run(verify())
    assert usage.verify_passes == 1
    assert usage.computed_tokens == expected_tokens(request, target.block_size)


@pytest.mark.parametrize("prompt_tokens", [60, 97, 20])
def test_signals_are_those_of_transformers_and_take_the_same_step(target: VLLMModel, prompt_tokens: int) -> None:
    """Also for a draft that was read before: then its rows are in the cache, and have to be computed again."""
    request = replace(
        random_request(target, prompt_tokens=prompt_tokens, draft_tokens=70, prefixes=3),
        signals=frozenset({"logprobs"}),
    )
    own = asyncio.run(HFModel.load(resolve("embedded-target"), device="cpu", dtype="float32").verify(request, Usage()))

    async def twice() -> list[tuple[Scores, Usage]]:
        await target.forget()
        pairs = []
        for usage in (Usage(), Usage()):
            pairs.append((await target.verify(request, usage), usage))
        return pairs

    pairs = asyncio.run(twice())
    for scores, _ in pairs:
        assert scores.logprobs == pytest.approx(own.logprobs, abs=1e-3)
        assert scores.agrees == own.agrees
        assert scores.labels is not None
        assert [p for pair in scores.labels for p in pair] == pytest.approx(
            [p for pair in own.labels or () for p in pair], abs=1e-4
        )
    (_, first), _ = pairs
    block = target.block_size
    ahead = (prompt_tokens - 1) // block * block
    read = prompt_tokens + 70 - ahead  # the draft, and what of the prompt fills no block
    asked = sum(
        (prompt_tokens + end) % block + len(s) for end, s in zip(request.boundaries, request.suffixes, strict=True)
    )
    assert (first.verify_passes, first.computed_tokens) == (1, ahead + read + asked)


def test_decoding_tells_the_log_probabilities_of_its_tokens(target: VLLMModel) -> None:
    prompt = target.codec.encode(target.codec.render([{"role": "user", "content": questions(1)[0]}]))

    async def run() -> tuple[Usage, Scores]:
        usage = Usage(logprobs=[])
        tokens = [token async for token in target.decode(prompt, PARAMS, 20, usage)]
        request = VerifyRequest(tuple(prompt), tuple(tokens), (20,), signals=frozenset({"logprobs"}))
        await target.forget()
        return usage, await target.verify(request, Usage())

    usage, scores = asyncio.run(run())
    assert usage.logprobs == pytest.approx(scores.logprobs, abs=1e-3)


def test_the_continuation_finds_prompt_and_kept_draft_in_the_cache(target: VLLMModel) -> None:
    request = random_request(target, prompt_tokens=60, draft_tokens=128, prefixes=4)

    async def computed() -> int:
        await target.forget()
        await target.verify(request, Usage())
        usage = Usage()
        kept = [*request.prompt, *request.draft[: request.boundaries[1]]]
        written = [token async for token in target.decode(kept, PARAMS, 5, usage)]
        assert usage.computed_tokens <= target.block_size + len(written) - 1
        return usage.computed_tokens

    assert asyncio.run(computed()) > 0


def test_many_answers_in_flight_with_a_third_cancelled(target: VLLMModel, drafter: VLLMModel) -> None:
    prompts = questions(60)

    async def run() -> tuple[list[Answer | BaseException], list[str]]:
        engine = AsyncEngine(target, drafter, concurrency=24)
        alone = [answer.text async for answer in engine.map(prompts[:6], PARAMS)]
        before = asyncio.all_tasks()
        tasks = [asyncio.create_task(engine.generate(prompt, PARAMS)) for prompt in prompts]
        for task in tasks[::3]:
            await asyncio.sleep(0.01)
            task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert asyncio.all_tasks() == before
        return answers, alone

    answers, alone = asyncio.run(run())
    left = [answer for number, answer in enumerate(answers) if number % 3]
    assert all(isinstance(answer, Answer) for answer in left)
    assert [answers[n].text for n in (1, 2, 4, 5)] == [alone[n] for n in (1, 2, 4, 5)]  # type: ignore[union-attr]
    for model in (target, drafter):
        assert model._engine.groups == {}
        assert model._engine.core.get_num_unfinished_requests() == 0


def test_a_request_that_vllm_refuses_is_an_error_and_the_next_is_answered(target: VLLMModel) -> None:
    async def run() -> None:
        with pytest.raises(BackendError, match="vLLM failed"):
            await anext(target.decode([5] * 2000, PARAMS, 1, Usage()))
        assert await anext(target.decode([5] * 20, PARAMS, 1, Usage())) >= 0

    asyncio.run(run())


def test_options_that_vllm_does_not_know() -> None:
    with pytest.raises(
        ConfigError, match=r"no engine argument 'tensor_paralel_size'\. Did you mean 'tensor_parallel_s"
    ):
        load("embedded-target", tensor_paralel_size=2)
    with pytest.raises(ConfigError, match=r"cannot start embedded-target .*max_model_len"):
        load("embedded-target", max_model_len=10**6)


def test_transformers_may_draft_for_vllm(target: VLLMModel, reference: Engine) -> None:
    drafter = reference.drafter
    assert isinstance(drafter, HFModel)
    engine = Engine(target, drafter)
    assert engine.concurrency == 1
    prompt = questions(1)[0]
    assert engine.generate(prompt, PARAMS).text == reference.generate(prompt, PARAMS).text


def test_a_target_that_speculates_gives_the_same_answers(drafter: VLLMModel, reference: Engine) -> None:
    """Chosen label ids and speculative decoding do not go together in vLLM (issue 42592).

    The last test: no other engine starts after one that speculates with n-grams.
    """
    speculation = {"method": "ngram", "num_speculative_tokens": 3, "prompt_lookup_max": 3}
    engine = Engine(load("embedded-target", speculative_config=speculation), drafter)
    for prompt in questions(4):
        answer, other = engine.generate(prompt, PARAMS), reference.generate(prompt, PARAMS)
        assert answer.text == other.text
        assert [b.p for b in answer.trace.boundaries] == pytest.approx([b.p for b in other.trace.boundaries], abs=1e-3)

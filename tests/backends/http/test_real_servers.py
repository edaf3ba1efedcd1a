"""vLLM's own servers: the same answers, shared prefixes, and what cancelling and killing leaves."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from parse_engine import AsyncEngine, Engine, ParseConfig, SamplingParams
from parse_engine.backends.base import Usage, VerifyRequest
from parse_engine.backends.http import HTTPModel
from parse_engine.bench.passes import expected_tokens
from parse_engine.errors import BackendError
from parse_engine.trace import Answer
from tests.backends.http.common import NOTHING, QUESTION, SHORT, eventually, one_line, run, verified
from tests.servers import VLLMServer


@pytest.mark.slow
@pytest.mark.parametrize("judge", ["prompt", "likelihood"])
def test_real_servers_answer_as_transformers_does(vllm: list[VLLMServer], judge: Any) -> None:
    config = ParseConfig(judge=judge)
    urls = {"target_url": vllm[0].url, "draft_url": vllm[1].url}
    with (
        Engine.load(device="cpu", dtype="float32", config=config) as here,
        Engine.load(config=config, **urls) as there,  # type: ignore[arg-type]
    ):
        one, other = (engine.generate(QUESTION, SamplingParams(max_tokens=64)) for engine in (here, there))
    assert one.text == other.text
    assert [b.end for b in one.trace.boundaries] == [b.end for b in other.trace.boundaries]
    assert [b.p for b in other.trace.boundaries] == pytest.approx([b.p for b in one.trace.boundaries], abs=1e-3)
    assert one.trace.committed_tokens == other.trace.committed_tokens


@pytest.mark.slow
def test_prefixes_share_what_they_have_in_common(vllm: list[VLLMServer]) -> None:
    """What is reported is what the server counts, and what the formula says."""
    model = HTTPModel.connect(vllm[0].url)
    assert model.block_size == 32
    prompt, draft = range(100, 170), range(200, 300)
    ends = (16, 32, 48, 64, 80, 100)
    request = VerifyRequest(tuple(prompt), tuple(draft), ends, tuple((50 + end, 51, 52) for end in ends), ((7,), (8,)))
    before = vllm[0].metric("prefix_cache_queries_total") - vllm[0].metric("prefix_cache_hits_total")
    _, usage = verified(model, request)
    after = vllm[0].metric("prefix_cache_queries_total") - vllm[0].metric("prefix_cache_hits_total")
    assert usage.computed_tokens == expected_tokens(request, 32) == after - before


@pytest.mark.slow
def test_the_server_stops_when_nobody_reads_on(vllm: list[VLLMServer]) -> None:
    model = HTTPModel.connect(vllm[0].url)

    async def glance() -> None:
        # A prompt that the embedded target goes on with for ever.
        async with aclosing(model.decode([50, 51, 52], SamplingParams(), 1000, Usage())) as tokens:
            await anext(tokens)

    def written_for_nobody() -> float:
        before = vllm[0].metric("generation_tokens_total")
        run(model, glance())
        assert eventually(lambda: vllm[0].metric("num_requests_running") == 0)
        return vllm[0].metric("generation_tokens_total") - before

    # On a busy machine so small a model may be done before anybody could look away, but not every time.
    assert any(written_for_nobody() < 500 for _ in range(20))


@pytest.mark.slow
def test_two_hundred_answers_of_which_a_third_is_cancelled(vllm: list[VLLMServer]) -> None:
    """The rest are right, and queue, tasks, connections and memory are as before."""
    questions = [QUESTION.replace("12", str(number)) for number in range(12, 20)]

    async def round_of(engine: AsyncEngine, expected: Sequence[Answer]) -> None:
        tasks = [asyncio.create_task(engine.generate(questions[n % 8], SHORT)) for n in range(200)]
        for number, task in enumerate(tasks):
            if number % 3 == 0:
                await asyncio.sleep(0.01)
                task.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        for number, answer in enumerate(answers):
            if number % 3:
                assert isinstance(answer, Answer)
                assert answer.text == expected[number % 8].text
        assert any(isinstance(answer, asyncio.CancelledError) for answer in answers)

    async def check(engine: AsyncEngine) -> None:
        expected = [await engine.generate(question, SHORT) for question in questions]
        tasks = asyncio.all_tasks()
        memory = []
        for _ in range(2):
            await round_of(engine, expected)
            assert asyncio.all_tasks() == tasks
            memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        assert memory[1] - memory[0] < 20_000  # KiB

    async def closed() -> None:
        engine = AsyncEngine.load(target_url=vllm[0].url, draft_url=vllm[1].url, config=NOTHING)
        try:
            await asyncio.wait_for(check(engine), 500)
        finally:
            await engine.close()

    asyncio.run(closed())
    for server in vllm:
        assert eventually(lambda server=server: server.metric("num_requests_running") == 0)
        assert server.metric("num_requests_waiting") == 0


@pytest.mark.slow
def test_a_drafter_and_then_a_target_that_are_killed(vllm: list[VLLMServer], monkeypatch: pytest.MonkeyPatch) -> None:
    params = SamplingParams(max_tokens=300)
    target, drafter = HTTPModel.connect(vllm[0].url), HTTPModel.connect(vllm[1].url, role="draft")
    for model in (target, drafter):  # the embedded pair's own answers are over before anybody can be killed
        request = model._wire.decoding
        monkeypatch.setattr(
            model._wire, "decoding", lambda *a, request=request, **k: request(*a, **k) | {"min_tokens": 250}
        )

    def killed_while_decoding(model: HTTPModel, server: VLLMServer) -> None:
        decode = model.decode

        async def dying(*arguments: Any) -> AsyncGenerator[int]:
            async with aclosing(decode(*arguments)) as tokens:
                async for token in tokens:
                    server.kill()
                    yield token

        monkeypatch.setattr(model, "decode", dying)

    with Engine(target, drafter, NOTHING) as engine:
        expected = engine.generate(QUESTION, params, method="target").text
        killed_while_decoding(drafter, vllm[1])
        for why, begun in (
            ("broke the connection off", True),
            ("cannot be reached", False),
        ):  # then dead from the start
            answer = engine.generate(QUESTION, params)
            assert (answer.text, answer.trace.draft_tokens > 0) == (expected, begun)
            assert f"the server of the drafter at {vllm[1].url} {why}" in answer.trace.warnings[0]
        killed_while_decoding(target, vllm[0])
        with pytest.raises(BackendError, match=f"the server of the target at {vllm[0].url} broke") as caught:
            engine.generate(QUESTION, params)
    assert caught.value.phase == "continue"
    assert caught.value.text
    assert expected.startswith(caught.value.text)
    assert one_line(caught.value)

"""Servers: the same answers as in this process; what a server can lack; and all the ways in which one fails."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import resource
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any, TypeVar

import pytest

from parse_engine import AsyncEngine, Engine, ParseConfig, SamplingParams
from parse_engine.backends.base import Scores, Usage, VerifyRequest
from parse_engine.backends.http import HTTPModel
from parse_engine.bench.passes import expected_tokens
from parse_engine.errors import BackendError, ConfigError, UnsupportedModelError
from parse_engine.trace import Answer, Continuing
from tests.conftest import tiny_model
from tests.servers import Front, Relay, TinyServer, VLLMServer, free_port, refusal

QUESTION = "Tom has 12 apples and buys 5 more. How many apples does Tom have?"
SHORT = SamplingParams(max_tokens=24)
T = TypeVar("T")
KEY = "sk-abracadabra"
# Nothing passes, so that the target always has to go on.
NOTHING = ParseConfig(threshold=1.0, full_threshold=1.0, delta=4, min_label_mass=0.0)
PAIR = ("embedded-target", "embedded-drafter")


@pytest.fixture(scope="module")
def real() -> Iterator[list[VLLMServer]]:
    """vLLM with the embedded pair."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    servers = [VLLMServer(name) for name in PAIR]
    try:
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.kill()


@pytest.fixture
def vllm(real: list[VLLMServer]) -> list[VLLMServer]:
    """The same, started again where a test has killed one."""
    for server in [server for server in real if not server.alive]:
        server.start()
    for server in real:
        server.wait()
    return real


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a tokenizer, as the tiny server has it."""
    folder = tmp_path_factory.mktemp("tiny")
    model = tiny_model()
    model._model.save_pretrained(folder)
    model.codec._tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def front(folder: Path) -> Iterator[Callable[..., Front]]:
    """Starts a tiny server that has what it is given; see TinyServer."""
    fronts: list[Front] = []

    def start(seed: int = 1, **abilities: Any) -> Front:
        fronts.append(Front(TinyServer(tiny_model(seed), folder, **abilities)))
        return fronts[-1]

    yield start
    for one in fronts:
        one.stop()


@dataclass
class Place:
    """A pair of models behind fronts that can be made to fail."""

    target: Front
    drafter: Front

    def engine(self, *, read_timeout: float = 120, draft_timeout: float | None = None) -> Engine:
        target = HTTPModel.connect(self.target.url, read_timeout=read_timeout)
        drafter = HTTPModel.connect(self.drafter.url, role="draft", read_timeout=read_timeout)
        for one in (self.target, self.drafter):
            one.seen.clear()
            one.connections = 0
        return Engine(target, drafter, NOTHING, draft_timeout=draft_timeout)


@pytest.fixture(params=["tiny", pytest.param("vllm", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, front: Callable[..., Front]) -> Iterator[Place]:
    if request.param == "tiny":
        yield Place(front(1), front(2))
        return
    fronts = [Front(Relay(server.port)) for server in request.getfixturevalue("vllm")]
    yield Place(*fronts)
    for one in fronts:
        one.stop()


def alone(engine: Engine) -> str:
    """What the target answers without a drafter."""
    return engine.generate(QUESTION, SHORT, method="target").text


def run(model: HTTPModel, work: Coroutine[Any, Any, T]) -> T:
    """A model's work, and its end."""

    async def closed() -> T:
        try:
            return await work
        finally:
            await model.close()

    return asyncio.run(closed())


def decoded(model: HTTPModel, tokens: Sequence[int], most: int) -> tuple[list[int], Usage]:
    usage = Usage()

    async def collect() -> list[int]:
        async with aclosing(model.decode(tokens, SamplingParams(), most, usage)) as ids:
            return [token async for token in ids]

    return run(model, collect()), usage


def verified(model: HTTPModel, request: VerifyRequest) -> tuple[Scores, Usage]:
    usage = Usage()

    async def work() -> Scores:
        await model.forget()
        return await model.verify(request, usage)

    return run(model, work()), usage


def one_line(error: BaseException) -> bool:
    return "\n" not in str(error) and KEY not in str(error)


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


# What happens when all goes well


def test_an_answer(place: Place) -> None:
    """The target judges all prefixes in one request, the longest first, and goes on with a stream."""
    with place.engine() as engine:
        answer = engine.generate(QUESTION, SHORT)
        verdicts, going_on = place.target.bodies
        assert answer.text == alone(engine)
    assert (place.target.connections, place.drafter.connections) == (1, 1)
    assert (answer.trace.warnings, answer.trace.verify_passes) == ((), 1)
    lengths = [len(prompt) for prompt in verdicts["prompt"]]
    assert lengths == sorted(lengths, reverse=True)
    assert len(lengths) == len(answer.trace.boundaries) > 1
    assert going_on["stream"]
    assert len(place.drafter.bodies) == 1


LACKING = [
    {},
    {"chosen": False},
    {"chosen": False, "top": 5},
    {"extras": False},
    {"ids_in": False},
    {"ids_in": False, "ids_out": False, "extras": False, "top": 5},
]


@pytest.mark.parametrize("abilities", LACKING, ids=lambda abilities: " ".join(abilities) or "everything")
def test_what_a_server_lacks_is_made_up_for(front: Callable[..., Front], abilities: dict[str, Any]) -> None:
    tiny = front(**abilities)
    server = tiny.answer
    assert isinstance(server, TinyServer)
    model = HTTPModel.connect(tiny.url)
    prompt = model.codec.encode(model.codec.render([{"role": "user", "content": QUESTION}]))

    expected = list(prompt)
    while len(expected) < len(prompt) + 20 and expected[-1] not in model.eos:
        expected.append(int(server.next(expected).argmax()))
    draft = expected[len(prompt) :]
    tokens, usage = decoded(model, prompt, 20)
    assert tokens == draft
    assert usage.computed_tokens == len(expected) - 1

    likely = [int(i) for i in server.next([*prompt, *draft[:4], 7, 8]).topk(8).indices]
    labels = ((likely[0], likely[6]), (likely[2], 3))
    request = VerifyRequest(tuple(prompt), tuple(draft[:8]), (4, 8), ((7, 8), (9,)), labels)
    scores, usage = verified(model, request)
    assert scores.labels is not None
    for end, suffix, masses in zip(request.boundaries, request.suffixes, scores.labels, strict=True):
        logprobs = server.next([*prompt, *draft[:end], *suffix])
        most = len(logprobs) if server.chosen and server.extras else server.top
        seen = set(logprobs.topk(most).indices.tolist())
        for mass, ids in zip(masses, labels, strict=True):
            assert mass == pytest.approx(sum(float(logprobs[id].exp()) for id in ids if id in seen), rel=1e-4)
    assert usage.computed_tokens == 2 * len(prompt) + 4 + 8 + 3  # the server tells nothing of a cache


def test_a_server_that_tells_no_ids_is_told_where_to_stop(front: Callable[..., Front]) -> None:
    """Its answer is read when it is whole: what it wrote behind the stop text was waited for, and thrown away."""
    told, untold = front(), front(ids_out=False)
    with Engine(HTTPModel.connect(told.url), None) as engine:
        whole = engine.generate(QUESTION, SHORT, method="target").text
    params = replace(SHORT, stop=("###", whole[len(whole) // 2 :][:3]))
    for server in (told, untold):
        with Engine(HTTPModel.connect(server.url), None) as engine:
            answer = engine.generate(QUESTION, params, method="target")
        assert (answer.text, answer.finish_reason) == (whole[: whole.index(params.stop[1])], "stop")
    assert untold.bodies[-1]["stop"] == list(params.stop)
    assert "stop" not in told.bodies[-1]


def test_an_address_with_and_without_v1(front: Callable[..., Front]) -> None:
    server = front()
    for url in (server.url, server.url + "/", server.url.removesuffix("/v1"), server.url.removesuffix("v1")):
        model = HTTPModel.connect(url, role="draft")
        assert (model.name, model.context_length, model.block_size) == ("tiny", 2047, 1)


# What is refused at connection


def refused(url: str, **options: Any) -> str:
    with pytest.raises((ConfigError, UnsupportedModelError, BackendError)) as caught:
        HTTPModel.connect(url, **options)
    assert one_line(caught.value)
    return f"{type(caught.value).__name__.strip('_')}: {caught.value}"


def test_nobody_there() -> None:
    assert "cannot be reached" in refused(f"http://127.0.0.1:{free_port()}/v1")


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "http://", "ftp://here/v1", "http://here:port", "here"])
def test_no_address(url: str) -> None:
    assert "ConfigError" in refused(url)


def test_the_model_must_be_named_where_there_are_several(front: Callable[..., Front]) -> None:
    server = front(served=("one", "two"))
    assert "serves one, two. Name one of its models with --target" in refused(server.url)
    assert "serves one, two" in refused(server.url, name="three")
    assert HTTPModel.connect(server.url, name="two").name == "two"


def test_a_name_that_is_neither_served_nor_known(front: Callable[..., Front]) -> None:
    assert "serves tiny, and not 'large', and there is no such model here" in refused(front().url, name="large")


def test_a_tokenizer_that_is_not_here(front: Callable[..., Front], folder: Path) -> None:
    server = front()
    assert isinstance(server.answer, TinyServer)
    server.answer.folder = Path("elsewhere")
    assert "its tokenizer is not on this machine. Name the same model with --draft" in refused(server.url, role="draft")
    assert HTTPModel.connect(server.url, name=str(folder)).name == "tiny"


def test_another_tokenizer(front: Callable[..., Front]) -> None:
    assert "cuts a text into other tokens" in refused(front(tokens_by_another=True).url)


def test_a_server_without_completions(front: Callable[..., Front]) -> None:
    assert "has no /completions" in refused(front(completions=False).url)


def test_a_target_needs_logprobs_and_a_drafter_does_not(front: Callable[..., Front]) -> None:
    server = front(top=0, chosen=False)
    assert "reports no probabilities of tokens" in refused(server.url)
    assert HTTPModel.connect(server.url, role="draft").name == "tiny"


def test_the_likelihood_judge_needs_the_prompts_logprobs(front: Callable[..., Front]) -> None:
    model = HTTPModel.connect(front().url)
    with pytest.raises(BackendError, match="Use --judge prompt"):
        verified(model, VerifyRequest((5,), (6, 7), (2,), signals=frozenset({"logprobs"})))


def test_a_drafter_tells_the_log_probabilities_of_its_tokens(front: Callable[..., Front]) -> None:
    server = front().answer
    assert isinstance(server, TinyServer)
    model = HTTPModel.connect(front().url, role="draft")
    assert model.signals == {"sampled"}

    async def collect(usage: Usage) -> list[int]:
        tokens = [token async for token in model.decode([5, 6, 7], SamplingParams(), 8, usage)]
        await model.close()
        return tokens

    usage = Usage(logprobs=[])
    tokens = asyncio.run(collect(usage))
    assert usage.logprobs is not None
    own = [float(server.next([5, 6, 7, *tokens[:at]])[token]) for at, token in enumerate(tokens)]
    assert usage.logprobs == pytest.approx(own, abs=1e-5)
    assert HTTPModel.connect(front(top=0).url, role="draft").signals == frozenset()
    assert HTTPModel.connect(front(ids_out=False).url, role="draft").signals == frozenset()


def test_log_probabilities_that_are_not_one_per_token_are_the_servers_error(front: Callable[..., Front]) -> None:
    """A server that left some out made a strict zip fail later, with a traceback and no word of the server."""
    tiny = front()
    assert isinstance(tiny.answer, TinyServer)
    model = HTTPModel.connect(tiny.url, role="draft")
    tiny.answer.top = 0  # from now on it leaves them out

    async def collect() -> list[int]:
        return [token async for token in model.decode([5, 6, 7], SamplingParams(), 8, Usage(logprobs=[]))]

    with pytest.raises(BackendError, match=r"drafter at .* told 0 log-probabilities for 1 tokens") as caught:
        run(model, collect())
    assert one_line(caught.value)


# Keys


@pytest.mark.parametrize(("role", "variable"), [("target", "PARSE_ENGINE_TARGET_API_KEY"), ("draft", "OPENAI_API_KEY")])
def test_the_key_goes_to_the_server_and_nowhere_else(
    front: Callable[..., Front],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    role: str,
    variable: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv(variable, KEY)
    caplog.set_level(logging.DEBUG)
    server = front()
    model = HTTPModel.connect(server.url, role=role)
    decoded(model, [5, 6], 2)
    assert {headers["authorization"] for _, headers, _ in server.seen} == {f"Bearer {KEY}"}
    answer, server.answer = server.answer, lambda *_: refusal(f"the key {KEY} has no credit")
    with pytest.raises(BackendError, match=r"the key \*\*\* has no credit") as caught:
        decoded(model, [5, 6], 2)
    assert one_line(caught.value)
    server.answer = lambda *_: refusal(f"{KEY} is unknown", 401)
    assert f"Set PARSE_ENGINE_{role.upper()}_API_KEY" in refused(server.url, role=role)
    server.answer = answer
    assert KEY not in caplog.text
    assert KEY not in repr(vars(model))


def test_a_password_in_the_address_is_not_shown(front: Callable[..., Front], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = front()
    HTTPModel.connect(server.url.replace("//", f"//me:{KEY}@"), role="draft")
    assert all(headers["authorization"].startswith("Basic ") for _, headers, _ in server.seen)
    server.answer = lambda *_: refusal("no", 400)
    refused(server.url.replace("//", f"//me:{KEY}@"))
    assert KEY not in caplog.text


# What fails, and what becomes of the answer


def test_what_may_pass_is_tried_again(place: Place) -> None:
    with place.engine() as engine:
        expected = alone(engine)
        place.drafter.faults = iter([503])
        place.target.faults = iter([500, "half", None, "drop", 502])
        answer = engine.generate(QUESTION, SHORT)
        assert (answer.text, answer.trace.warnings) == (expected, ())
        assert answer.trace.draft_tokens > 0
        assert len(place.target.bodies) == 1 + 3 + 3


def test_a_busy_server_says_when_to_come_back(place: Place) -> None:
    with place.engine() as engine:
        place.target.faults = iter([429])
        began = time.monotonic()
        assert engine.generate(QUESTION, SHORT, method="target").text == alone(engine)
        assert time.monotonic() - began > 1


@pytest.mark.parametrize(
    ("fault", "message", "tries"),
    [
        (500, "answered 500 Internal Server Error: out of order", 3),
        (429, "answered 429 Too Many Requests", 3),
        (400, "answered 400 Bad Request: out of order", 1),
        ("drop", "broke the connection off", 3),
        ("nonsense", "gave an answer that is not of the OpenAI API", 1),
        ("polite half", "gave an answer that is not of the OpenAI API", 1),
    ],
)
def test_a_target_that_fails_to_judge(place: Place, fault: int | str, message: str, tries: int) -> None:
    with place.engine() as engine:
        place.target.faults = repeat(fault)
        with pytest.raises(BackendError, match=message) as caught:
            engine.generate(QUESTION, SHORT)
        assert (caught.value.phase, caught.value.text) == ("verify", "")
        assert f"the server of the target at {place.target.url}" in str(caught.value)
        assert one_line(caught.value)
        assert len(place.target.bodies) == tries
        place.target.faults = iter(())
        assert engine.generate(QUESTION, SHORT).text == alone(engine)


@pytest.mark.parametrize(
    ("fault", "message"), [("half", "broke the connection off"), ("polite half", "left the answer unfinished")]
)
def test_a_target_that_dies_while_it_goes_on(place: Place, fault: str, message: str) -> None:
    """The text so far is kept; nothing is tried again, because the reader has it already."""
    with place.engine() as engine:
        expected = alone(engine)
        place.target.faults = iter([None, fault])
        place.target.seen.clear()
        with pytest.raises(BackendError, match=message) as caught:
            engine.generate(QUESTION, SHORT)
        assert caught.value.phase == "continue"
        assert caught.value.text
        assert expected.startswith(caught.value.text)
        assert len(place.target.bodies) == 2


def test_a_target_that_hangs(front: Callable[..., Front]) -> None:
    place = Place(front(1), front(2))
    with place.engine(read_timeout=0.5) as engine:
        for faults, phase in ((["hang"], "verify"), ([None, "stall"], "continue")):
            place.target.faults = iter(faults)
            with pytest.raises(BackendError, match=r"sent nothing for 0\.5 s") as caught:
                engine.generate(QUESTION, SHORT)
            assert caught.value.phase == phase
        assert eventually(lambda: place.target.open == 0)


@pytest.mark.parametrize("fault", [500, "drop", "half", "polite half", "nonsense", "hang", "stall"])
def test_a_drafter_that_fails(place: Place, fault: int | str) -> None:
    with place.engine(draft_timeout=1 if fault in ("hang", "stall") else None) as engine:
        expected = alone(engine)
        place.drafter.faults = repeat(fault)
        answer = engine.generate(QUESTION, SHORT)
        assert answer.text == expected
        assert answer.trace.draft_tokens == 0
        assert "the target answered alone: the" in answer.trace.warnings[0]
        assert eventually(lambda: place.drafter.open == 0)


def test_closing_a_stream_ends_the_request(place: Place) -> None:
    with place.engine() as engine:
        place.target.faults = iter(["stall"])
        events = engine.stream(QUESTION, SHORT, method="target")
        assert isinstance(next(events), Continuing)
        events.close()
        assert eventually(lambda: (place.target.left, place.target.open) == (1, 0))
        assert engine.generate(QUESTION, SHORT).text == alone(engine)


# Real servers


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

    before = vllm[0].metric("generation_tokens_total")
    run(model, glance())
    assert eventually(lambda: vllm[0].metric("num_requests_running") == 0)
    assert vllm[0].metric("generation_tokens_total") - before < 500


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
        for why in ("broke the connection off", "cannot be reached"):  # the second time it is dead from the start
            answer = engine.generate(QUESTION, params)
            assert (answer.text, answer.trace.draft_tokens) == (expected, 0)
            warning = f"the target answered alone: the server of the drafter at {vllm[1].url} {why}"
            assert warning in answer.trace.warnings[0]
        killed_while_decoding(target, vllm[0])
        with pytest.raises(BackendError, match=f"the server of the target at {vllm[0].url} broke") as caught:
            engine.generate(QUESTION, params)
    assert caught.value.phase == "continue"
    assert caught.value.text
    assert expected.startswith(caught.value.text)
    assert one_line(caught.value)

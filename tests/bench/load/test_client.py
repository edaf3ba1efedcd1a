"""The load generator against a scripted server: times and faults."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from parse_engine.bench.load import run as load_run
from parse_engine.bench.load.client import Client, Outcome
from parse_engine.bench.load.metrics import Wanted, figures
from parse_engine.bench.load.run import Load, Run, arrivals, run
from parse_engine.errors import BackendError, ConfigError
from tests.bench.load.scripted import Script, event
from tests.servers import Front, Reply, as_json, refusal
from tests.skipping import SkippingLoop
from tests.streams import BROKEN, GOOD, Recorded

KEY = "sk-abracadabra"


def sent(server: Front, count: int = 1, load: Load | None = None, **options: Any) -> Run:
    """What comes of so many requests."""

    async def work() -> Run:
        client = Client(server.url, options.pop("api", "openai-chat"), **options)
        try:
            return await run(client, [client.body("m", "hi", 9, {})] * count, load or Load(), lambda _: None)
        finally:
            await client.close()

    loop = SkippingLoop()
    server.hanging = loop.skip
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(work())


# Times


@pytest.mark.parametrize("api", ["openai", "openai-chat"])
def test_times_are_those_of_the_chunks(server: Front, script: Script, api: str) -> None:
    script.first, script.pause = 0.1, 0.05
    (outcome,) = sent(server, api=api).outcomes
    assert (outcome.error, outcome.text) == ("", "word " * 4)
    assert (outcome.input_tokens, outcome.output_tokens) == (7, 4)
    assert len(outcome.itl) == 3
    assert outcome.ttft >= 0.1
    assert outcome.latency >= 0.1 + 3 * 0.05
    assert outcome.latency == pytest.approx(outcome.ttft + sum(outcome.itl))
    path, _, body = server.seen[0]
    assert path == ("/v1/completions" if api == "openai" else "/v1/chat/completions")
    assert body is not None
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_chunks_may_come_in_any_pieces(server: Front, script: Script) -> None:
    """A text may hold U+2028, at which httpx's own lines end."""
    text = event({"choices": [{"delta": {"content": "a\u2028b"}, "finish_reason": None}]})
    last = event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": None})
    usage = event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
    stream = b": ping\n\n" + text + last.replace(b"\n", b"\r\n") + usage + b"data: [DONE]\n\n"
    script.pieces = [stream[at : at + 7] for at in range(0, len(stream), 7)]
    (outcome,) = sent(server).outcomes
    assert (outcome.error, outcome.text, len(outcome.chunks)) == ("", "a\u2028b", 2)
    assert (outcome.input_tokens, outcome.output_tokens) == (3, 2)


def test_a_late_client_does_not_delay_the_arrivals_that_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """No coordinated omission: on a clock where every sleep is 10 ms too long, nothing adds up."""
    now = 0.0
    yielding = asyncio.sleep

    async def sleep(seconds: float) -> None:
        nonlocal now
        await yielding(0)
        now += seconds + 0.01

    class Instant:
        async def send(self, body: Any, outcome: Outcome) -> None:
            outcome.start = now

    monkeypatch.setattr(load_run.time, "perf_counter", lambda: now)
    monkeypatch.setattr(load_run.asyncio, "sleep", sleep)
    load = Load(request_rate=10.0, seed=4)
    done = asyncio.run(run(Instant(), [{}] * 200, load, lambda _: None))  # type: ignore[arg-type]
    assert [outcome.due for outcome in done.outcomes] == pytest.approx(arrivals(load, 200))
    assert all(0 <= outcome.queue_time < 0.0101 for outcome in done.outcomes)
    assert done.duration == pytest.approx(20.0, abs=0.011)


def test_a_slow_server_does_not_delay_the_arrivals(server: Front, script: Script) -> None:
    script.together = threading.Barrier(8, timeout=600)  # none is answered before all have come
    sent(server, 8, Load(request_rate=40.0))
    assert script.most == 8


def test_no_more_requests_are_in_flight_than_allowed(server: Front, script: Script) -> None:
    script.first = 0.1
    done = sent(server, 6, Load(max_concurrency=2, num_warmups=3))
    assert script.most == 2
    assert len(server.bodies) == 9
    assert server.connections <= 2
    assert done.outcomes[-1].queue_time >= 0.2  # two rounds before it
    assert figures(done, Wanted())["mean_e2el_ms"] < 1000 * done.duration / 2


def test_an_interrupted_load_keeps_what_has_ended(server: Front, script: Script) -> None:
    server.faults = iter([None, None, "hang", "hang"])

    async def work() -> Run:
        client = Client(server.url, "openai-chat")
        ended: list[Outcome] = []
        load = Load(request_rate=1000.0, burstiness=float("inf"), max_concurrency=1)
        task = asyncio.create_task(run(client, [client.body("m", "hi", 9, {})] * 4, load, ended.append))
        while len(ended) < 2 or not server.open:
            await asyncio.sleep(0.01)
        task.cancel()
        return await task

    done = asyncio.run(work())
    assert (done.interrupted, [outcome.error for outcome in done.outcomes]) == (True, ["", ""])


# Faults


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (500, "the server answered 500 Internal Server Error: out of order."),
        (401, "the server answered 401 Unauthorized: out of order. Set OPENAI_API_KEY to its key."),
        ("drop", "the server broke the connection off"),
        ("half", "the server broke the connection off"),
        ("polite half", "the server left the answer unfinished."),
        ("nonsense", "the server does not stream its answers."),
        ("hang", "the server sent nothing for 60 s."),
        ("stall", "the server sent nothing for 60 s."),
    ],
)
def test_a_failed_request_is_counted_and_not_repeated(server: Front, fault: int | str, message: str) -> None:
    server.faults = iter([fault])
    done = sent(server, 2, Load(max_concurrency=1), timeout=60)
    assert done.outcomes[0].error.startswith(message)
    assert not done.outcomes[1].error
    assert len(server.bodies) == 2
    values = figures(done, Wanted())
    assert (values["completed"], values["failed"], values["total_output_tokens"]) == (1, 1, 4)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([b'data: {"error": {"message": "out of memory"}}\n\n'], "the server failed while it answered: out of memory."),
        ([b"data: [DONE]\n\n"], "the server ended the answer before its first token."),
        ([b"data: nonsense\n\n"], "the server's answer is not of the OpenAI API (JSONDecodeError"),
        ([b'data: {"choices": [7]}\n\n'], "the server's answer is not of the OpenAI API (TypeError"),
        ([b"data: 7\n\n"], "the server's answer is not of the OpenAI API (AttributeError"),
    ],
)
def test_a_stream_that_is_none(server: Front, script: Script, pieces: Sequence[bytes], message: str) -> None:
    script.pieces = pieces
    assert sent(server).outcomes[0].error.startswith(message)


@pytest.mark.parametrize("recorded", GOOD, ids=lambda one: one.name)
def test_streams_that_end_well(server: Front, recorded: Recorded) -> None:
    server.answer = lambda *_: Reply(iter([recorded.content]), kind=recorded.kind)
    (outcome,) = sent(server, api="openai").outcomes
    assert (outcome.error, outcome.text) == ("", recorded.text)


@pytest.mark.parametrize("recorded", BROKEN, ids=lambda one: one.name)
def test_streams_that_do_not(server: Front, recorded: Recorded) -> None:
    """Many of them counted as completed."""
    server.answer = lambda *_: Reply(iter([recorded.content]), kind=recorded.kind)
    (outcome,) = sent(server, api="openai").outcomes
    assert outcome.error.startswith("the server ")
    assert recorded.error in outcome.error


@pytest.mark.parametrize("delta", [None, {}, {"content": None}, {"role": "assistant"}])
def test_a_chat_chunk_without_content(server: Front, script: Script, delta: Any) -> None:
    begins = event({"choices": [{"delta": {"content": "a"}, "finish_reason": None}]})
    script.pieces = [begins, event({"choices": [{"delta": delta, "finish_reason": "stop"}]}), b"data: [DONE]\n\n"]
    (outcome,) = sent(server).outcomes
    assert (outcome.error, outcome.text) == ("", "a")


def test_an_error_in_place_of_a_stream(server: Front) -> None:
    server.answer = lambda *_: as_json({"object": "error", "message": "no such model"})
    assert sent(server).outcomes[0].error == "the server failed while it answered: no such model."


def test_a_warm_up_that_fails_ends_it(server: Front) -> None:
    server.faults = iter([None, 500])
    with pytest.raises(BackendError, match="1 of 2 warm-up requests failed: the server answered 500"):
        sent(server, 2, Load(num_warmups=2))


def test_the_key_is_sent_and_not_shown(server: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.faults = iter(())
    server.answer = lambda *_: refusal(f"the key {KEY} has no credit")
    error = sent(server).outcomes[0].error
    assert "the key *** has no credit" in error
    assert server.seen[0][1]["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("url", ["127.0.0.1:1", "ftp://host", f"http://me:{KEY}@host"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match="base_url") as caught:
        Client(url, "openai")
    assert KEY not in str(caught.value)

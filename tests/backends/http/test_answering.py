"""The same answers as in this process; what a server lacks is made up for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from parse_engine import Engine, SamplingParams
from parse_engine.backends.base import Usage, VerifyRequest
from parse_engine.backends.http import HTTPModel
from parse_engine.errors import BackendError
from tests.backends.http.common import QUESTION, SHORT, Place, alone, decoded, eventually, one_line, run, verified
from tests.servers import Front, TinyServer


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


@pytest.mark.parametrize("place_of_it", range(6))
def test_more_stop_texts_than_a_server_takes(front: Callable[..., Front], place_of_it: int) -> None:
    """It refused the request, and there was no draft at all. Wherever it stands, the answer ends at the same text."""
    server = front(ids_out=False)
    with Engine(HTTPModel.connect(server.url), None) as engine:
        whole = engine.generate(QUESTION, SHORT, method="target").text
        stop = whole[len(whole) // 2 :][:3]
        stops = [f"#{number}" for number in range(5)]
        params = replace(SHORT, stop=(*stops[:place_of_it], stop, *stops[place_of_it:]))
        answer = engine.generate(QUESTION, params, method="target")
    assert (answer.text, answer.finish_reason) == (whole[: whole.index(stop)], "stop")
    assert server.bodies[-1]["stop"] == list(params.stop[:4])


@pytest.mark.parametrize("overlapping", [("{b}", "{a}{b}"), ("{a}{b}", "{b}"), ("{a}{b}{c}", "{b}")])
def test_a_stop_text_is_not_cut_in_two(front: Callable[..., Front], overlapping: tuple[str, str]) -> None:
    """A server leaves out the text that it stops at, and with it the end of another that had begun before."""
    told, untold = front(), front(ids_out=False)
    with Engine(HTTPModel.connect(told.url), None) as engine:
        whole = engine.generate(QUESTION, SHORT, method="target").text
        at = len(whole) // 2
        a, b, c = whole[at : at + 2], whole[at + 2 : at + 4], whole[at + 4 : at + 6]
        first, second = (text.format(a=a, b=b, c=c) for text in overlapping)
        params = replace(SHORT, stop=(first, "#0", "#1", "#2", second))
        expected = engine.generate(QUESTION, params, method="target").text
    with Engine(HTTPModel.connect(untold.url), None) as engine:
        assert engine.generate(QUESTION, params, method="target").text == expected
    assert len(untold.bodies[-1]["stop"]) <= 4


def test_what_is_written_behind_an_untold_stop_text_is_not_waited_for(front: Callable[..., Front]) -> None:
    server = front(ids_out=False, pause=0.01)
    with Engine(HTTPModel.connect(server.url), None) as engine:
        whole = engine.generate(QUESTION, SHORT, method="target").text
        stop = whole[2:4]
        params = SamplingParams(max_tokens=1000, stop=(stop, f"#{stop}", "#0", "#1", "#2"))
        answer = engine.generate(QUESTION, params, method="target")
        assert (answer.text, answer.finish_reason) == (whole[: whole.index(stop)], "stop")
        assert stop not in server.bodies[-1]["stop"]
        assert eventually(lambda: server.open == 0)
        assert server.left == 1


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

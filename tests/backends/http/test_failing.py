"""All the ways in which a server fails, and what becomes of the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from itertools import repeat

import pytest

from parse_engine.backends.http import HTTPModel
from parse_engine.errors import BackendError
from parse_engine.trace import Continuing
from tests.backends.http.common import QUESTION, SHORT, Place, alone, eventually, one_line, run
from tests.servers import Front, refusal
from tests.skipping import SkippingLoop


@pytest.fixture
def skip(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets a second pass for the engines that are made after it."""
    loops: list[SkippingLoop] = []

    def make() -> SkippingLoop:
        loops.append(SkippingLoop())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", make)

    def skip() -> None:
        for loop in loops:
            loop.skip()

    return skip


def test_what_may_pass_is_tried_again(place: Place) -> None:
    with place.engine() as engine:
        expected = alone(engine)
        place.drafter.faults = iter([503])
        place.target.faults = iter([500, "half", None, "drop", 502])
        answer = engine.generate(QUESTION, SHORT)
        assert (answer.text, answer.trace.warnings) == (expected, ())
        assert answer.trace.draft_tokens > 0
        assert len(place.target.bodies) == 1 + 3 + 3


@pytest.mark.parametrize(("status", "emptied"), [(200, True), (404, False)])
def test_emptying_a_cache_is_tried_again(front: Callable[..., Front], status: int, emptied: bool) -> None:
    """As every other request is; it was given up at the first failure."""
    server = front()
    model = HTTPModel.connect(server.url, role="draft")
    replies = iter([refusal("busy", 503), refusal("done", status)])
    server.answer = lambda *_: next(replies)
    assert run(model, model.forget()) is emptied


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


@pytest.mark.parametrize(("faults", "phase"), [(["hang"], "verify"), ([None, "stall"], "continue")])
def test_a_target_that_hangs(
    front: Callable[..., Front], faults: list[str | None], phase: str, skip: Callable[[], None]
) -> None:
    place = Place(front(1), front(2))
    with place.engine(read_timeout=60) as engine:
        place.target.faults, place.target.hanging = iter(faults), skip
        with pytest.raises(BackendError, match=r"sent nothing for 60 s") as caught:
            engine.generate(QUESTION, SHORT)
        assert caught.value.phase == phase
        assert eventually(lambda: place.target.open == 0)


@pytest.mark.parametrize("fault", [500, "drop", "half", "polite half", "nonsense", "hang", "stall"])
def test_a_drafter_that_fails(place: Place, fault: int | str, skip: Callable[[], None]) -> None:
    with place.engine(draft_timeout=60 if fault in ("hang", "stall") else None) as engine:
        expected = alone(engine)
        place.drafter.faults, place.drafter.hanging = repeat(fault), skip
        answer = engine.generate(QUESTION, SHORT)
        assert answer.text == expected
        begun = fault in ("half", "polite half", "stall")
        assert (answer.trace.draft_tokens > 0) == begun
        what = "the draft is unfinished, and judged as far as it had come" if begun else "the target answered alone"
        assert f"{what}: the" in answer.trace.warnings[0]
        assert eventually(lambda: place.drafter.open == 0)


def test_closing_a_stream_ends_the_request(place: Place) -> None:
    with place.engine() as engine:
        place.target.faults = iter(["stall"])
        events = engine.stream(QUESTION, SHORT, method="target")
        assert isinstance(next(events), Continuing)
        events.close()
        assert eventually(lambda: (place.target.left, place.target.open) == (1, 0))
        assert engine.generate(QUESTION, SHORT).text == alone(engine)

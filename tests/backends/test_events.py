"""Streams of events, as the standard and as servers have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest

from parse_engine.backends.events import DONE, events, read_event, said
from parse_engine.errors import BackendError
from tests.streams import BROKEN, GOOD, STREAM, Recorded


def read(content: bytes, size: int, kind: str = STREAM) -> list[str]:
    """The data of the events, when they come in pieces of this size."""

    async def pieces() -> AsyncGenerator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    async def collect() -> list[str]:
        response = httpx.Response(200, headers={"content-type": kind}, content=pieces())
        return [event.data if event.data == DONE else str(read_event(event)) async for event in events(response)]

    return asyncio.run(collect())


def test_only_carriage_returns_and_line_feeds_end_a_line() -> None:
    """A line separator of Unicode within a text was taken for the end of the event."""
    content = 'data: {"text": "a\u2028b\u0085c\x0b"}\n\ndata: [DONE]\n\n'.replace("\x0b", "\\u000b").encode()
    assert read(content, 1000) == [str({"text": "a\u2028b\u0085c\x0b"}), DONE]


@pytest.mark.parametrize("recorded", GOOD, ids=lambda one: one.name)
def test_events_may_come_in_any_pieces(recorded: Recorded) -> None:
    whole = read(recorded.content, 10_000, recorded.kind)
    assert "".join(whole).count("'text': ") >= 1
    for size in (1, 2, 7):
        assert read(recorded.content, size, recorded.kind) == whole


@pytest.mark.parametrize("recorded", [one for one in BROKEN if "unfinished" not in one.error], ids=lambda one: one.name)
def test_errors_may_come_in_any_pieces(recorded: Recorded) -> None:
    for size in (1, 2, 7, 10_000):
        with pytest.raises(BackendError, match=recorded.error):
            read(recorded.content, size)


@pytest.mark.parametrize(
    ("content", "kind"), [(b'\xef\xbb\xbf{"text": "a"}', "application/json"), (b'{"text": "a"}\n', "")]
)
def test_what_is_no_stream_is_one_event(content: bytes, kind: str) -> None:
    assert read(content, 3, kind) == [str({"text": "a"})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"error": {"message": "why", "code": 400}}', "why"),
        ('{"object": "error", "message": "why"}', "why"),
        ('{"detail": "why"}', "why"),
        ('{"detail": [{"loc": ["body"], "msg": "why"}, {"msg": "and"}]}', "why; and"),
        ('{"error": "why"}', "why"),
        ('{"code": 7}', "{'code': 7}"),
        ("why", "why"),
        ("", ""),
        ("x" * 1000, "x" * 300),
    ],
)
def test_the_message_in_an_error(text: str, message: str) -> None:
    assert said(text) == message

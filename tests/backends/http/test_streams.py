"""The streams of the servers that bug reports name, read by the back end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from parse_engine.backends.base import VerifyRequest
from parse_engine.backends.http import HTTPModel
from parse_engine.errors import BackendError
from tests.backends.http.common import decoded, one_line, refused, verified
from tests.servers import Front, Json, Reply, as_json
from tests.streams import BROKEN, GOOD, Recorded


@pytest.fixture
def reader(front: Callable[..., Front]) -> Callable[[Recorded], str]:
    """What a drafter is understood to write when its server answers with a stream."""

    def read(recorded: Recorded) -> str:
        server = front(ids_out=False)
        model = HTTPModel.connect(server.url, role="draft")
        server.answer = lambda *_: Reply(iter([recorded.content]), kind=recorded.kind)
        tokens, _ = decoded(model, model.codec.encode("hello"), 50)
        assert tokens[-1] in model.eos or recorded.content.count(b"length")
        return model.codec.decode(tokens)

    return read


@pytest.mark.parametrize("recorded", GOOD, ids=lambda one: one.name)
def test_streams_that_end_well(reader: Callable[[Recorded], str], recorded: Recorded) -> None:
    assert reader(recorded) == recorded.text


@pytest.mark.parametrize("recorded", BROKEN, ids=lambda one: one.name)
def test_streams_that_do_not(reader: Callable[[Recorded], str], recorded: Recorded) -> None:
    """The server's own message was lost behind a KeyError, or behind "the stream ends"."""
    with pytest.raises(BackendError, match=recorded.error) as caught:
        reader(recorded)
    assert str(caught.value).startswith("the server of the drafter at http://")
    assert one_line(caught.value)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ({"object": "error", "message": "no memory"}, "no memory"),
        ({"choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "abort"}]}, "abort"),
        ({"choices": [{"index": 0, "text": "", "error": {"message": "no memory"}}]}, "no memory"),
    ],
)
def test_verdicts_that_are_errors(front: Callable[..., Front], reply: Json, message: str) -> None:
    server = front()
    model = HTTPModel.connect(server.url)
    server.answer = lambda *_: as_json(reply)
    with pytest.raises(BackendError, match=message):
        verified(model, VerifyRequest((5, 6), (7, 8), (2,), ((9,),), ((10,), (11,))))


def test_a_connection_that_is_answered_with_an_error(front: Callable[..., Front]) -> None:
    server = front()
    server.answer = lambda *_: as_json({"detail": "the model is still loading"})
    assert "the model is still loading" in refused(server.url)

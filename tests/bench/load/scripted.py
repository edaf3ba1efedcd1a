"""A server that answers every prompt with the same words."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.servers import Json, Reply, as_json, refusal


@dataclass
class Script:
    """Answers every prompt with the same words, some seconds apart, and counts its own tokens."""

    words: int = 4
    pause: float = 0.0
    first: float = 0.0
    together: threading.Barrier | None = None
    """Where answers wait for each other before their first word."""
    usage: bool = True
    pieces: Sequence[bytes] | None = None
    """Sent instead."""
    most: int = 0
    """Most answers in hand at a time."""
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, method: str, path: str, body: Json | None) -> Reply:
        if path == "/v1/models":
            return as_json({"data": [{"id": "scripted"}, {"id": "other"}]})
        if body is None:
            return refusal("no such page", 404)
        pieces = self._stream("chat" in path) if self.pieces is None else iter(self.pieces)
        return Reply(pieces, kind="text/event-stream")

    def _stream(self, chat: bool) -> Iterator[bytes]:
        with self._lock:
            self._open += 1
            self.most = max(self.most, self._open)
        if self.together is not None:
            self.together.wait()
        time.sleep(self.first)
        for number in range(self.words):
            finish = "length" if number == self.words - 1 else None
            text: Json = {"delta": {"content": "word "}} if chat else {"text": "word "}
            yield event({"choices": [{"index": 0, **text, "finish_reason": finish}]})
            time.sleep(self.pause)
        if self.usage:
            yield event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": self.words}})
        with self._lock:
            self._open -= 1
        yield b"data: [DONE]\n\n"


def event(content: Json) -> bytes:
    return b"data: %s\n\n" % json.dumps(content, ensure_ascii=False).encode()

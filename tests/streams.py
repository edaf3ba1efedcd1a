"""What servers of public bug reports send, written down by hand: streams of text that end well, and that do not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

STREAM = "text/event-stream"


@dataclass(frozen=True)
class Recorded:
    """An answer of a server, and how it is to be read."""

    name: str
    content: bytes
    text: str = ""
    error: str = ""
    """What a user is told of; empty where the answer ends well."""
    kind: str = STREAM
    """Its content type."""


def event(content: Any) -> bytes:
    return b"data: %s\n\n" % json.dumps(content, ensure_ascii=False).encode()


def chunk(text: str | None, finish: Any = None, **fields: Any) -> bytes:
    return event({"choices": [{"index": 0, "text": text, "finish_reason": finish, **fields}]})


_A, _B, _END = chunk("a"), chunk("b"), chunk("", "stop")
_DONE = b"data: [DONE]\n\n"
_AB = _A + _B + _END + _DONE
_USAGE = {"prompt_tokens": 3, "completion_tokens": 2}
_SPLIT = b'data: {"choices":\ndata:  [{"index": 0, "text": "b",\ndata: "finish_reason": null}]}\n\n'


def _fields(lines: bytes) -> bytes:
    """Lines before each event."""
    return b"".join(lines + part + b"\n\n" for part in _AB.split(b"\n\n") if part)


GOOD = [
    Recorded(name, content, "ab", kind=kind)
    for name, content, kind in [
        ("plain", _AB, STREAM),
        ("CRLF", _AB.replace(b"\n", b"\r\n"), STREAM),
        ("CR", _AB.replace(b"\n", b"\r"), STREAM),
        ("line ends of every kind", _A + _B.replace(b"\n", b"\r") + _END.replace(b"\n", b"\r\n") + _DONE, STREAM),
        ("data over several lines", _A + _SPLIT + _END + _DONE, STREAM),
        ("data over several lines that end with CR", (_A + _SPLIT + _END + _DONE).replace(b"\n", b"\r"), STREAM),
        ("no space behind the colon", _AB.replace(b"data: ", b"data:"), STREAM),
        ("byte order mark", b"\xef\xbb\xbf" + _AB, STREAM),
        ("comments", _fields(b": ping - 2026-11-01\n\n: OPENROUTER PROCESSING\n"), STREAM),
        ("id and retry", b"retry: 3000\n\n" + _fields(b"id: 7\nretry: 10\nevent: message\n"), STREAM),
        ("unknown fields", _fields(b"errors: 3\ndatas: 4\ndat\n"), STREAM),
        ("a content type in capitals", _AB, "Text/Event-Stream; Charset=UTF-8"),
        ("empty data", b"data:\n\n" + _A + b"data\n\ndata: \n\nevent: ping\ndata:\n\n" + _B + _END + _DONE, STREAM),
        ("ping", event({"type": "ping"}) + _A + b"event: ping\ndata: {}\n\n" + _B + _END + _DONE, STREAM),
        ("usage with choices null", _A + _B + _END + event({"choices": None, "usage": _USAGE}) + _DONE, STREAM),
        ("usage without choices", _A + _B + _END + event({"usage": _USAGE}) + _DONE, STREAM),
        ("usage with choices empty", _A + _B + _END + event({"choices": [], "usage": _USAGE}) + _DONE, STREAM),
        ("Azure's filter results first", event({"choices": [], "prompt_filter_results": [{}]}) + _AB, STREAM),
        ("null everywhere", _A + _B + chunk(None, "stop", logprobs=None) + event({"usage": None}) + _DONE, STREAM),
        ("error null", event({"error": None, "choices": [{"text": "ab", "finish_reason": "stop"}]}) + _DONE, STREAM),
        ("SGLang 0.4.3: finish_reason ''", chunk("a", "") + chunk("b", "") + chunk("", "stop") + _DONE, STREAM),
        ("SGLang: finish_reason an object", _A + chunk("b", {"type": "stop", "matched": 2}) + _DONE, STREAM),
        ("no empty line behind the last event", _A + _B + chunk("", "length").removesuffix(b"\n"), STREAM),
    ]
]

_TOO_LONG = "context size exceeded"
_ERROR = {"message": _TOO_LONG, "type": "BadRequestError", "code": 400}

BROKEN = [
    Recorded(name, _A + content, "a", error)
    for name, content, error in [
        ("OpenAI, vLLM, SGLang", event({"error": {**_ERROR, "param": None}}) + _DONE, _TOO_LONG),
        ("vLLM before its envelope", event({"object": "error", **_ERROR}) + _DONE, _TOO_LONG),
        ("vLLM before its envelope, without a kind", event({"message": _TOO_LONG, "code": 500}) + _DONE, _TOO_LONG),
        ("text-generation-inference, Ollama", event({"error": _TOO_LONG, "error_type": "validation"}), _TOO_LONG),
        ("llama.cpp", b"error: " + json.dumps(_ERROR).encode() + b"\n\n" + _DONE, _TOO_LONG),
        ("llama.cpp, no space", b"error:" + json.dumps(_ERROR).encode() + b"\r\n\r\n" + _DONE, _TOO_LONG),
        ("llama.cpp, plain text", b"error: context size exceeded\n\n", _TOO_LONG),
        ("a proxy", b'event: error\ndata: {"detail": "worker lost"}\n\n' + _DONE, "worker lost"),
        ("a proxy, the type behind the data", b'data: {"detail": "worker lost"}\nevent: error\n\n', "worker lost"),
        ("a proxy, plain text", b"event: error\ndata: worker lost\n\n" + _DONE, "worker lost"),
        ("a proxy that says no more", b"event: error\n\n" + _DONE, "it does not say why"),
        ("a proxy without a type", event({"detail": "worker lost"}) + _DONE, "worker lost"),
        ("FastAPI", b"event: error\n" + event({"detail": [{"loc": ["body"], "msg": "too long"}]}), "too long"),
        ("Anthropic's form", b"event: error\n" + event({"type": "error", "error": {"message": "busy"}}), "busy"),
        ("a status and its message", event({"error": "Internal Server Error", "message": "no memory"}), "no memory"),
        ("a flag and its message", event({"error": True, "message": "no memory"}) + _DONE, "no memory"),
        ("SGLang: abort", chunk("", "abort") + _DONE, "abort"),
        ("SGLang: abort with a message", chunk("", {"type": "abort", "message": "no memory"}) + _DONE, "no memory"),
        ("SGLang: abort with no message", chunk("", {"type": "abort"}) + _DONE, "abort"),
        ("finish_reason error", chunk("", "error") + _DONE, "error"),
        ("TensorRT-LLM: cancelled", chunk("", "cancelled") + _DONE, "cancelled"),
        ("OpenRouter: in the choice", chunk("", "error", error={"code": 502, "message": "lost"}) + _DONE, "lost"),
        ("in the choice, no end", chunk("", error="lost") + _DONE, "lost"),
        ("SGLang 0.4.3, Ollama: finish_reason '' and nothing more", chunk("b", ""), "left the answer unfinished"),
        ("nothing more", b"", "left the answer unfinished"),
        ("cut off within an event", b'data: {"choices": [{"te', "left the answer unfinished"),
    ]
]

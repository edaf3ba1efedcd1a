"""Server-sent events: how servers stream their answers, and the ways in which they say that something went wrong.

Standard: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from parse_engine.errors import BackendError

DONE = "[DONE]"
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What OpenAI's API has, and text-generation-inference in older versions.
_GOOD_ENDS = {"stop", "length", "content_filter", "tool_calls", "function_call", "eos_token", "stop_sequence"}
_MESSAGE_KEYS = ("message", "detail", "error", "msg")
_LONGEST_MESSAGE = 300  # characters


@dataclass(frozen=True)
class Event:
    """An event of a stream, or the whole body of an answer that is none."""

    data: str
    name: str = ""
    """Its type; empty where the server gives none."""


class Decoder:
    """Cuts a stream of bytes into events, in whatever pieces it comes."""

    def __init__(self) -> None:
        self._rest = b""
        self._returned = False  # the last piece ended with CR: a LF that follows belongs to it
        self._begun = False
        self._name = b""
        self._data: list[bytes] = []

    def push(self, piece: bytes) -> Iterator[Event]:
        """The events that end in `piece`."""
        if self._returned:
            piece = piece.removeprefix(b"\n")
        self._returned = piece.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + piece)
        for line in lines:
            yield from self._read(line)

    def end(self) -> Iterator[Event]:
        """The event that the stream ends with, where the empty line behind it is missing."""
        return self._read(b"")

    def _read(self, line: bytes) -> Iterator[Event]:
        if not self._begun:
            line, self._begun = line.removeprefix(_BYTE_ORDER_MARK), True
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value
        elif field == b"error":  # not of the standard: llama.cpp had it until September 2025
            yield Event(_text(value), "error")
        elif not line:
            event = Event(_text(b"\n".join(self._data)), _text(self._name))
            if event.data or event.name == "error":
                yield event
            self._name, self._data = b"", []


def streams(response: httpx.Response) -> bool:
    """Whether the answer is a stream of events."""
    kind: str = response.headers.get("content-type", "")
    return kind.strip().lower().startswith("text/event-stream")


def body(response: httpx.Response) -> Event:
    """The body of an answer that is read already."""
    return Event(_text(response.content.removeprefix(_BYTE_ORDER_MARK)))


async def events(response: httpx.Response) -> AsyncGenerator[Event]:
    """The events of a streamed answer, each as soon as it is complete; the whole body where the server does not stream.

    Those without data are left out, unless they are errors.
    """
    if not streams(response):
        await response.aread()
        yield body(response)
        return
    decoder = Decoder()
    async for piece in response.aiter_bytes():  # not aiter_lines: to it some characters that JSON may hold end a line
        for event in decoder.push(piece):
            yield event
    for event in decoder.end():
        yield event


def read_event(event: Event) -> Any:
    """The reply in an event.

    Raises:
        BackendError: the server says that it failed; the error has its message, and begins with a verb.
        ValueError: this is no JSON.
    """
    if event.name == "error":
        raise BackendError(_failed(event.data))
    reply = json.loads(event.data)
    if isinstance(reply, dict):
        _check(reply)
    return reply


def read_finish(choice: dict[str, Any]) -> str | None:
    """Why an answer ends; None where it goes on. Some servers write "" then, and some an object with a type."""
    reason = choice.get("finish_reason")
    return str(reason.get("type") if isinstance(reason, dict) else reason or "") or None


def said(text: str) -> str:
    """The message in what a server says of an error."""
    try:
        return _message(json.loads(text))[:_LONGEST_MESSAGE]
    except ValueError:
        return text[:_LONGEST_MESSAGE]


def _check(reply: dict[str, Any]) -> None:
    """Raise BackendError where a reply tells of an error, by whichever of the ways that servers have for it."""
    choices = reply.get("choices")
    alone = not choices and any(isinstance(reply.get(key), str) for key in ("message", "detail"))
    if reply.get("error") or alone or "error" in (reply.get("object"), reply.get("type")):
        raise BackendError(_failed(reply))
    for choice in choices if isinstance(choices, list) else []:
        if not isinstance(choice, dict):
            continue
        reason = choice.get("finish_reason")
        for part in (choice.get("error"), reason.get("message") if isinstance(reason, dict) else None):
            if part:
                raise BackendError(_failed(part))
        finish = read_finish(choice)
        if finish is not None and finish not in _GOOD_ENDS:
            raise BackendError(f"left the answer unfinished ({finish}). See its log.")


def _failed(reply: Any) -> str:
    message = (said(reply) if isinstance(reply, str) else _message(reply)[:_LONGEST_MESSAGE]).strip()
    return f"failed while it answered: {message.removesuffix('.') or 'it does not say why'}."


def _message(reply: Any) -> str:
    if isinstance(reply, list):
        return "; ".join(map(_message, reply))
    if isinstance(reply, dict):
        told = (reply[key] for key in _MESSAGE_KEYS if reply.get(key) and isinstance(reply[key], str | dict | list))
        return _message(next(told, str(reply)))
    return str(reply)


def _text(data: bytes) -> str:
    return data.decode(errors="replace").strip()

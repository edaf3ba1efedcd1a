"""One request to an OpenAI-compatible server, with the times at which its answer came."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import httpx

from parse_engine.backends.events import DONE, Event, events, read_event, read_finish, said, streams
from parse_engine.errors import BackendError, ConfigError

Api = Literal["openai", "openai-chat"]
ENDPOINTS: Mapping[Api, str] = {"openai": "/v1/completions", "openai-chat": "/v1/chat/completions"}
KEY_VARIABLE = "OPENAI_API_KEY"


@dataclass
class Outcome:
    """What became of a request. Times are of `time.perf_counter`, in seconds."""

    due: float
    """When the arrival process wanted it sent."""
    ready: float = 0.0
    """When the client got round to it; what lies between is the client's own fault."""
    start: float = 0.0
    """When it was sent. It may have waited for its turn (`max_concurrency`)."""
    chunks: list[float] = field(default_factory=list)
    """When each chunk of the answer came."""
    text: str = ""
    input_tokens: int | None = None
    """As the server counts; None where it does not tell."""
    output_tokens: int | None = None
    error: str = ""
    """Why it failed; empty when it did not."""

    @property
    def ttft(self) -> float:
        return self.chunks[0] - self.start

    @property
    def itl(self) -> list[float]:
        return [after - before for before, after in pairwise(self.chunks)]

    @property
    def latency(self) -> float:
        """To the last chunk of the answer; the usage that follows it is not waited for."""
        return self.chunks[-1] - self.start

    @property
    def queue_time(self) -> float:
        """From when it was due until it was sent."""
        return self.start - self.due


@dataclass(frozen=True)
class Chunk:
    """An event of a streamed answer."""

    answers: bool
    """It belongs to the answer; else it only reports the usage."""
    text: str = ""
    ends: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None


class Client:
    """Sends requests and times them; a failure becomes the outcome's `error`, and nothing is tried again.

    Every request in flight has an httpx client of its own, which the next one takes over with its connection. One
    client's pool looks at each of its connections for each request, so at high concurrency it would be what is timed.
    """

    def __init__(self, base_url: str, api: Api, *, endpoint: str | None = None, timeout: float = 600.0):
        self.root = _root(base_url)
        self._chat = api == "openai-chat"
        self._url = self.root + "/" + (endpoint or ENDPOINTS[api]).lstrip("/")
        self._key = os.environ.get(KEY_VARIABLE)
        self._settings: dict[str, Any] = {
            "headers": {"Authorization": f"Bearer {self._key}"} if self._key else {},
            "timeout": timeout,
            "limits": httpx.Limits(keepalive_expiry=4.0),  # servers close idle connections after five seconds
            "verify": httpx.create_ssl_context(),  # takes longer than all the rest, so it is made once
        }
        self._timeout = timeout
        self._idle: list[httpx.AsyncClient] = []

    async def model(self, name: str | None) -> dict[str, Any]:
        """The server's entry of this model, or of the first one.

        Raises:
            BackendError: the server cannot be reached, or does not say what it serves when that is asked.
        """
        try:
            async with self._connection() as connection:
                patience = httpx.Timeout(self._timeout, connect=10.0)
                response = await connection.get(f"{self.root}/v1/models", timeout=patience)
            models = response.raise_for_status().json()["data"]
            listed = [{**entry, "id": str(entry["id"])} for entry in models]
        except httpx.TransportError as error:
            raise BackendError(f"the server at {self.root} {self._why(error)}") from None
        except (httpx.HTTPStatusError, ValueError, KeyError, TypeError) as error:
            if name is not None:
                return {"id": name}
            why = self._why(error) if isinstance(error, httpx.HTTPError) else "gave no list of its models."
            raise BackendError(f"the server at {self.root} {why} Check --base-url, or give --model.") from None
        if name is None and not listed:
            raise BackendError(f"the server at {self.root} serves no model. Start it with one, or give --model.")
        return next((entry for entry in listed if name in (None, entry["id"])), {"id": str(name)})

    def body(self, model: str, prompt: str, max_tokens: int, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A request for a streamed answer; `fields` are added as they are."""
        if self._chat:
            what = {"messages": [{"role": "user", "content": prompt}], "max_completion_tokens": max_tokens}
        else:
            what = {"prompt": prompt, "max_tokens": max_tokens}
        return {"model": model, **what, "stream": True, "stream_options": {"include_usage": True}, **fields}

    async def send(self, body: Mapping[str, Any], outcome: Outcome) -> None:
        async with self._connection() as connection:
            request = connection.build_request("POST", self._url, json=body)
            outcome.start = time.perf_counter()
            try:
                response = await connection.send(request, stream=True)
                try:
                    if not response.is_success:
                        await response.aread()
                        response.raise_for_status()
                    outcome.error = await _receive(response, outcome)
                finally:
                    await response.aclose()
            except httpx.HTTPError as error:
                outcome.error = f"the server {self._why(error)}"
            outcome.error = self._hidden(outcome.error)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().aclose()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[httpx.AsyncClient]:
        connection = self._idle.pop() if self._idle else httpx.AsyncClient(**self._settings)
        try:
            yield connection
        except BaseException:
            await connection.aclose()
            raise
        self._idle.append(connection)

    def _why(self, error: httpx.HTTPError) -> str:
        """What a server did, and what to do."""
        if isinstance(error, httpx.HTTPStatusError):
            status, phrase = error.response.status_code, error.response.reason_phrase
            hint = f" Set {KEY_VARIABLE} to its key." if status in (401, 403) else ""
            return self._hidden(f"answered {status} {phrase}: {said(error.response.text)}.{hint}")
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return f"cannot be reached ({error or 'too slow'}). Start it, or check --base-url."
        if isinstance(error, httpx.TimeoutException):
            return f"sent nothing for {self._timeout:g} s. It is overloaded or hangs."
        return f"broke the connection off ({error or type(error).__name__}). See its log."

    def _hidden(self, text: str) -> str:
        """One line, without the key."""
        line = " ".join(text.split())
        return line.replace(self._key, "***") if self._key else line


def read_chunk(event: Event) -> Chunk:
    """What an event says; of several choices, the first.

    Raises:
        BackendError: it tells of an error.
        ValueError, KeyError, IndexError, TypeError, AttributeError: it is not of the OpenAI API.
    """
    reply = read_event(event)
    usage = reply.get("usage") or {}
    counts = [None if usage.get(key) is None else int(usage[key]) for key in ("prompt_tokens", "completion_tokens")]
    if not reply.get("choices"):
        return Chunk(False, input_tokens=counts[0], output_tokens=counts[1])
    choice = reply["choices"][0]
    text = (choice["delta"] or {}).get("content") if "delta" in choice else choice.get("text")
    return Chunk(True, str(text or ""), read_finish(choice) is not None, *counts)


async def _receive(response: httpx.Response, outcome: Outcome) -> str:
    """Read a streamed answer; what is wrong with it, or nothing. A chunk's time is that of its last byte."""
    ended = False
    async for event in events(response):
        now = time.perf_counter()
        if event.data == DONE:
            ended = True
            continue
        try:
            chunk = read_chunk(event)
        except BackendError as error:
            return f"the server {error}"
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            if not streams(response):
                break
            return f"the server's answer is not of the OpenAI API ({type(error).__name__}: {error})."
        if chunk.answers:
            outcome.chunks.append(now)
            outcome.text += chunk.text
        if chunk.output_tokens is not None:
            outcome.input_tokens, outcome.output_tokens = chunk.input_tokens, chunk.output_tokens
        ended = ended or chunk.ends
    if not streams(response):
        return "the server does not stream its answers. Check --base-url and --endpoint."
    if not outcome.chunks:
        return "the server ended the answer before its first token."
    return "" if ended else "the server left the answer unfinished."


def _root(base_url: str) -> str:
    """The address without the API's /v1, which is a part of the endpoint."""
    try:
        address = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"base_url is {base_url!r}: {error}. Give http://HOST:PORT.") from None
    if address.userinfo:
        raise ConfigError(f"base_url has a password, which results would show. Set {KEY_VARIABLE} instead.")
    if address.scheme not in ("http", "https") or not address.host:
        raise ConfigError(f"base_url is {base_url!r}; it must be http://HOST:PORT.")
    return str(address).rstrip("/").removesuffix("/v1")

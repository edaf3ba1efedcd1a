"""An OpenAI-compatible server as something that is asked: keys, time limits, retries, and errors of one line."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from parse_engine.backends.events import DONE, events, read_event, said
from parse_engine.backends.wire import Json
from parse_engine.errors import BackendError, ConfigError

T = TypeVar("T")

_TRIES = 3
_WORTH_RETRYING = {429, 500, 502, 503, 504}
_LONGEST_PAUSE = 30.0  # seconds, whatever the server asks for


class ServerError(BackendError):
    """`status`: of the server's answer; None where it gave none."""

    status: int | None = None


class Server:
    """An address with its key and time limits. Whatever goes wrong there becomes a BackendError of one line.

    A completion changes nothing on the server, so every request may be repeated until something has come of it.
    """

    def __init__(self, url: str, role: str, connect_timeout: float, read_timeout: float):
        address = _address(url)
        self.role = role
        self.url = str(address.copy_with(userinfo=b"")).rstrip("/")
        self.root = self.url.removesuffix("/v1")
        key = os.environ.get(f"PARSE_ENGINE_{role.upper()}_API_KEY") or os.environ.get("OPENAI_API_KEY")
        self.settings: dict[str, Any] = {
            "base_url": self.url,
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
            "auth": (address.username, address.password) if address.userinfo else None,
            "timeout": httpx.Timeout(read_timeout, connect=connect_timeout),
            "limits": httpx.Limits(keepalive_expiry=4.0),  # servers close idle connections after five seconds
            "verify": httpx.create_ssl_context(),  # takes longer than all the rest, so it is made once
        }
        self._secrets = [secret for secret in (key, address.password) if secret]
        self._idle: list[httpx.AsyncClient] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, client: httpx.Client, method: str, path: str, body: Json | None = None) -> httpx.Response:
        """A good answer, waited for: connecting needs no event loop."""
        attempt = 1
        while True:
            try:
                return client.request(method, path, json=body).raise_for_status()
            except httpx.HTTPError as error:
                if (pause := _pause(attempt, error)) is None:
                    raise self.failure(error) from error
            time.sleep(pause)
            attempt += 1

    async def replies(self, body: Json) -> AsyncGenerator[Json]:
        """The reply to a completion request: the chunks of a stream, else one. Closing it ends the request."""
        attempt, came = 1, False
        while True:
            try:
                async with self._client() as client, client.stream("POST", "/completions", json=body) as response:
                    if not response.is_success:
                        await response.aread()
                        response.raise_for_status()
                    async with aclosing(events(response)) as stream:
                        async for event in stream:
                            came = True
                            if event.data != DONE:
                                yield self.understood(read_event, event)
                    return
            except httpx.HTTPError as error:
                if came:
                    raise self.failure(error) from error
                await self._wait(attempt, error)
            attempt += 1

    async def reply(self, body: Json) -> Json:
        """The one reply to a request that does not stream."""
        # Read to the end, or the connection could not be used again.
        replies = [reply async for reply in self.replies(body)]
        if len(replies) != 1:
            raise self.error(f"gave {len(replies)} answers where one was due. See its log.")
        return replies[0]

    async def reset_cache(self) -> bool:
        """Empty the prefix cache, where the server offers that; whether it does."""
        attempt = 1
        while True:
            try:
                async with self._client() as client:
                    response = await client.post(f"{self.root}/reset_prefix_cache")
                if response.status_code in (404, 405):
                    return False
                response.raise_for_status()
                return True
            except httpx.HTTPError as error:
                await self._wait(attempt, error)
            attempt += 1

    async def _wait(self, attempt: int, error: httpx.HTTPError) -> None:
        """Before another try, if there is to be one; else the error of the last."""
        if (pause := _pause(attempt, error)) is None:
            raise self.failure(error) from error
        await asyncio.sleep(pause)

    async def close(self) -> None:
        while self._idle and self._loop is asyncio.get_running_loop():
            await self._idle.pop().aclose()

    def understood(self, read: Callable[..., T], *answer: object) -> T:
        """What `read` makes of an answer; an error of the server, where it tells of one."""
        try:
            return read(*answer)
        except BackendError as error:
            raise self.error(str(error)) from error
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise self.error(
                f"gave an answer that is not of the OpenAI API ({type(error).__name__}: {error}). Check that the "
                "address is that of a model server."
            ) from error

    def error(self, what: str, status: int | None = None) -> ServerError:
        """One line: who, where, what happened, what to do."""
        who = "target" if self.role == "target" else "drafter"
        line = " ".join(f"the server of the {who} at {self.url} {what}".split())
        for secret in self._secrets:
            line = line.replace(secret, "***")
        error = ServerError(line)
        error.status = status
        return error

    def failure(self, error: httpx.HTTPError) -> ServerError:
        if isinstance(error, httpx.HTTPStatusError):
            status = error.response.status_code
            what = f"answered {status} {error.response.reason_phrase}"
            if status in (401, 403):
                return self.error(f"{what}. Set PARSE_ENGINE_{self.role.upper()}_API_KEY to its key.", status)
            if status == 404:
                return self.error(f"{what}. Give its address up to and including /v1.", status)
            return self.error(f"{what}: {said(error.response.text)}", status)
        if isinstance(error, httpx.ReadTimeout):
            return self.error(f"sent nothing for {self.settings['timeout'].read:g} s. It is overloaded or hangs.")
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return self.error(f"cannot be reached ({error or 'too slow'}). Start it, or check the address.")
        return self.error(f"broke the connection off ({error or type(error).__name__}). See its log.")

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client for one request, in the running event loop.

        A shared one would not do: a request that is cancelled can leave a connection in httpx's pool that is neither
        used nor freed any more (encode/httpcore issue 1093). Here it goes with its client.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._idle, self._loop = [], loop
        client = self._idle.pop() if self._idle else httpx.AsyncClient(**self.settings)
        try:
            yield client
        except BaseException:
            await client.aclose()
            raise
        self._idle.append(client)


def _address(url: str) -> httpx.URL:
    """The address of the API; `/v1` is added to a bare host."""
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"'{url}' is no address ({error}). Give http://HOST:PORT/v1.") from None
    if address.scheme not in ("http", "https") or not address.host:
        raise ConfigError(f"'{url}' is not the address of a server. Give http://HOST:PORT/v1.")
    return address.copy_with(path="/v1") if address.path == "/" else address


def _pause(attempt: int, error: httpx.HTTPError) -> float | None:
    """Seconds to wait before another try; None when it would be one too many, or would not help."""
    if attempt == _TRIES or isinstance(error, httpx.ReadTimeout):
        return None
    asked = 0.0
    if isinstance(error, httpx.HTTPStatusError):
        if error.response.status_code not in _WORTH_RETRYING:
            return None
        asked = min(retry_after(error.response.headers.get("retry-after", "")), _LONGEST_PAUSE)
    return max(asked, 0.25 * 2.0**attempt * random.uniform(0.5, 1.0))


def retry_after(value: str) -> float:
    """Seconds that a Retry-After header asks for, as a number or up to a date; 0 for what is neither or has passed."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
            seconds = when.replace(tzinfo=when.tzinfo or UTC).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return seconds if seconds > 0 else 0.0  # not a number, too

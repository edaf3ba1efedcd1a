"""The transport by itself."""

from __future__ import annotations

import math
from email.utils import formatdate

import httpx
import pytest

from parse_engine.backends import server
from parse_engine.backends.server import _pause, retry_after

NOW = 1_800_000_000.0  # Friday, 15 January 2027, 08:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("1.5", 1.5),
        (" 2 ", 2),
        ("Fri, 15 Jan 2027 08:00:20 GMT", 20),
        ("Fri, 15 Jan 2027 08:00:20 -0000", 20),
        ("Friday, 15-Jan-27 08:00:20 GMT", 20),
        ("Fri, 15 Jan 2027 09:00:20 +0100", 20),
        ("Fri, 15 Jan 2027 07:59:59 GMT", 0),
        (formatdate(0, usegmt=True), 0),
        ("-3", 0),
        ("nan", 0),
        ("inf", math.inf),
        ("1e999", math.inf),
        ("Fri, 99 Jan 2027 08:00:20 GMT", 0),
        ("Fri, 15 Jan 0 08:00:20 GMT", 0),
        ("soon", 0),
        ("", 0),
    ],
)
def test_a_server_says_when_to_come_back(value: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only whole seconds were read; a fraction or a date was as if nothing had been said."""
    monkeypatch.setattr(server.time, "time", lambda: NOW)
    assert retry_after(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", ["99999999999", "inf", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_server_makes_an_answer_wait_for_ever(value: str) -> None:
    request = httpx.Request("POST", "http://x/v1/completions")
    response = httpx.Response(503, headers={"retry-after": value}, request=request)
    assert _pause(1, httpx.HTTPStatusError("busy", request=request, response=response)) == 30

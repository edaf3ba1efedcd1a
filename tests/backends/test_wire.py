"""What goes over the wire, by itself."""

from __future__ import annotations

import random

import pytest

from parse_engine.backends.wire import sent_stops

EVALPLUS = (
    "<|endoftext|>",
    "<|endofmask|>",
    "</s>",
    "\nif __name__",
    "\ndef main(",
    "\nprint(",
    "\nassert ",
)


@pytest.mark.parametrize(
    ("stops", "sent"),
    [
        ((), []),
        (("b", "a"), ["b", "a"]),
        (("ab", "b", "abc", "c"), ["ab", "b", "abc", "c"]),
        (("a", "b", "c", "d", "e"), ["a", "b", "c", "d"]),
        (("a", "b", "a", "c", "a", "d"), ["a", "b", "c", "d"]),
        (("a", "xa", "b", "c", "d", "e"), ["xa", "b", "c", "d"]),
        (("ab", "bc", "1", "2", "3", "4"), ["ab", "1", "2", "3"]),
        (("a", "ab", "abc", "abcd", "abcde"), ["a", "ab", "abc", "abcd"]),
        (("abcd", "bc", "1", "2", "3"), ["1", "2", "3"]),
        (EVALPLUS, list(EVALPLUS[:4])),
    ],
)
def test_the_stop_texts_that_a_server_is_told(stops: tuple[str, ...], sent: list[str]) -> None:
    assert sent_stops(stops) == sent


def test_the_stop_texts_that_are_told_change_no_answer() -> None:
    """Against a server that leaves out what it stops at, and a reader that looks for all, character by character."""

    def cut(text: str, stops: list[str]) -> str:
        for end in range(1, len(text) + 1):
            starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
            if starts:
                return text[: min(starts)]
        return text

    draw = random.Random(1)
    for _ in range(5000):
        stops = ["".join(draw.choices("abc", k=draw.randint(1, 4))) for _ in range(draw.randint(5, 7))]
        text = "".join(draw.choices("abc", k=20))
        assert cut(cut(text, sent_stops(stops)), stops) == cut(text, stops), (text, stops)

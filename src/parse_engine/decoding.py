"""Tokens to text, one token after another, for every tokenizer and any tokens."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

from tokenizers import Tokenizer

_UNREADABLE = "\ufffd"


class Decoding:
    """Text as it grows token by token; special tokens are left out, but for those that are shown.

    What was given out stays. A character is given out when its last token is there; bytes that are no character become
    U+FFFD when the text goes on behind them. `DecodeStream` of the tokenizers package does the same, but raises where
    a byte makes what was given out unreadable: tokenizers with byte fallback read a run of bytes as a whole.

        tokens     <0xC3>   <0xA9>   <0xC3>   a
        decoded    �        é        ���      ���a
        given out           é                 �a
    """

    def __init__(self, backend: Tokenizer, shown: Mapping[int, str]):
        """`shown`: special tokens and what stands in the text for them."""
        self._backend = backend
        self._shown = shown
        # The window: tokens whose text is given out, for what they mean to the next ones, and those that wait.
        self._given: list[int] = []
        self._waiting: list[int] = []

    def step(self, token: int) -> str | None:
        """What a token adds to the text: None where that is not known yet, or it has no text."""
        if not 0 <= token < 2**32:
            return None
        if token in self._shown:
            before, now = self._decode(self._given), self._decode([*self._given, *self._waiting])
            self.settle()
            return _behind(before, now) + self._shown[token]
        self._waiting.append(token)
        before, now = self._decode(self._given), self._decode([*self._given, *self._waiting])
        if now.endswith(_UNREADABLE) or len(now) <= len(before):
            return None
        self._given, self._waiting = self._waiting, []
        return _behind(before, now)

    def settle(self) -> None:
        """Give up what waits for the rest of a character."""
        self._given, self._waiting = [*self._given, *self._waiting], []

    def _decode(self, tokens: list[int]) -> str:
        return self._backend.decode(tokens, skip_special_tokens=True)


def common_start(one: str, other: str) -> int:
    """How many characters both texts begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def _behind(before: str, now: str) -> str:
    """What `now` has beyond `before`, each byte of which may have become unreadable in `now`."""
    same = common_start(before, now)
    return now[same + len(before[same:].encode()) :]

"""Wall-clock time by phase."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from parse_engine.trace import Seconds

Phase = Literal["draft", "verify", "continue"]


class Clock:
    """Runs from its creation. A phase counts the time the model takes for its tokens, not that of their reader."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._spent: dict[Phase, float] = {"draft": 0.0, "verify": 0.0, "continue": 0.0}

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Count the time inside the block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] += time.perf_counter() - began

    def timed(self, name: Phase, tokens: Iterator[int]) -> Iterator[int]:
        """The same tokens, counting the time it takes to get each."""
        while True:
            with self.phase(name):
                token = next(tokens, None)
            if token is None:
                return
            yield token

    def seconds(self) -> Seconds:
        """Seconds so far."""
        total = time.perf_counter() - self._began
        return Seconds(self._spent["draft"], self._spent["verify"], self._spent["continue"], total)

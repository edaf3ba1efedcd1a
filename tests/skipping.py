"""An event loop on which time passes while a server hangs, so that no test waits for a timeout or misses one."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock that can be put forward, a second in each of its turns."""

    _skipped = 0.0

    def time(self) -> float:
        return super().time() + self._skipped

    def skip(self) -> None:
        """Put the clock forward, from another thread; returns when that has happened, or the loop was closed."""
        turned = threading.Event()

        def turn() -> None:
            self._skipped += 1
            turned.set()

        with suppress(RuntimeError):  # it is closed
            self.call_soon_threadsafe(turn)
            while not turned.wait(0.01) and not self.is_closed():
                pass

"""Locks between processes: who works on a folder, so that nobody else does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parse_engine.errors import ParseEngineError


@contextmanager
def locked(file: Path, refusal: ParseEngineError) -> Iterator[None]:
    """Hold the lock `file`; the system gives it back when the process ends, however it ends.

    Raises:
        ParseEngineError: `refusal`, since another process holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise refusal from None
    try:
        yield
    finally:
        lock.release()

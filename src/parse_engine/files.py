"""Writing files whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file in one go: it has all of `content` (text as UTF-8), or what it had before.

    What is no regular file, a device or a pipe, is written to as it is.

    Raises:
        OSError: it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    place = path.resolve()  # a link stays a link
    new = place.with_name(f".{os.getpid()}.new")
    try:
        new.write_bytes(data)
        if place.exists():
            shutil.copymode(place, new)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)

"""Writing files whole."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from parse_engine.errors import ConfigError


def check_places(read: Mapping[str, str | Path | None], written: Mapping[str, str | Path | None]) -> None:
    """Refuse to write to a file what would be lost there, or would destroy what is read from it.

    Args:
        read: files by what they are called; None: there is none.
        written: the same, of files that are to be written.

    Raises:
        ConfigError: one is written twice, or read and written.
    """
    names = {Path(file).resolve(): name for name, file in read.items() if file is not None}
    for name, file in written.items():
        if file is not None and (other := names.setdefault(Path(file).resolve(), name)) != name:
            raise ConfigError(f"{other} and {name} are the same file, {file}. Give {name} a file of its own.")


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
    new = place.with_name(f".{place.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        new.write_bytes(data)
        if place.exists():
            shutil.copymode(place, new)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)

"""Which model a folder holds, told without reading gigabytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

# What decides how a model reads and writes, and where its answers end; its weights apart.
_SMALL = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
_SAMPLE = 4096  # bytes of every tensor
_EVENLY = 256  # samples of a file whose tensors are not known
_LONGEST_HEADER = 100_000_000  # bytes, as safetensors has it


def fingerprint(folder: Path) -> str:
    """A hash of configuration, tokenizer, chat template, and of samples of the weights where there are any.

    Of every tensor in safetensors files the name, shape and start go in. Files that are missing, broken or unreadable
    are no error: what can be read of them counts.
    """
    digest = hashlib.sha256()
    for name in _SMALL:
        _add(digest.update, folder / name, lambda file, size: [file.read()])
    for path in sorted(folder.glob("*.safetensors")):
        _add(digest.update, path, _of_tensors)
    for path in sorted(folder.glob("*.gguf")):
        _add(digest.update, path, _evenly)
    return digest.hexdigest()[:32]


def _add(update: Callable[[bytes], None], path: Path, read: Callable[[BinaryIO, int], Iterable[bytes]]) -> None:
    """Name, size, and what `read` takes of a file."""
    try:
        if not path.is_file():
            return
        size = path.stat().st_size
        update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for piece in read(file, size):
                update(piece)
    except OSError:
        update(b"unreadable")


def _of_tensors(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The header of a safetensors file, and the start of each of its tensors."""
    header = _header(file, size)
    starts = None if header is None else _starts(header)
    if header is None or starts is None:
        yield from _evenly(file, size)
        return
    yield header
    first = 8 + len(header)
    yield from _samples(file, [first + start for start in starts if first + start < size])


def _header(file: BinaryIO, size: int) -> bytes | None:
    """The JSON that a safetensors file begins with, behind its length; None where the length cannot be one."""
    length = int.from_bytes(file.read(8), "little")
    return file.read(length) if 0 < length <= min(size - 8, _LONGEST_HEADER) else None


def _starts(header: bytes) -> list[int] | None:
    """Where tensors start behind the header, in order; None where that is not a header."""
    try:
        entries = [entry for name, entry in json.loads(header).items() if name != "__metadata__"]
        starts = {entry["data_offsets"][0] for entry in entries}
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None
    whole = all(type(start) is int and start >= 0 for start in starts)
    return sorted(starts) if whole else None


def _evenly(file: BinaryIO, size: int) -> Iterator[bytes]:
    return _samples(file, [size * sample // _EVENLY for sample in range(_EVENLY)])


def _samples(file: BinaryIO, places: Iterable[int]) -> Iterator[bytes]:
    for place in places:
        file.seek(place)
        yield file.read(_SAMPLE)

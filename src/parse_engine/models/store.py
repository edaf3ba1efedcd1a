"""Where models are kept on this machine, and whether a folder holds a whole model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from parse_engine import locks
from parse_engine.errors import DownloadError


def cache_dir() -> Path:
    """`PARSE_ENGINE_CACHE`, or the user's cache directory."""
    given = os.environ.get("PARSE_ENGINE_CACHE")
    return Path(given).expanduser() if given else platformdirs.user_cache_path("parse-engine", appauthor=False)


def model_folder(name: str) -> Path:
    """Where the known model `name` is after a pull."""
    return cache_dir() / "models" / name


def work_folder(name: str) -> Path:
    """Where the pull of `name` keeps unfinished files; on the same file system as `model_folder`."""
    return cache_dir() / "work" / name


def embedded_folder(name: str) -> Path:
    """The folder of one of the models shipped in this package."""
    return Path(__file__).parent / "embedded" / name


def is_whole(folder: Path) -> bool:
    """Whether the folder has a configuration and every safetensors file that its index names."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return (folder / "model.safetensors").is_file()
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all((folder / shard).is_file() for shard in shards)
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def folder_size(folder: Path) -> int:
    """Bytes of all files in the folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise DownloadError when fewer than `needed` bytes are free where `folder` is or will be."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise DownloadError(
            f"not enough space for {what}: {needed:,} bytes are needed and {free:,} are available in {existing}. "
            "Free some space, or set PARSE_ENGINE_CACHE (for models by hub id: HF_HOME) to a folder on a larger disk."
        )


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the right to pull `name`; the system gives it back when the process ends, however it ends.

    Raises:
        DownloadError: another process holds it.
    """
    work = work_folder(name)
    work.parent.mkdir(parents=True, exist_ok=True)
    refusal = DownloadError(
        f"{name} is being pulled by another process. Wait for it to end, then run `parse-engine pull {name}` again."
    )
    with locks.locked(work.with_name(f"{name}.lock"), refusal):
        yield

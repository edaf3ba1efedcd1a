from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import parse_engine
from parse_engine.files import write_atomically


def test_a_file_is_replaced_as_a_whole_with_its_rights_and_its_link(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)
    write_atomically(link, "neu: ü")
    assert link.is_symlink()
    assert file.read_bytes() == "neu: ü".encode()
    assert file.stat().st_mode & 0o777 == 0o640
    write_atomically(file, b"bytes")
    assert file.read_bytes() == b"bytes"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_what_cannot_be_written_whole_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("old")

    def fail(self: Path, data: bytes) -> int:
        with self.open("wb") as half:
            half.write(data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_two_threads_write_two_files_of_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They used one file on the way, and one of them found it gone, or got what the other had written."""
    both = threading.Barrier(2, timeout=600)
    write_bytes = Path.write_bytes

    def write(self: Path, data: bytes) -> int:
        count = write_bytes(self, data)
        both.wait()
        return count

    monkeypatch.setattr(Path, "write_bytes", write)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda name: write_atomically(tmp_path / name, name), ["a", "b"]))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "a", "b": "b"}


def test_what_is_there_on_the_way_has_the_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(Path, "replace", lambda self, _: seen.append(self.name))
    write_atomically(tmp_path / "answers.jsonl", "x")
    assert seen[0].startswith(".answers.jsonl.")


def test_a_device_stays_one() -> None:
    with pytest.raises(OSError, match="No space left"):
        write_atomically(Path("/dev/full"), "x")
    write_atomically(Path("/dev/null"), "x")
    assert Path("/dev/full").is_char_device()
    assert Path("/dev/null").is_char_device()


def test_all_files_of_the_package_are_written_with_it() -> None:
    """A full disk left half a page, or half a profile, in the place of the old one."""
    source = Path(parse_engine.__file__).parent
    writers = {
        str(file.relative_to(source))
        for file in source.rglob("*.py")
        if ".write_text(" in (text := file.read_text()) or ".write_bytes(" in text
    }
    assert writers == {"files.py", "bench/replay/shapes.py"}  # the latter writes into a throw-away folder

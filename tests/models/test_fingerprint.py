"""Whatever makes a model answer otherwise makes another fingerprint, and nothing else does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from parse_engine.models.fingerprint import fingerprint

SMALL = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
]


def write_weights(folder: Path, *, changed: int | None = None) -> None:
    """Three thousand matrices, of 3 MB together; one of them may be another."""
    values = {f"layers.{number:04}": np.full((16, 16), number, dtype=np.float32) for number in range(3000)}
    if changed is not None:
        values[f"layers.{changed:04}"][0, 0] = -1
    save_file(values, folder / "model.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in SMALL:
        (tmp_path / name).write_text("{}")
    write_weights(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SMALL)
def test_it_changes_with_each_file_that_decides_something(folder: Path, name: str) -> None:
    """generation_config.json, which says where answers end, was left out."""
    before = fingerprint(folder)
    (folder / name).write_text("[]")
    changed = fingerprint(folder)
    (folder / name).unlink()
    assert len({before, changed, fingerprint(folder)}) == 3


def test_what_is_only_read_by_people_does_not_count(folder: Path) -> None:
    before = fingerprint(folder)
    (folder / "README.md").write_text("What it is.")
    os.utime(folder / "model.safetensors", (0, 0))
    assert fingerprint(folder) == before


@pytest.mark.parametrize("changed", [0, 1234, 2999])
def test_it_changes_with_one_matrix(folder: Path, changed: int) -> None:
    """Samples were taken at sixteen places of a file, so that a change between them went unseen."""
    before = fingerprint(folder)
    write_weights(folder, changed=changed)
    assert fingerprint(folder) != before


def test_matrices_that_have_changed_places_are_others(tmp_path: Path) -> None:
    prints = set()
    for names in (("a", "b"), ("b", "a")):
        save_file({name: np.zeros(4096, dtype=np.float32) for name in names}, tmp_path / "model.safetensors")
        prints.add(fingerprint(tmp_path))
    assert len(prints) == 1  # stored in order of name
    header = json.dumps({name: {"data_offsets": [0, 4]} for name in ("b", "a")}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    assert fingerprint(tmp_path) not in prints


def test_packed_weights_count(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    prints = {fingerprint(tmp_path)}
    for content in (bytes(300_000), bytes(300_001), b"GGUF" + bytes(299_996)):
        file.write_bytes(content)
        prints.add(fingerprint(tmp_path))
    assert len(prints) == 4


def entry(offsets: str) -> bytes:
    return b'{"a": {"data_offsets": %s}}' % offsets.encode()


@pytest.mark.parametrize(
    "header",
    [b"", b"{", b"[]", b"{}", b"\xff\xff", b'{"a": 3}', b'{"a": {}}']
    + [entry(offsets) for offsets in ("[]", "3", "[null]", "[[]]", "[-9]", "[Infinity]", "[NaN]", '["0"]', "[true]")]
    + [entry(f"[{10**30}]"), b"[" * 100_000],
)
def test_broken_weights_are_no_error_and_still_count(tmp_path: Path, header: bytes) -> None:
    prints = set()
    for content in (bytes(9000), b"\1" * 9000):
        (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + content)
        prints.add(fingerprint(tmp_path))
    assert len(prints) == (1 if header in (b"{}", entry(f"[{10**30}]")) else 2)  # 1: no tensor is in the file


@pytest.mark.parametrize("content", [b"", b"1", b"\xff" * 8, b"\xff" * 20, (9).to_bytes(8, "little") + b"{}"])
def test_weights_that_are_cut_off_are_no_error(tmp_path: Path, content: bytes) -> None:
    before = fingerprint(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    assert fingerprint(tmp_path) != before


def test_what_cannot_be_opened_is_no_error(folder: Path) -> None:
    (folder / "lost.safetensors").symlink_to(folder / "nowhere")
    (folder / "folder.safetensors").mkdir()
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert len(fingerprint(folder)) == 32

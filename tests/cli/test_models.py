from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from parse_engine.cli.models import readable_size
from parse_engine.errors import DownloadError

from .conftest import Result

Run = Callable[..., Result]

HERE = SimpleNamespace(
    name="small", licence="Apache-2.0", size=1_520_000, here=True, path=Path("models/small"), origin="embedded"
)
AWAY = SimpleNamespace(name="large", licence="MIT", size=0, here=False, path=None, origin="Q4_1 of org/large")


@pytest.fixture(autouse=True)
def catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    def pull(name: str, *, quiet: bool = False) -> Path:
        if name == "gone":
            raise DownloadError("the download of gone was refused.\nTry later.")
        return Path("models") / name

    for name, content in {"resolve": {"known_models": lambda: [HERE, AWAY]}, "pull": {"pull": pull}}.items():
        module = ModuleType(f"parse_engine.models.{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_the_table_has_a_row_per_model_and_a_line_for_its_origin(run: Run) -> None:
    result = run("models")
    rows = [line.split() for line in result.out.splitlines() if line.strip()]
    assert ["small", "1.52", "MB", "Apache-2.0", "yes"] in rows
    assert ["large", "–", "MIT", "no"] in rows
    assert ["large:", "Q4_1", "of", "org/large"] in rows
    assert "4-bit weights" in result.out
    assert result.err == ""


def test_json_is_one_object_per_model(run: Run) -> None:
    first, second = (json.loads(line) for line in run("models", "--json").out.splitlines())
    assert first == {
        "name": "small",
        "size": 1_520_000,
        "licence": "Apache-2.0",
        "here": True,
        "path": str(Path("models/small")),
        "origin": "embedded",
    }
    assert second["path"] is None


def test_pull_prints_a_path_per_name_and_stops_at_the_first_that_fails(run: Run) -> None:
    result = run("pull", "small", "gone", "large")
    assert result.out.splitlines() == [str(Path("models/small"))]
    assert (result.code, result.err) == (2, "error: the download of gone was refused. Try later.\n")


def test_pull_says_on_stderr_what_a_known_model_was_made_from(run: Run) -> None:
    name = "smollm2-135m-instruct-q4_1"
    result = run("pull", name)
    assert result.out.splitlines() == [str(Path("models") / name)]
    assert result.err.startswith(f"{name}: Q4_1 of HuggingFaceTB/SmolLM2-135M-Instruct, expanded to bfloat16; from ")
    assert run("pull", "--quiet", name).err == ""


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "–"),
        (999, "999 B"),
        (1000, "1 kB"),
        (272_584_849, "273 MB"),
        (999_600_000, "1 GB"),
        (3_090_000_000, "3.09 GB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert readable_size(size) == text

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from parse_engine.backends.hf import HFModel
from parse_engine.bench.provenance import ROOT, check_writable, describe, with_models
from parse_engine.errors import ConfigError


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("/some/where/bin/parse-engine", "parse-engine --limit 5"),
        (str(ROOT / "scripts/embedded/evaluate.py"), "python scripts/embedded/evaluate.py --limit 5"),
        ("/else/where/measure.py", "measure.py --limit 5"),
    ],
)
def test_the_command_can_be_given_again_from_the_root(
    monkeypatch: pytest.MonkeyPatch, program: str, command: str
) -> None:
    """Of a script only the name was kept, which says neither where it lies nor how it is called."""
    monkeypatch.setattr(sys, "argv", [program, "--limit", "5"])
    assert describe()["command"] == command


def test_the_root_is_the_repositorys() -> None:
    assert (ROOT / "pyproject.toml").is_file()


def test_a_check_leaves_a_results_file_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text("figures")
    check_writable(file)
    assert file.read_text() == "figures"
    check_writable(tmp_path / "new.json")
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(ConfigError, match="cannot write"):
        check_writable(tmp_path)


def test_threads_are_counted_when_the_models_are_loaded(target: HFModel, drafter: HFModel) -> None:
    """A small model is computed with fewer threads than torch has before it is loaded: two cores were named, and one
    computed."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + 1)
        origin = describe()
        torch.set_num_threads(before)
        whole = with_models(origin, target, drafter)
    finally:
        torch.set_num_threads(before)
    assert (origin["machine"]["threads"], whole["machine"]["threads"]) == (before + 1, before)
    assert whole["models"]["drafter"] == {"name": "tiny-2", "fingerprint": "tiny-2", "origin": None}
    assert {key: whole[key] for key in ("command", "time")} == {key: origin[key] for key in ("command", "time")}

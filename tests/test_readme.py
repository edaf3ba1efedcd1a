"""README's commands and snippet do what it says.

Bash blocks: `make` targets must exist (.ci/run calls them); commands on models that have to be pulled must name real
commands, options and models; all others are run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from parse_engine.models.catalog import find
from tests.test_examples import needs_models

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands_of(block: str) -> list[list[str]]:
    return [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]


def commands() -> list[list[str]]:
    return [command for block in blocks("bash") for command in commands_of(block)]


def needs_download(command: list[str]) -> bool:
    known = [model for word in command if (model := find(word)) is not None]
    return command[:2] == ["parse-engine", "pull"] or any(model.embedded is None for model in known)


OURS = [command for command in commands() if command[0] == "parse-engine"]
# The commands of one block run one after the other in one folder.
RUN = [
    own
    for block in blocks("bash")
    if (own := [c for c in commands_of(block) if c[0] == "parse-engine" and not needs_download(c)])
]
READ = [command for command in OURS if needs_download(command)]


def run(*command: str | Path, cwd: Path) -> str:
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_command_is_covered() -> None:
    assert {command[0] for command in commands()} == {"make", "source", "parse-engine"}
    assert RUN
    assert READ


@pytest.mark.parametrize("target", [command[1] for command in commands() if command[0] == "make"])
def test_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.slow
@needs_models
@pytest.mark.parametrize("block", RUN, ids=lambda block: " ".join(block[0]))
def test_commands_run(block: list[list[str]], tmp_path: Path) -> None:
    for command in block:
        assert run(*command, cwd=tmp_path)


@pytest.mark.parametrize("command", READ, ids=" ".join)
def test_command_on_pulled_models_is_spelled_right(command: list[str], tmp_path: Path) -> None:
    offered = run("parse-engine", command[1], "--help", cwd=tmp_path)
    options = [word for word in command if word.startswith("--")]
    assert all(option in offered for option in options)
    names = command[2:] if command[1] == "pull" else [command[command.index(o) + 1] for o in ("--target", "--draft")]
    assert all(find(name) for name in names)


@pytest.mark.slow
@needs_models
def test_snippet_runs(tmp_path: Path) -> None:
    (snippet,) = blocks("python")
    printed = run(sys.executable, "-c", snippet, cwd=tmp_path)
    assert re.search(r"kept \d+ of \d+ draft tokens", printed)


def test_snippet_is_the_quickstart() -> None:
    """Its output in the README comes from the example."""
    (snippet,) = blocks("python")
    example = (ROOT / "examples/quickstart.py").read_text(encoding="utf-8")
    assert "\n".join(line.partition("  #")[0] for line in snippet.splitlines()) in example
    assert len([line for line in snippet.splitlines() if line]) <= 8

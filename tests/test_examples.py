"""The examples run, and print what they are there to show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from parse_engine.models import store

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
SHOWS = {
    "conversation.py": "turn 2 with nothing cached",
    "own_loop.py": "done ",
    "quickstart.py": "kept ",
    "three_questions.py": "draft tokens",
}
needs_models = pytest.mark.skipif(
    not all(store.is_whole(store.embedded_folder(role)) for role in ("target", "drafter")),
    reason="the embedded pair's weights are missing",
)


def run_example(name: str, given: str = "") -> str:
    done = subprocess.run([sys.executable, EXAMPLES / name], input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@needs_models
@pytest.mark.parametrize("name", SHOWS)
def test_example_runs(name: str) -> None:
    assert SHOWS[name] in run_example(name)


@pytest.mark.slow
@needs_models
def test_the_second_turn_computes_less_than_without_a_cache() -> None:
    _, second, cold = (int(rows) for rows in re.findall(r"by the target +(\d+)", run_example("conversation.py")))
    assert second < cold


def test_compare_prints_a_row_per_method() -> None:
    figures = {"answers": 20, "accuracy": 0.95, "tokens_per_s": 100.0, "seconds_per_answer": 0.5}
    printed = run_example("compare.py", json.dumps({"tiny": {"target": figures, "parse": figures}}))
    assert [line.split() for line in printed.splitlines() if line] == [
        ["tiny", "tokens/s", "s/answer", "right"],
        ["target", "100.0", "0.500", "19", "of", "20"],
        ["parse", "100.0", "0.500", "19", "of", "20"],
    ]


def test_every_example_is_tested_and_short() -> None:
    assert set(SCRIPTS) == {*SHOWS, "compare.py"}
    assert all(len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 40 for name in SCRIPTS)

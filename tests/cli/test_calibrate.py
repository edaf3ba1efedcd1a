"""From questions to a profile and back into the engine, with the embedded pair."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parse_engine import Profile

pytestmark = pytest.mark.slow

QUESTION = "Ada has 12 apples. In May Ada buys 5 more apples. How many apples does Ada have at the end?"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    code = "from parse_engine.cli import main; main()"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)


def test_a_profile_is_made_shown_and_used(tmp_path: Path) -> None:
    file = tmp_path / "own.profile"
    options = ["--limit", "80", "--deltas", "32", "--max-tokens", "120", "--fit-share", "0.6", "--output", str(file)]
    made = run("calibrate", *options, "--judges", "fused", "--max-loss", "0.3")
    assert made.returncode == 0, made.stderr
    assert "Promised with 95% confidence" in made.stdout
    profile = Profile.load(file)
    assert profile.choice is not None
    assert profile.choice.speed > 1
    assert profile.fitted_on + profile.tested_on == 80
    assert file.stat().st_size < 1_000_000

    again = run("calibrate", *options, "--judges", "prompt", "--max-loss", "0.02", "--json")
    assert again.returncode == 0, again.stderr
    assert "cannot be promised" in again.stderr  # too few questions
    assert json.loads(again.stdout)["tried"]
    assert not any(tried["promised"] for tried in json.loads(again.stdout)["tried"])
    fallen = run("generate", "--profile", str(file), "--json", QUESTION)
    assert json.loads(fallen.stdout)["trace"]["method"] == "target"
    assert "the target answers alone" in fallen.stderr

    profile.save(file)
    answered = run("generate", "--profile", str(file), "--json", QUESTION)
    assert answered.returncode == 0, answered.stderr
    trace = json.loads(answered.stdout)["trace"]
    assert (trace["method"], trace["warnings"]) == ("parse", [])
    methods = ["target", "draft", "cascade", "parse", "parse:calibrated=false", "parse:threshold=0.5"]
    benched = run("bench", "run", "--profile", str(file), "--methods", ",".join(methods), "--limit", "3", "--json")
    assert benched.returncode == 0, benched.stderr
    assert list(json.loads(benched.stdout)["tiny"]) == methods
    refused = run(
        "generate", "--profile", str(file), "--target", "embedded-drafter", "--draft", "embedded-drafter", "x"
    )
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "the profile was made for the target embedded-target" in refused.stderr

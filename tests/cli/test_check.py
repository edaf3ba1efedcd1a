from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from parse_engine.models.fingerprint import fingerprint
from parse_engine.models.resolve import resolve
from tests.calibration.profiles import make_profile

from .conftest import Result

Run = Callable[..., Result]


def test_the_embedded_pair_passes(run: Run) -> None:
    result = run("check")
    assert result.code == 0
    assert "fail" not in result.out
    assert "the labels are tokens of the target: 'Correct' and 'Incorrect'" in result.out


def test_a_model_that_cannot_be_used_fails_with_the_reason(run: Run, tmp_path: Path) -> None:
    result = run("check", "--target", str(tmp_path), "--draft", "embedded-drafter", "--json")
    assert result.code == 1
    findings = [json.loads(line) for line in result.out.splitlines()]
    assert [finding["level"] for finding in findings] == ["fail", "ok", "ok"]
    assert "no config.json" in findings[0]["text"]


def test_a_command_line_of_generate_can_be_checked_as_it_stands(run: Run) -> None:
    """It knew some of the flags only."""
    flags = "--threshold 0.6 --device cpu --temperature 0.5 --concurrency 2 --quiet"
    result = run("check", *flags.split(), "Hello?")
    assert result.code == 0, result.err


def test_a_profile_is_checked_with_its_fitted_judge(run: Run, tmp_path: Path) -> None:
    """The judge that a profile chooses was said to be not fitted, whatever the profile."""
    file = tmp_path / "own.profile"
    target, draft = "embedded-target", "embedded-drafter"
    own = {"target_fingerprint": fingerprint(resolve(target)), "draft_fingerprint": fingerprint(resolve(draft))}
    make_profile(target=target, draft=draft, **own).save(file)
    result = run("check", "--profile", str(file))
    assert result.code == 0, result.out
    assert "judge 'fused' is fitted, and reads verdicts, logprobs of the target" in result.out
    make_profile(target=target, draft=draft).save(file)
    result = run("check", "--profile", str(file))
    assert result.code == 1
    assert "the profile was made for the target embedded-target" in result.out

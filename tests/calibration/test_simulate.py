from __future__ import annotations

import itertools
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import simulate
import splits
from parse_engine.calibration.cases import FULL_ONLY, Case, Cases
from parse_engine.calibration.fitting import fit, rows
from parse_engine.calibration.run import Promise
from parse_engine.calibration.search import grid, score, simulate_all
from parse_engine.profile import Setting, Tried
from population import COSTS, DELTAS, SIGNALS, draw
from splits import figures, split
from tests.calibration.profiles import make_profile


def test_the_true_risk_is_that_of_walking_the_cases() -> None:
    fitted = fit("fused", SIGNALS, *rows(draw(120, 4), DELTAS))
    assert fitted is not None
    cases = [case for start in (0, simulate.CHUNK) for case in draw(100, [simulate.SEED, 0, start])]
    known = {
        delta: simulate._joined([simulate._truth(cases[:100], delta), simulate._truth(cases[100:], delta)])
        for delta in (FULL_ONLY, *DELTAS)
    }
    scored = [score(case, fitted, DELTAS) for case in cases]
    settings = list(itertools.islice(grid("fused", scored, DELTAS, 16), 0, None, 7))
    for setting, done in zip(settings, simulate_all(settings, cases, scored, fitted, COSTS), strict=True):
        risk = known[simulate.delta_of(setting)].risk(setting, fitted)
        assert risk == pytest.approx(done.losses / len(cases))


def test_the_naive_way_takes_the_fastest_with_few_losses() -> None:
    setting = Setting("fused", 0.5, 0.5, 16, 16, "first-failure")
    tried = [Tried(setting, losses, 0, 1.0, False, speed, 0.5, 0.5) for losses, speed in ((1, 1.2), (3, 1.5), (4, 2))]
    picked = simulate.naive(tried, 3.0)
    assert picked is not None
    assert picked.speed == 1.5
    assert simulate.naive(tried, 0.5) is None


def test_a_share_has_an_exact_interval() -> None:
    assert simulate.share(0, 0)["share"] is None
    none = simulate.share(0, 20)
    assert none["ci"] == pytest.approx([0, 1 - 0.025 ** (1 / 20)])


@pytest.fixture(scope="module")
def drawn() -> list[Case]:
    return draw(300, 21)


def test_splits_count_what_the_held_out_part_says(drawn: list[Case]) -> None:
    promise = Promise(max_loss=0.1, confidence=0.8)
    tried = [split(drawn, number, 0.6, promise, COSTS) for number in range(2)]
    assert all(each is not None and each.held_out == 120 and each.speed > 1 for each in tried)
    told = figures(drawn, [*tried, None], promise.max_loss)
    assert (told["cases"], told["splits"], told["promised"]) == (300, 3, 2)
    assert told["clearly_above"] <= told["above"]
    assert told["held_out_loss"] == pytest.approx(np.mean([each.losses / 120 for each in tried if each]))


def test_a_split_without_a_judge_promises_nothing(drawn: list[Case]) -> None:
    assert split(drawn[:10], 0, 0.6, Promise(), COSTS) is None


def test_the_splits_of_a_profile_are_written(drawn: list[Case], tmp_path: Path) -> None:
    """The script had not followed a change of what it calls."""
    profile, output = tmp_path / "drawn.profile", tmp_path / "splits.json"
    make_profile(costs=asdict(COSTS)).save(profile)
    kept = Cases(tmp_path / "drawn.profile.cases")
    (tmp_path / "drawn.profile.cases").mkdir()
    for case in drawn:
        kept.add(case)
    splits.main([str(profile), "--splits", "2", "--max-loss", "0.1", "--output", str(output)])
    own = json.loads(output.read_text())["figures"]["drawn.profile"]
    assert (own["cases"], own["splits"]) == (300, 2)
    assert own["speed"] > 1

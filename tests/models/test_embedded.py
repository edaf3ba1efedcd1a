"""The embedded pair does what it is shipped for. Bounds are loose for few problems; results/ has the figures of 500."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from parse_engine import Engine, SamplingParams
from parse_engine.bench import tiny
from parse_engine.models.store import embedded_folder

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "embedded"))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine.load(device="cpu")


def problems(count: int) -> list[tiny.Problem]:
    return list(itertools.islice(tiny.problems("test", seed=2), count))


def test_it_is_small_enough_to_ship() -> None:
    files = [path for name in ("target", "drafter") for path in embedded_folder(name).rglob("*")]
    assert sum(path.stat().st_size for path in files) < 15_000_000


@pytest.mark.slow
def test_verdicts_tell_right_prefixes_from_wrong_ones(engine: Engine) -> None:
    from evaluate import evaluate

    figures = evaluate(engine, problems(40))
    assert figures["target_accuracy"] >= 0.9
    assert 0.6 <= figures["drafter_accuracy"] <= 0.95
    assert figures["verdict_auc"] >= 0.85
    assert figures["agreed_tokens_before_first_difference"] < 3


@pytest.mark.slow
def test_parse_answers_as_the_target_does_and_keeps_what_is_right(engine: Engine) -> None:
    params = SamplingParams(max_tokens=300)
    answers = [(problem, engine.generate(problem.question, params)) for problem in problems(30)]
    assert sum(tiny.grade(problem, answer.text) for problem, answer in answers) >= 21
    assert all(answer.trace.verify_passes == 1 for _, answer in answers)
    kept = [answer.trace.committed_tokens / answer.completion_tokens for _, answer in answers]
    assert sum(kept) / len(kept) > 0.5

"""The embedded pair does what it is shipped for. Bounds are loose for few problems; results/ has figures of many."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from evaluate import judging, writing
from layers import idle, table
from parse_engine import AsyncEngine, Engine, SamplingParams
from parse_engine.bench.tasks import tiny
from parse_engine.models.store import embedded_folder, folder_size
from writing import Author

PARAMS = SamplingParams(max_tokens=300)
TARGET, DRAFTER = embedded_folder("target"), embedded_folder("drafter")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine.load(device="cpu") as engine:
        yield engine


def problems(count: int) -> list[tiny.Problem]:
    return list(itertools.islice(tiny.problems("test", seed=2), count))


def test_it_is_small_enough_to_ship() -> None:
    assert sum(map(folder_size, (TARGET, DRAFTER))) < 15_000_000


@pytest.mark.slow
def test_no_layer_of_the_target_is_idle() -> None:
    """Eight of its sixteen layers added nothing once, and made every speed-up look larger than it was."""
    assert idle(table(TARGET, DRAFTER, limit=40)) == []


@pytest.mark.slow
def test_each_goes_on_behind_the_others_lines() -> None:
    figures = writing(problems(100), Author.load(TARGET), Author.load(DRAFTER))
    assert figures["target_right"] >= 0.93
    assert 0.55 <= figures["drafter_right"] <= 0.9
    assert figures["in_turns_right"] > figures["drafter_right"]
    assert figures["target_right_behind_both"] >= 0.93
    assert figures["drafter_right_behind_both"] >= figures["drafter_right"]


@pytest.mark.slow
def test_verdicts_tell_right_prefixes_from_wrong_ones() -> None:
    chosen = problems(40)
    drafts = Author.load(DRAFTER).answers(chosen, [""] * len(chosen))
    figures = asyncio.run(judging(AsyncEngine.load(device="cpu"), chosen, drafts))
    assert figures["verdict_auc"] >= 0.9  # type: ignore[operator]
    assert figures["verdict_auc_made_up_mistakes"] >= 0.9  # type: ignore[operator]
    assert figures["agreed_tokens_before_first_difference"] < 3  # type: ignore[operator]


@pytest.mark.slow
def test_parse_mends_the_drafters_answers_and_keeps_what_is_right(engine: Engine) -> None:
    """Nearly all of the wrong drafts end right, most of the right ones are kept whole."""
    mended, kept = [], []
    for problem in problems(60):
        answer = engine.generate(problem.question, PARAMS)
        right = tiny.grade(problem, answer.text)
        drafted = tiny.grade(problem, answer.trace.draft_text)
        if drafted:
            kept.append(answer.trace.committed_tokens == answer.trace.draft_tokens)
        else:
            mended.append(right)
    assert len(mended) >= 6  # the drafter does make mistakes
    assert sum(mended) / len(mended) >= 0.7
    assert sum(kept) / len(kept) >= 0.7

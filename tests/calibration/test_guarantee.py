from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from parse_engine.calibration.guarantee import (
    binomial_p_value,
    fewest_questions,
    fixed_sequence,
)


def exact_sum(losses: int, questions: int, risk: float) -> float:
    return math.fsum(math.comb(questions, k) * risk**k * (1 - risk) ** (questions - k) for k in range(losses + 1))


@pytest.mark.parametrize(("questions", "max_loss"), [(1, 0.5), (20, 0.05), (300, 0.03), (300, 0.3)])
def test_binomial_against_an_exact_sum(questions: int, max_loss: float) -> None:
    for losses in {0, 1, questions // 10, questions // 2, questions - 1, questions}:
        assert binomial_p_value(losses, questions, max_loss) == pytest.approx(exact_sum(losses, questions, max_loss))


def test_without_questions_nothing_is_known() -> None:
    assert binomial_p_value(0, 0, 0.01) == 1


@pytest.mark.parametrize(
    ("losses", "questions", "max_loss"), [(0, 10, 0.0), (0, 10, 1.0), (0, 10, -0.1), (11, 10, 0.1), (-1, 10, 0.1)]
)
def test_numbers_that_do_not_fit(losses: int, questions: int, max_loss: float) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1|losses in"):
        binomial_p_value(losses, questions, max_loss)


def test_p_values_grow_with_the_losses() -> None:
    values = [binomial_p_value(losses, 50, 0.1) for losses in range(51)]
    assert all(a <= b for a, b in itertools.pairwise(values))


@pytest.mark.parametrize(
    ("p_values", "rejected"),
    [([], 0), ([0.01], 1), ([0.1], 1), ([0.11], 0), ([0.01, 0.02, 0.2, 0.0], 2), ([0.2, 0.0, 0.0], 0)],
)
def test_a_fixed_sequence_ends_with_its_first_failure(p_values: list[float], rejected: int) -> None:
    assert fixed_sequence(iter(p_values), 0.1) == rejected


def test_a_fixed_sequence_errs_no_oftener_than_its_level() -> None:
    """Settings of growing risk on the same questions, the fourth and all later ones above the limit."""
    limit, level, questions, runs = 0.1, 0.1, 200, 1000
    risks = np.array([0.02, 0.05, 0.07, 0.1001, 0.1002, 0.11])
    generator = np.random.default_rng(0)
    losses = (generator.random((runs, questions, 1)) < risks).sum(axis=1)
    wrong = sum(fixed_sequence([binomial_p_value(k, questions, limit) for k in row], level) > 3 for row in losses)
    assert wrong / runs <= level + 3 * math.sqrt(level * (1 - level) / runs)


@pytest.mark.parametrize(("max_loss", "level"), [(0.01, 0.05), (0.03, 0.1), (0.1, 0.025), (0.5, 0.3)])
def test_the_fewest_questions_are_just_enough(max_loss: float, level: float) -> None:
    fewest = fewest_questions(max_loss, level)
    assert binomial_p_value(0, fewest, max_loss) <= level < binomial_p_value(0, fewest - 1, max_loss)


def test_one_percent_takes_299_questions() -> None:
    assert fewest_questions(0.01, 0.05) == 299

from __future__ import annotations

import itertools
from statistics import NormalDist

import numpy as np
import pytest

from parse_engine.bench.report import stats


def test_differences_and_ratios_of_known_values() -> None:
    assert stats.accuracy_difference([True, True, False, True], [True, False, False, True]) == 0.25
    assert stats.speed_ratio([1.0, 3.0], [2.0, 10.0]) == 3.0


def test_speed_ratio_is_of_sums_not_of_quotients() -> None:
    assert stats.speed_ratio([1.0, 1.0], [1.0, 9.0]) == 5.0
    assert stats.speed_ratio([1.0, 9.0], [1.0, 1.0]) == 0.2


def test_intervals_are_the_same_every_time() -> None:
    method, target = [1.0, 2.0, 4.0, 3.0], [4.0, 3.0, 9.0, 8.0]
    assert stats.speed_ratio_interval(method, target) == stats.speed_ratio_interval(method, target)


def test_equal_answers_leave_no_uncertainty() -> None:
    """Paired by question: two methods that are right on the same half differ by exactly nothing."""
    right = [True, False] * 50
    assert stats.accuracy_difference_interval(right, right) == (0.0, 0.0)


def test_pairing_removes_what_the_questions_have_in_common() -> None:
    """Always twice as fast, on questions of very different length: the ratio is certain."""
    seconds = [float(2**n) for n in range(20)]
    low, high = stats.speed_ratio_interval([s / 2 for s in seconds], seconds)
    assert (low, high) == pytest.approx((2.0, 2.0))


def test_interval_agrees_with_the_normal_approximation() -> None:
    rng = np.random.default_rng(1)
    difference = rng.choice([-1.0, 0.0, 1.0], p=[0.15, 0.75, 0.1], size=400)
    target = difference < 0
    method = difference > 0
    low, high = stats.accuracy_difference_interval(method.tolist(), target.tolist())
    half = 1.96 * difference.std() / np.sqrt(400)
    assert low == pytest.approx(difference.mean() - half, abs=0.006)
    assert high == pytest.approx(difference.mean() + half, abs=0.006)


def test_intervals_are_those_of_all_resamples_of_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of four pairs there are only 4 ** 4 resamples: of so few all but the 1 in 8,000 at either end count."""
    monkeypatch.setattr(stats, "RESAMPLES", 100_000)
    target, own = [2.0, 4.0, 6.0, 8.0], [1.6, 2.6, 7.6, 1.6]
    ratios = [
        sum(target[n] for n in drawn) / sum(own[n] for n in drawn) for drawn in itertools.product(range(4), repeat=4)
    ]
    assert stats.speed_ratio_interval(own, target) == pytest.approx((min(ratios), max(ratios)))


def test_intervals_of_few_groups_are_as_wide_as_students() -> None:
    """Of equal pairs but one the mean has that spread; quantiles of Student's t from a table."""
    for count, student in ((5, 2.776), (12, 2.201), (100, 1.984)):
        width = NormalDist().inv_cdf(1 - stats._tail(count))
        assert width == pytest.approx(student * (count / (count - 1)) ** 0.5, rel=0.01)


def test_a_change_of_speed_is_the_ratio_of_the_ratios() -> None:
    now, then = ([1.0, 3.0], [4.0, 8.0]), ([2.0, 2.0], [3.0, 5.0])
    assert stats.speed_change(now, then) == pytest.approx((12 / 4) / (8 / 4))
    slower = tuple([1.3 * s for s in seconds] for seconds in now)
    assert stats.speed_change_interval((slower[0], slower[1]), now) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize("statistic", ["difference", "ratio"])
def test_intervals_cover_the_truth(statistic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 simulated runs of 120 questions, about 95 % of the intervals hold the true value."""
    monkeypatch.setattr(stats, "RESAMPLES", 1000)
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        if statistic == "difference":
            method, target = rng.random(120) < 0.7, rng.random(120) < 0.8
            low, high = stats.accuracy_difference_interval(method.tolist(), target.tolist())
            truth = -0.1
        else:
            length = rng.gamma(4.0, 1.0, 120)
            low, high = stats.speed_ratio_interval(
                (length * rng.uniform(0.5, 1.5, 120)).tolist(), (2 * length * rng.uniform(0.8, 1.2, 120)).tolist()
            )
            truth = 2.0
        covered += low <= truth <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_unpaired_values_are_refused() -> None:
    with pytest.raises(ValueError, match="2 of the method, 1 of the target"):
        stats.speed_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="paired values"):
        stats.accuracy_difference([], [])


def test_pairs_of_a_group_are_drawn_together() -> None:
    """Two groups of equal pairs: their means are -1, 0 or 1 times an equal share, and nothing between."""
    method, target = [True] * 5 + [False] * 5, [False] * 5 + [True] * 5
    grouped = stats.accuracy_difference_interval(method, target, ["a"] * 5 + ["b"] * 5)
    alone = stats.accuracy_difference_interval(method, target)
    assert grouped == (-1.0, 1.0)
    assert alone is not None
    assert -0.9 < alone[0] < alone[1] < 0.9


def test_a_group_of_its_own_for_each_pair_changes_nothing() -> None:
    method, target = [1.0, 2.0, 4.0, 3.0], [4.0, 3.0, 9.0, 8.0]
    assert stats.speed_ratio_interval(method, target, "abcd") == stats.speed_ratio_interval(method, target)


def test_one_group_tells_nothing_about_its_spread() -> None:
    assert stats.speed_ratio_interval([1.0], [2.0]) is None
    assert stats.speed_ratio_interval([1.0, 1.0], [2.0, 3.0], ["a", "a"]) is None


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1.0), (1, 1, 1.0), (0, 1, 1.0), (0, 5, 2 / 32), (5, 0, 2 / 32), (1, 9, 2 * 11 / 1024), (3, 4, 1.0)],
)
def test_mcnemar_is_the_two_sided_binomial_test(gained: int, lost: int, p: float) -> None:
    assert stats.mcnemar(gained, lost) == pytest.approx(p)


def test_mcnemar_of_many_questions() -> None:
    """Numbers that no float holds; by the normal approximation z = 3.95 with the continuity correction."""
    assert stats.mcnemar(2900, 3210) == pytest.approx(7.7e-5, rel=0.05)


def test_percentiles_lie_between_the_sorted_values() -> None:
    assert [stats.percentile([4.0, 1.0, 3.0, 2.0], p) for p in (0, 50, 100)] == [1.0, 2.5, 4.0]

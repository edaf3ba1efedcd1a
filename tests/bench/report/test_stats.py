from __future__ import annotations

import math

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


@pytest.mark.parametrize(("questions", "reach"), [(3, 0.690), (12, 0.301), (100, 0.0461), (5000, 0.00096)])
def test_equal_answers_do_not_make_it_certain(questions: int, reach: float) -> None:
    """The interval was [0, 0], of 3 questions as of 5,000. A loss that one run in 20 does not see is within it."""
    right = [True] * questions
    assert stats.accuracy_difference_interval(right, right) == pytest.approx((-reach, reach), rel=0.01)
    assert reach > 1 - 0.05 ** (1 / questions)


@pytest.mark.parametrize(("gained", "lost", "pairs"), [(0, 0, 30), (0, 1, 12), (5, 2, 40), (3, 30, 200), (9, 1, 10)])
def test_score_intervals_end_where_the_test_refuses(gained: int, lost: int, pairs: int) -> None:
    """The chances at a given difference are searched for in the likelihood itself."""
    for side, end in zip((1, -1), stats.score_interval(gained, lost, pairs), strict=True):
        chances = np.linspace(max(0.0, -end), (1 - end) / 2, 400_003)[1:-1]  # to lose a pair
        alike = 1 - 2 * chances - end
        likelihood = gained * np.log(chances + end) + lost * np.log(chances) + (pairs - gained - lost) * np.log(alike)
        lose = chances[likelihood.argmax()]
        deviation = math.sqrt(pairs * (2 * lose + end - end**2))
        assert (gained - lost - pairs * end - side / 2) / deviation == pytest.approx(side * 1.96, abs=0.01)


@pytest.mark.parametrize("questions", [12, 100, 500])
@pytest.mark.parametrize("loses", [0.005, 0.01, 0.02, 0.05, 0.1])
def test_intervals_of_small_losses_hold_the_truth(questions: int, loses: float) -> None:
    """The bootstrap held it in 10 % of the runs of 12 questions that lose 1 %. Exact, from all outcomes."""
    for wins in (0.0, loses / 2, loses):
        missed = 0.0
        for lost in range(questions + 1):
            for gained in range(questions + 1 - lost if wins else 1):
                chance = trinomial(questions, lost, gained, loses, wins)
                if chance < 1e-6:
                    if gained + lost > questions * (loses + wins):
                        break
                    continue
                low, high = stats.score_interval(gained, lost, questions)
                missed += chance * (not low <= wins - loses <= high)
        assert missed < 0.0505


def trinomial(questions: int, lost: int, gained: int, loses: float, wins: float) -> float:
    """How likely so many are lost and gained."""
    alike = questions - lost - gained
    ways = math.comb(questions, lost) * math.comb(questions - lost, gained)
    return ways * loses**lost * wins**gained * (1 - loses - wins) ** alike


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


def test_speeds_left_out_one_at_a_time() -> None:
    """By hand: the logarithms of 20 / 13.4 and of the ratios without one pair; Student's t of 3 degrees is 3.182."""
    target, own = [2.0, 4.0, 6.0, 8.0], [1.6, 2.6, 7.6, 1.6]
    left = [math.log(others / mine) for others, mine in ((18, 11.8), (16, 10.8), (14, 5.8), (12, 11.8))]
    spread = math.sqrt(3 / 4 * sum((one - sum(left) / 4) ** 2 for one in left))
    ends = [math.log(20 / 13.4) + sign * 3.182 * spread for sign in (-1, 1)]
    assert stats.speed_ratio_interval(own, target) == pytest.approx([math.exp(end) for end in ends], rel=0.01)


def test_few_groups_are_as_wide_as_students() -> None:
    """Quantiles of Student's t from a table."""
    for freedom, student in ((2, 4.303), (4, 2.776), (11, 2.201), (99, 1.984)):
        assert stats._student(freedom) == pytest.approx(student, rel=0.01)


def test_a_change_of_speed_is_the_ratio_of_the_ratios() -> None:
    now, then = ([1.0, 3.0], [4.0, 8.0]), ([2.0, 2.0], [3.0, 5.0])
    assert stats.speed_change(now, then) == pytest.approx((12 / 4) / (8 / 4))
    slower = tuple([1.3 * s for s in seconds] for seconds in now)
    assert stats.speed_change_interval((slower[0], slower[1]), now) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("questions", "correlation"), [(3, 0.0), (5, 0.0), (12, 0.0), (12, 0.5), (100, 0.0), (100, 0.5)]
)
def test_speed_intervals_hold_the_truth(questions: int, correlation: float) -> None:
    """Seconds are log-normal. The bootstrap held the truth for 3 answers in 70 % of the runs, for 5 in 88 %."""
    length, ratio = np.random.default_rng(7).normal(size=(2, 1500, questions))
    target = np.exp(0.35 * length)
    method = target / 2 * np.exp(0.5 * (correlation * length + math.sqrt(1 - correlation**2) * ratio))
    truth = 2 * math.exp(-(0.5**2) / 2 - correlation * 0.35 * 0.5)
    held = 0
    for own, other in zip(method.tolist(), target.tolist(), strict=True):
        low, high = stats.speed_ratio_interval(own, other) or (0.0, 0.0)
        held += low <= truth <= high
    assert held / 1500 >= (0.92 if correlation == 0 else 0.89)


def test_unpaired_values_are_refused() -> None:
    with pytest.raises(ValueError, match="2 of the method, 1 of the target"):
        stats.speed_ratio([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="paired values"):
        stats.accuracy_difference([], [])


def test_pairs_of_a_group_count_as_one() -> None:
    """At the worst ten pairs of two groups are two pairs; of groups that differ in size the greater ones weigh more."""
    method, target = [True] * 5 + [False] * 5, [False] * 5 + [True] * 5
    assert stats.accuracy_difference_interval(method, target, "aaaaabbbbb") == stats.score_interval(1, 1, 2)
    uneven = stats.accuracy_difference_interval(method, target, "aaaaaaaabb")
    assert uneven == pytest.approx(stats.score_interval(50 / 68, 50 / 68, 100 / 68))


def test_a_group_of_its_own_for_each_pair_changes_nothing() -> None:
    method, target = [1.0, 2.0, 4.0, 3.0], [4.0, 3.0, 9.0, 8.0]
    assert stats.speed_ratio_interval(method, target, "abcd") == stats.speed_ratio_interval(method, target)
    right, wrong = [True, False, True, True], [False, False, True, True]
    alone = stats.accuracy_difference_interval(right, wrong)
    assert stats.accuracy_difference_interval(right, wrong, "abcd") == alone == stats.score_interval(1, 0, 4)


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

from __future__ import annotations

import math

import numpy as np
import pytest

from parse_engine.backends.base import Scores
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.features import VERDICT
from parse_engine.prefix.judges import Fit, FittedJudge, LikelihoodJudge, PromptJudge, Weights


def draft(tokens: int, *, complete: bool = True, logprobs: tuple[float, ...] | None = None) -> Draft:
    return Draft("", (9,) * tokens, (), complete, logprobs)


def test_prompt_judge_asks_about_prefixes_and_about_the_full_answer() -> None:
    judge = PromptJudge((1, 2), (3, 4, 5), (6,), (7,))
    assert judge.longest_suffix == 3
    assert judge.request([0], draft(8), [4, 8]).suffixes == ((3, 4, 5), (1, 2))
    assert judge.request([0], draft(8, complete=False), [4, 8]).suffixes == ((3, 4, 5), (3, 4, 5))


def test_prompt_judge_normalises_over_the_labels() -> None:
    judge = PromptJudge((1,), (1,), (6,), (7,))
    read = judge.confidences(draft(8), [2, 4, 8], Scores(labels=((0.6, 0.2), (0.01, 0.03), (0.0, 0.0))))
    assert [c.p for c in read] == pytest.approx([0.75, 0.25, 0.0])
    assert [c.label_mass for c in read] == pytest.approx([0.8, 0.04, 0.0])


def test_likelihood_is_the_geometric_mean_since_the_last_boundary() -> None:
    judge = LikelihoodJudge()
    request = judge.request([0], draft(4), [1, 4])
    assert request.suffixes == ()
    assert request.signals == {"logprobs"}
    scores = Scores(logprobs=tuple(math.log(p) for p in (0.3, 0.5, 0.25, 0.125)))
    read = judge.confidences(draft(4), [1, 4], scores)
    assert [c.p for c in read] == pytest.approx([0.3, (0.5 * 0.25 * 0.125) ** (1 / 3)])
    assert all(c.label_mass is None for c in read)


def weights(bias: float, **values: float) -> Weights:
    return Weights(tuple(name.replace("_", ".") for name in values), np.array([*values.values()]), bias)


def test_a_fitted_judge_asks_for_what_its_features_need() -> None:
    asking = PromptJudge((1, 2), (3,), (6,), (7,))
    verdict = Fit(weights(0, verdict=1), weights(0, segment_mean=1))
    judge = FittedJudge(verdict, asking)
    request = judge.request([0], draft(4), [2, 4])
    assert (request.suffixes, request.labels, request.signals) == (((3,), (1, 2)), ((6,), (7,)), {"logprobs"})
    assert (judge.longest_suffix, judge.wants_drafter) == (2, False)

    free = FittedJudge(Fit(weights(0, hidden_mean=1), weights(0, prefix_gap=1, segment_entropy=1)), None)
    request = free.request([0], draft(4), [2, 4])
    assert (request.suffixes, request.signals) == ((), {"logprobs", "entropy", "hidden"})
    assert (free.longest_suffix, free.wants_drafter) == (0, True)


def test_a_fitted_judge_weighs_full_answers_and_prefixes_apart() -> None:
    judge = FittedJudge(Fit(weights(1, verdict=2), weights(-1, verdict=1)), PromptJudge((1,), (1,), (6,), (7,)))
    scores = Scores(labels=((0.5, 0.25), (0.5, 0.25)))
    odds = math.log(2)

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    read = judge.confidences(draft(8), [4, 8], scores)
    assert [c.p for c in read] == pytest.approx([sigmoid(odds - 1), sigmoid(2 * odds + 1)])
    assert [c.label_mass for c in read] == [0.75, 0.75]
    read = judge.confidences(draft(8, complete=False), [4, 8], scores)
    assert [c.p for c in read] == pytest.approx([sigmoid(odds - 1)] * 2)


def test_no_confidence_is_so_high_that_a_threshold_of_1_lets_it_pass() -> None:
    assert (weights(1e6, verdict=0).confidences({VERDICT: np.zeros(3)}) < 1).all()
    assert (weights(-math.inf, verdict=0).confidences({VERDICT: np.zeros(3)}) == 0).all()

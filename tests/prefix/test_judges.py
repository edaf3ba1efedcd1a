from __future__ import annotations

import math

import pytest

from parse_engine.backends.base import Scores
from parse_engine.prefix.judges import LikelihoodJudge, PromptJudge


def test_prompt_judge_asks_about_prefixes_and_about_the_full_answer() -> None:
    judge = PromptJudge((1, 2), (3, 4, 5), (6,), (7,))
    assert judge.longest_suffix == 3
    assert judge.request([0], [9] * 8, [4, 8], True).suffixes == ((3, 4, 5), (1, 2))
    assert judge.request([0], [9] * 8, [4, 8], False).suffixes == ((3, 4, 5), (3, 4, 5))


def test_prompt_judge_normalises_over_the_labels() -> None:
    judge = PromptJudge((1,), (1,), (6,), (7,))
    request = judge.request([0], [9] * 8, [2, 4, 8], True)
    read = judge.confidences(request, Scores(labels=((0.6, 0.2), (0.01, 0.03), (0.0, 0.0))))
    assert [c.p for c in read] == pytest.approx([0.75, 0.25, 0.0])
    assert [c.label_mass for c in read] == pytest.approx([0.8, 0.04, 0.0])


def test_likelihood_is_the_geometric_mean_since_the_last_boundary() -> None:
    judge = LikelihoodJudge()
    request = judge.request([0], [1, 2, 3, 4], [1, 4], True)
    assert request.suffixes == ()
    scores = Scores(logprobs=tuple(math.log(p) for p in (0.3, 0.5, 0.25, 0.125)))
    read = judge.confidences(request, scores)
    assert [c.p for c in read] == pytest.approx([0.3, (0.5 * 0.25 * 0.125) ** (1 / 3)])
    assert all(c.label_mass is None for c in read)

from __future__ import annotations

import asyncio

import pytest

from parse_engine.backends.base import VerifyRequest
from parse_engine.backends.hf import HFModel
from parse_engine.bench.passes import WAYS, expected_tokens, measure_model, pass_figures, pass_rows, random_request
from parse_engine.errors import PromptError


def test_every_way_is_timed_and_the_sizes_are_told(target: HFModel) -> None:
    request = random_request(target, prompt_tokens=20, draft_tokens=30, prefixes=3)
    figures = asyncio.run(measure_model(target, request, repeats=1))
    assert (figures["prompt_tokens"], figures["draft_tokens"], figures["prefixes"]) == (20, 30, 3)
    assert figures["rows"] == 50 + sum(map(len, request.suffixes))
    assert all(figures[f"{way}_seconds"] > 0 for way in WAYS)
    assert figures["verify_passes"] == 1
    assert figures["computed_tokens"] == figures["expected_tokens"] == figures["rows"]


def test_a_back_end_without_log_probabilities_is_timed_without_them(
    target: HFModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "signals", frozenset({"hidden"}))
    request = random_request(target, prompt_tokens=20, draft_tokens=30, prefixes=3)
    figures = asyncio.run(measure_model(target, request, repeats=1))
    assert {way for way in WAYS if f"{way}_seconds" not in figures} == {"fused", "likelihood"}


def test_expected_tokens_count_what_no_block_shares() -> None:
    request = VerifyRequest(tuple(range(10)), tuple(range(30)), (7, 20, 30), ((1,) * 5, (1,) * 5, (1,) * 6))
    assert expected_tokens(request, 16) == 10 + 30 + 6 + (17 % 16 + 5) + (30 % 16 + 5)


def test_a_draft_has_no_more_prefixes_than_tokens(target: HFModel) -> None:
    assert random_request(target, prompt_tokens=5, draft_tokens=2, prefixes=16).boundaries == (1, 2)


def test_rows_that_do_not_fit_the_context(target: HFModel) -> None:
    """The plain way was cut to the context without a word, and then looked faster than it is."""
    target.context_length = 100
    with pytest.raises(
        PromptError, match=r"3 suffixes make \d+ tokens, and the context of tiny-1 is 100\. Ask for fewer"
    ):
        random_request(target, prompt_tokens=20, draft_tokens=30, prefixes=3)


def test_the_table_compares_with_the_packed_pass() -> None:
    figures = pass_figures({"packed": 2, "prefill": 0.5, "plain": 1, "separate": 20, "sequential_cached": 6})
    assert [(seconds, times) for _, seconds, times in pass_rows(figures)] == [
        (2, 1),
        (0.5, 0.25),
        (1, 0.5),
        (6, 3),
        (20, 10),
    ]

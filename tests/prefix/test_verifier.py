"""Boundaries, judge and rule put together for a target."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from parse_engine.backends.base import Scores, Usage, VerifyRequest
from parse_engine.config import BoundaryRule, ParseConfig
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.judges import Fit, Weights
from parse_engine.prefix.verifier import Verdict, Verifier
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

VERDICT = Weights(("verdict",), np.ones(1), 0.0)
FITS = {"prompt": Fit(VERDICT, VERDICT), "fused": Fit(VERDICT, VERDICT)}


class Reluctant(ScriptedModel):
    """Hardly gives the labels any probability."""

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        scores = await super().verify(request, usage)
        return replace(scores, labels=((0.002, 0.001),) * len(request.boundaries))


class Wavering(ScriptedModel):
    """Answers the judge's question for the first prefix alone."""

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        scores = await super().verify(request, usage)
        return replace(scores, labels=((0.9, 0.1), *((0.002, 0.001),) * (len(request.boundaries) - 1)))


class Silent(ScriptedModel):
    """Tells nothing of the labels, which nobody asks for."""

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        assert not request.suffixes
        return replace(await super().verify(request, usage), labels=None)


def verdict(
    config: ParseConfig, fits: Mapping[str, Fit] | None = None, model: type[ScriptedModel] = Reluctant
) -> Verdict:
    codec = Codec(byte_tokenizer())
    tokens = codec.encode("Two and two are 4.")
    draft = Draft.of(tokens, codec, complete=True, max_tokens=len(tokens))
    verifying = Verifier(model(codec, ""), config, fits).verify([5], draft, Usage(), greedy=True)
    return asyncio.run(verifying)


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_a_target_that_does_not_answer_accepts_nothing(threshold: float) -> None:
    """It was said to be of little meaning, and accepted all the same."""
    given = verdict(ParseConfig(threshold=threshold, full_threshold=threshold))
    assert (given.accepted, given.committed) == (0, 0)
    assert not any(boundary.accepted for boundary in given.boundaries)
    [warning] = given.warnings
    assert "only 0.3% of its probability" in warning
    assert "rejected" in warning


@pytest.mark.parametrize("rule", ["first-failure", "last-success"])
def test_a_prefix_for_which_it_answers_is_kept(rule: BoundaryRule) -> None:
    given = verdict(ParseConfig(delta=4, boundary_rule=rule), model=Wavering)
    assert [boundary.accepted for boundary in given.boundaries][:2] == [True, False]
    assert f"for {len(given.boundaries) - 1} of {len(given.boundaries)} prefixes" in given.warnings[0]


def test_labels_with_enough_weight_are_no_warning() -> None:
    given = verdict(ParseConfig(min_label_mass=0.001))
    assert (given.warnings, given.accepted) == ((), 18)


@pytest.mark.parametrize("judge", ["prompt", "fused"])
def test_a_fitted_judge_is_no_exception(judge: str) -> None:
    """It accepted what the target said nothing about, without a word, and so did the simulation of its promise."""
    given = verdict(ParseConfig.from_mapping({"judge": judge}), FITS)
    assert (given.accepted, len(given.warnings)) == (0, 1)
    assert verdict(ParseConfig.from_mapping({"judge": judge}), FITS, Wavering).accepted > 0


def test_a_fitted_judge_that_does_not_ask_needs_no_labels() -> None:
    place = Weights(("place.share",), np.ones(1), 0.0)
    given = verdict(ParseConfig(judge="likelihood"), {"likelihood": Fit(place, place)}, Silent)
    assert (given.accepted, given.warnings) == (18, ())

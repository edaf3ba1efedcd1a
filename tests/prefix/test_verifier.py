"""Boundaries, judge and rule put together for a target."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from parse_engine.backends.base import Scores, Usage, VerifyRequest
from parse_engine.config import ParseConfig
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.judges import Fit, Weights
from parse_engine.prefix.verifier import Verifier
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


def warnings(config: ParseConfig, fits: Mapping[str, Fit] | None = None) -> tuple[str, ...]:
    codec = Codec(byte_tokenizer())
    tokens = codec.encode("Two and two are 4.")
    draft = Draft.of(tokens, codec, complete=True, max_tokens=len(tokens))
    verifying = Verifier(Reluctant(codec, ""), config, fits).verify([5], draft, Usage(), greedy=True)
    return asyncio.run(verifying).warnings


def test_labels_without_weight_are_a_warning() -> None:
    [warning] = warnings(ParseConfig())
    assert "only 0.3% of its probability" in warning
    assert warnings(ParseConfig(min_label_mass=0.001)) == ()


@pytest.mark.parametrize("judge", ["prompt", "fused"])
def test_of_fitted_judges_there_is_no_warning(judge: str) -> None:
    """It told users of a calibrated judge, whose promise holds, to take the likelihood judge, of which none is made."""
    assert warnings(ParseConfig.from_mapping({"judge": judge}), FITS) == ()

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from parse_engine.backends.base import Scores
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.features import HIDDEN, LIKELIHOOD, VERDICT, features, matrix, names_with, signals_for

LOGPROBS = (-0.1, -0.2, -2.1, -0.4, -0.5)
DRAFTED = (-0.3, -0.1, -0.2, -0.9, -0.1)
ENDS = [2, 5]


def found(**changes: Any) -> dict[str, Any]:
    scores = Scores(
        labels=((0.6, 0.2), (0.0, 0.5)),
        logprobs=LOGPROBS,
        agrees=(True, True, False, True, False),
        entropy=(0.5, 1.5, 2.0, 3.0, 4.0),
        hidden=np.arange(2 * 2 * 3, dtype=np.float32).reshape(2, 2, 3),
    )
    draft = Draft("", (1, 2, 3, 4, 5), (), complete=True, logprobs=DRAFTED)
    return {**features(ENDS, draft, Scores(**{**vars(scores), **changes}))}


def test_every_feature_by_hand() -> None:
    own = found()
    by_hand = {
        "segment.mean": [-0.15, -3 / 3],
        "prefix.mean": [-0.15, -3.3 / 5],
        "segment.sum": [-math.log(1.3), -math.log(4)],
        "prefix.sum": [-math.log(1.3), -math.log(4.3)],
        "segment.least": [-0.15, -3 / 3],
        "prefix.least": [-0.15, -3.3 / 5],
        "segment.surprises": [0.0, -math.log(2)],
        "prefix.surprises": [0.0, -math.log(2)],
        "segment.agree": [1.0, 1 / 3],
        "prefix.agree": [1.0, 3 / 5],
        "segment.entropy": [1.0, 3.0],
        "prefix.entropy": [1.0, 11 / 5],
        "segment.gap": [-math.log(1.1), -math.log(1 + 1.9 + 0.4)],
        "prefix.gap": [-math.log(1.1), -math.log(1 + 0.1 + 1.9 + 0.4)],
        "place.share": [0.4, 1.0],
        "place.tokens": [math.log(2), math.log(5)],
        VERDICT: [math.log(3), -12.0],
    }
    assert set(by_hand) == {VERDICT, *LIKELIHOOD} == own.keys() - set(HIDDEN)
    for name, values in by_hand.items():
        assert own[name].tolist() == pytest.approx(values), name
    assert own["hidden.last"].tolist() == [[0, 1, 2], [6, 7, 8]]
    assert own["hidden.mean"].tolist() == [[3, 4, 5], [9, 10, 11]]
    assert matrix(own, ["place.share", "hidden.last"]).tolist() == [[0.4, 0, 1, 2], [1.0, 6, 7, 8]]


def test_the_least_are_ten() -> None:
    """One slip in a long draft counts beside the worst of the rest, however long that is."""
    logprobs = (-1.0,) * 5 + (-0.5,) * 200 + (-4.0,)
    own = features([206], Draft("", (1,) * 206, (), complete=True), Scores(logprobs=logprobs, agrees=(True,) * 206))
    assert own["prefix.least"].tolist() == pytest.approx([-(4 + 5 * 1.0 + 4 * 0.5) / 10])


def test_what_was_not_told_is_no_feature() -> None:
    assert VERDICT not in found(labels=None)
    assert not any("entropy" in name for name in found(entropy=None))
    assert found(logprobs=None, agrees=None, entropy=None, hidden=None).keys() == {
        VERDICT,
        "place.share",
        "place.tokens",
    }


def test_signals_and_names_belong_together() -> None:
    assert signals_for([VERDICT, "place.share"]) == frozenset()
    assert signals_for(["segment.least"]) == {"logprobs"}
    assert signals_for(["prefix.gap"]) == {"logprobs", "sampled"}
    assert signals_for(["prefix.entropy", "hidden.mean"]) == {"entropy", "hidden"}
    assert set(names_with(frozenset())) == {VERDICT, "place.share", "place.tokens"}
    assert "segment.gap" not in names_with(frozenset({"logprobs"}))
    everything = frozenset({"logprobs", "entropy", "hidden", "sampled"})
    assert set(names_with(everything)) == {VERDICT, *LIKELIHOOD, *HIDDEN}

from __future__ import annotations

import asyncio

import pytest

from parse_engine import ParseConfig
from parse_engine.calibration.costs import PASSES, costs_of, time_passes
from parse_engine.prefix.verifier import prompt_judge
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

STAGES = [
    {"stage": stage, "seconds": seconds, "tokens": 100, "calls": 4}
    for stage, seconds in (("target", 8), ("draft", 2), ("verify", 9))
]


def test_what_a_row_and_a_token_read_cost_comes_out_of_timed_passes() -> None:
    passes = [
        (rows, read, 0.5 + 0.01 * rows + 0.002 * read) for rows, read in ((170, 0), (120, 20), (290, 0), (240, 80))
    ]
    costs = costs_of([*STAGES, {"stage": "target", "seconds": 2, "tokens": 100, "calls": 6}], passes, prompt=30)
    found = (costs.target, costs.draft, costs.verify, costs.row, costs.read)
    assert found == pytest.approx(((10 - 10 * 30 * 0.01) / 200, 0.02, 0.5, 0.01, 0.002))


@pytest.mark.parametrize(("concurrency", "repeats"), [(1, PASSES), (3, 1)])
@pytest.mark.parametrize("tells", [True, False])
def test_passes_are_timed_with_questions_and_with_log_probabilities(
    concurrency: int, repeats: int, tells: bool
) -> None:
    model = ScriptedModel(Codec(byte_tokenizer()), "")
    if not tells:
        model.signals = frozenset()
    asking = prompt_judge(model.codec, ParseConfig())
    passes = asyncio.run(time_passes(model, asking, prompt=20, draft=40, prefixes=2, concurrency=concurrency))
    asked = len(asking.prefix_suffix) + len(asking.full_suffix)
    kinds = [
        (20 + length + (0 if read else asked), read * length)
        for length in (20, 80)
        for read in (False, True)[: 1 + tells]
    ]
    assert [(rows, read) for rows, read, _ in passes] == [kind for kind in kinds for _ in range(repeats)]
    assert len(model.verified) == len(passes) * concurrency

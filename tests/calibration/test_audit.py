from __future__ import annotations

import asyncio
import random

import pytest

from parse_engine import AsyncEngine, ParseConfig, SamplingParams
from parse_engine.calibration.audit import LEVEL, Audit, Watch
from parse_engine.text import Codec
from tests.calibration.profiles import make_profile
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel


def alarms(rate: float, answers: int, repetitions: int, expected: float = 0.05) -> list[int]:
    """In each repetition after how many answers the alarm was raised, of those that raised it."""
    raised = []
    for seed in range(repetitions):
        watch, draw = Watch(expected), random.Random(seed)
        for number in range(answers):
            watch.see(draw.random() < rate)
            if watch.alarm:
                raised.append(number + 1)
                break
    return raised


def test_false_alarms_are_as_rare_as_promised() -> None:
    assert len(alarms(0.05, 1000, 300)) <= 300 * LEVEL + 4


def test_a_broken_promise_is_noticed() -> None:
    raised = alarms(0.15, 1000, 50)
    assert len(raised) == 50
    assert sorted(raised)[25] < 200


def test_the_evidence_is_a_fair_bet() -> None:
    """At the expected rate its mean over all that can happen next is what it was."""
    for expected in (0.01, 0.3, 0.9):
        hit, miss = Watch(expected), Watch(expected)
        hit.see(True)
        miss.see(False)
        assert expected * hit.evidence + (1 - expected) * miss.evidence == pytest.approx(1)


@pytest.mark.parametrize("expected", [0.0, 1.0, -0.1])
def test_a_rate_must_leave_room(expected: float) -> None:
    with pytest.raises(ValueError, match="expected rate"):
        Watch(expected)


def test_an_audit_asks_the_target_for_its_share_of_the_answers() -> None:
    codec = Codec(byte_tokenizer())
    target, drafter = ScriptedModel(codec, "Answer: 4\n"), ScriptedModel(codec, "Answer: 5\n")
    profile = make_profile(target_fingerprint="scripted", draft_fingerprint="scripted", fits={})
    engine = AsyncEngine(target, drafter, ParseConfig(), profile=profile)
    params = SamplingParams(max_tokens=50)

    async def run(share: float) -> tuple[list[bool | None], Audit]:
        audit = Audit(engine, share, seed=0)
        answers = [await engine.generate("How many?", params) for _ in range(20)]
        return [await audit.after("How many?", answer, params) for answer in answers], audit

    heard, audit = asyncio.run(run(1.0))
    assert heard == [False] * 20
    assert (audit.watch.seen, audit.watch.hits, audit.watch.alarm) == (20, 20, True)
    heard, audit = asyncio.run(run(0.3))
    assert 0 < heard.count(False) < 20
    assert heard.count(None) + audit.watch.seen == 20
    with pytest.raises(ValueError, match="profile"):
        Audit(AsyncEngine(target, drafter), 0.1)
    with pytest.raises(ValueError, match="share"):
        Audit(engine, 1.5)

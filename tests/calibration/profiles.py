"""A profile made by hand: two judges, of which one has settings that are promised."""

from __future__ import annotations

from typing import Any

import numpy as np

from parse_engine.config import Judge
from parse_engine.prefix.judges import Fit, Weights
from parse_engine.profile import Profile, Ranking, Setting, Tried


def tried(
    judge: Judge = "fused", *, losses: int, speed: float, promised: bool = False, full_only: bool = False
) -> Tried:
    setting = Setting(judge, 0.9745, 0.9692, 16, 1 if full_only else 16, "last-success")
    p_value = 0.01 if promised else 0.4
    return Tried(setting, losses, 2, p_value, promised, speed, kept=0.61, accepted=0.44)


def fit(*names: str) -> Fit:
    return Fit(Weights(names, np.linspace(-1, 1, len(names)), 0.5), Weights(names, np.zeros(len(names)), -0.5))


def make_profile(**changes: Any) -> Profile:
    """With 200 tested questions and a limit of 2.5 of 100."""
    values = {
        "target": "big",
        "draft": "small",
        "target_fingerprint": "b16",
        "draft_fingerprint": "5ma11",
        "backend": "hf",
        "dtype": "float32",
        "tasks": {"sums": {"version": "3", "questions": 300, "sha256": "ab" * 32}},
        "sampling": {"max_tokens": 128, "temperature": 0.0, "top_p": 1.0, "seed": None, "stop": []},
        "max_loss": 0.025,
        "confidence": 0.95,
        "fitted_on": 100,
        "tested_on": 200,
        "target_right": 0.9,
        "draft_right": 0.7,
        "concurrency": 4,
        "costs": {"target": 0.02, "draft": 0.004, "verify": 0.003, "row": 0.0001, "read": 0.00025},
        "rankings": {
            "prompt": Ranking(0.81, (0.75, 0.86), None, None),
            "fused": Ranking(0.93, (0.9, 0.95), 0.88, (0.83, 0.92)),
        },
        "tried": [
            tried("prompt", losses=3, speed=1.2),
            tried("prompt", losses=9, speed=2.1, full_only=True),
            tried(losses=0, speed=0.9, promised=True),
            tried(losses=0, speed=1.3, promised=True),
            tried(losses=1, speed=1.75, promised=True),
            tried(losses=4, speed=1.9),
            tried(losses=12, speed=2.4, full_only=True),
        ],
        "disagreement": 0.061,
        "provenance": {
            "command": "parse-engine calibrate --tasks sums --judges prompt,fused",
            "time": "2026-05-04T10:00:00+00:00",
            "load": 0.5,
            "versions": {"parse-engine": "0.1.0", "python": "3.11.9"},
            "machine": {"cpu": "Abacus", "cores": 2},
        },
        "fits": {"prompt": fit("verdict"), "fused": fit("verdict", "segment.mean", "place.share")},
    }
    return Profile(**{**values, **changes})

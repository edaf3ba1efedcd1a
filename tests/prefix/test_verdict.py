from __future__ import annotations

import pytest

from parse_engine.config import BoundaryRule
from parse_engine.prefix.verdict import accepted_prefixes

RULES: list[BoundaryRule] = ["first-failure", "last-success"]


@pytest.mark.parametrize(
    ("confidences", "first_failure", "last_success"),
    [
        ([], 0, 0),
        ([0.9], 1, 1),
        ([0.1], 0, 0),
        ([0.9, 0.9, 0.9], 3, 3),
        ([0.9, 0.1, 0.9], 1, 3),
        ([0.1, 0.9, 0.1], 0, 2),
        ([0.9, 0.9, 0.6], 2, 2),
        ([0.5, 0.49, 0.2], 1, 1),
    ],
)
def test_rules(confidences: list[float], first_failure: int, last_success: int) -> None:
    for rule, expected in zip(RULES, (first_failure, last_success), strict=True):
        assert accepted_prefixes(confidences, threshold=0.5, full_threshold=0.7, rule=rule) == expected


def test_a_draft_that_was_cut_off_is_judged_as_a_prefix() -> None:
    for rule in RULES:
        kept = accepted_prefixes([0.9, 0.6], threshold=0.5, full_threshold=0.7, rule=rule, complete=False)
        assert kept == 2

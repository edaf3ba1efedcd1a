"""From confidences to the boundary that is committed."""

from __future__ import annotations

from collections.abc import Sequence

from parse_engine.config import BoundaryRule


def accepted_prefixes(
    confidences: Sequence[float], *, threshold: float, full_threshold: float, rule: BoundaryRule, complete: bool = True
) -> int:
    """How many of the prefixes, in order, lie within what is committed: k for the k-th boundary, 0 for none.

    Args:
        confidences: p_1..p_N, of the prefixes by increasing length; the last one is the whole draft.
        complete: whether the whole draft is a full answer; one that was cut off is judged as a prefix.

    `first-failure`: k is the largest with p_1..p_k all passing. `last-success`: k is the largest with p_k passing.
    """
    passed = [p >= threshold for p in confidences]
    if passed and complete:
        passed[-1] = confidences[-1] >= full_threshold
    if rule == "first-failure":
        return passed.index(False) if False in passed else len(passed)
    return len(passed) - passed[::-1].index(True) if True in passed else 0

"""The `humaneval+` task: 164 Python functions, run on EvalPlus's base and plus inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from parse_engine.bench.tasks.evalplus import EvalPlusTask


def make_task(name: str = "humaneval+") -> EvalPlusTask:
    return EvalPlusTask(name, "humanevalplus.jsonl.gz", {"find_zero": is_root})


def is_root(arguments: Sequence[Any], got: Any, wanted: Any, atol: float) -> bool:
    """The judge of `find_zero`: any root of the polynomial will do."""
    if not isinstance(got, int | float):
        return False
    try:
        return bool(abs(sum(c * math.pow(got, power) for power, c in enumerate(arguments[0]))) <= atol)
    except (OverflowError, ValueError):
        return False

"""The `humaneval` task: the same as `humaneval+`, on the base inputs alone."""

from __future__ import annotations

from parse_engine.bench.tasks import humaneval
from parse_engine.bench.tasks.evalplus import EvalPlusTask


def make_task() -> EvalPlusTask:
    return humaneval.make_task("humaneval")

"""The `mbpp` task: the same as `mbpp+`, on the base inputs alone."""

from __future__ import annotations

from parse_engine.bench.tasks import mbpp
from parse_engine.bench.tasks.evalplus import EvalPlusTask


def make_task() -> EvalPlusTask:
    return mbpp.make_task("mbpp")

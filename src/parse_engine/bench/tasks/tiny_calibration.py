"""The `tiny-calibration` task: questions like those of `tiny` that are not among them. Nothing is reported on it."""

from __future__ import annotations

from parse_engine.bench.tasks.tiny import TinyTask


def make_task() -> TinyTask:
    return TinyTask("tiny-calibration", first=TinyTask.SIZE)

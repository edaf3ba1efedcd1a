"""The tasks: one small module each, with a loader, a prompt, a grader and a version."""

from __future__ import annotations

import importlib
from pathlib import Path

from parse_engine.bench.tasks.base import DATA_VARIABLE, Grade, Question, Task
from parse_engine.errors import ConfigError, did_you_mean

__all__ = ["DATA_VARIABLE", "TASKS", "Grade", "Question", "Task", "load_task"]

# Name of the task -> module of this folder; each has `make_task`, and imports its grader only when it is called.
TASKS = {
    "tiny": "tiny",
    "tiny-calibration": "tiny_calibration",
    "gsm8k": "gsm8k",
    "gsm8k-train": "gsm8k_train",
    "math500": "math500",
    "mmlu-redux": "mmlu_redux",
    "mmlu-pro": "mmlu_pro",
    "gpqa": "gpqa",
    "humaneval": "humaneval_base",
    "humaneval+": "humaneval",
    "mbpp": "mbpp_base",
    "mbpp+": "mbpp",
    "mt-bench": "mt_bench",
    "spec-bench": "spec_bench",
}
JSONL = ".jsonl"


def load_task(name: str) -> Task:
    """The task of this name, or of the user's own file where the name ends in `.jsonl`.

    Raises:
        ConfigError: no such task, or a package that its grader needs is not installed.
        DataError: the user's own file is missing or has a mistake.
    """
    if name.endswith(JSONL):
        from parse_engine.bench.tasks import jsonl

        return jsonl.make_task(Path(name))
    if name not in TASKS:
        hint = did_you_mean(name, TASKS)
        known = f"Known tasks: {', '.join(TASKS)}, or the path of a {JSONL} file."
        raise ConfigError(f"unknown task '{name}'.{hint} {known}")
    task: Task = importlib.import_module(f"parse_engine.bench.tasks.{TASKS[name]}").make_task()
    return task

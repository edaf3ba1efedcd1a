"""Where figures come from: the command, the versions, the machine, the questions."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import resource
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import parse_engine
from parse_engine.bench.tasks import Question, Task
from parse_engine.errors import ConfigError

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "math-verify")


def describe() -> dict[str, Any]:
    """The command line, package versions, machine and time (UTC) of this process."""
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"parse-engine": parse_engine.__version__, "python": platform.python_version(), **_versions()},
        "machine": {"system": platform.platform(), "cpu": _cpu_model(), "cores": os.cpu_count(), "threads": _threads()},
    }


def peak_memory() -> int:
    """Most bytes of main memory that this process has held at one time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe_task(task: Task, questions: Sequence[Question]) -> dict[str, Any]:
    """A task's version, and a hash of the questions asked with their references."""
    content = [(question.id, question.messages, repr(question.reference)) for question in questions]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return {"version": task.version, "questions": len(questions), "sha256": digest}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a results file.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}. Give another place.") from None


def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that is not installed
    return versions


def _threads() -> int:
    """Threads that torch uses for one operation."""
    import torch

    return torch.get_num_threads()


def _cpu_model() -> str:
    """The marketing name where Linux tells it, else what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()

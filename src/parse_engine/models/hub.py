"""Models from the Hugging Face hub."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from parse_engine.errors import DownloadError, ModelNotFoundError, UnsupportedModelError
from parse_engine.models import store

PROBE_SECONDS = 3.0
"""Longest wait for the hub's first answer."""

_REPO_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_WANTED = {".json", ".jinja", ".txt", ".model", ".safetensors"}


class HubUnreachable(Exception):
    """The hub gave no usable answer. Callers turn this into an error of the tree."""


@dataclass(frozen=True)
class Repository:
    """What a repository would bring: the safetensors weights, configuration and tokenizer at its top level."""

    repo_id: str
    revision: str
    files: tuple[str, ...]
    size: int
    """Bytes of `files`."""

    def without_weights(self) -> Repository:
        """Configuration and tokenizer alone, which is all that a model on a server needs here."""
        files = tuple(name for name in self.files if not name.endswith(".safetensors"))
        return Repository(self.repo_id, self.revision, files, 0)


def is_repo_id(name: str) -> bool:
    """Whether the name has the form `org/name`."""
    return _REPO_ID.fullmatch(name) is not None


def describe(repo_id: str) -> Repository:
    """Ask the hub what the repository has.

    Raises:
        HubUnreachable: no usable answer within a few seconds.
        ModelNotFoundError: the hub answered that it has no such model or does not show it to this user.
        UnsupportedModelError: the repository has no safetensors weights.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        info = HfApi().model_info(repo_id, timeout=PROBE_SECONDS, files_metadata=True)
    except RepositoryNotFoundError:
        raise ModelNotFoundError(
            f"the model hub has no model '{repo_id}', or it is private or gated. Check the spelling; for private and "
            "gated models ask for access on the hub and set HF_TOKEN."
        ) from None
    except Exception as error:  # the HTTP library below, and so its errors, differs between versions of the hub client
        raise HubUnreachable(str(error).partition("\n")[0]) from error
    siblings = [file for file in info.siblings or [] if _wanted(PurePosixPath(file.rfilename))]
    if not any(file.rfilename.endswith(".safetensors") for file in siblings):
        raise UnsupportedModelError(
            f"'{repo_id}' has no safetensors weights. Choose a repository that has them, or convert the model."
        )
    names = tuple(file.rfilename for file in siblings)
    return Repository(repo_id, info.sha or "main", names, sum(file.size or 0 for file in siblings))


def _wanted(path: PurePosixPath) -> bool:
    return len(path.parts) == 1 and path.suffix in _WANTED


def download(repository: Repository, *, quiet: bool) -> Path:
    """Fetch the repository's files into the hub's own cache; resumes.

    Raises:
        DownloadError: no space, or the transfer broke.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE

    store.check_space(Path(HF_HUB_CACHE), repository.size, repository.repo_id)
    try:
        with _progress_bars(shown=not quiet and sys.stderr.isatty()):
            found = snapshot_download(
                repository.repo_id, revision=repository.revision, allow_patterns=list(repository.files)
            )
    except Exception as error:  # as in `describe`
        reason = str(error).partition("\n")[0]
        raise DownloadError(
            f"the download of {repository.repo_id} broke off: {reason} Finished files are kept; "
            f"run `parse-engine pull {repository.repo_id}` again to go on."
        ) from error
    return Path(found)


def cached(repo_id: str, *, weights: bool = True) -> Path | None:
    """The newest snapshot in the hub's own cache, without asking the hub; a whole one where the weights are wanted."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(repo_id, "config.json")
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    there = store.is_whole(folder) if weights else (folder / "tokenizer.json").is_file()
    return folder if there else None


@contextmanager
def _progress_bars(*, shown: bool) -> Iterator[None]:
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if shown or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()

"""From names and addresses to loaded models, on whichever back end was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

from parse_engine.config import AUTO, EMBEDDED_DRAFTER, EMBEDDED_TARGET, Attention, Backend, check_options
from parse_engine.errors import ConfigError

if TYPE_CHECKING:  # the command line reads this module without torch
    from parse_engine.backends.base import Model
    from parse_engine.backends.http import HTTPModel


class LoadOptions(TypedDict, total=False):
    """How models are loaded. All may be left out."""

    backend: Backend
    """Where models without an address run: `hf` (transformers, the default) or `vllm`; `http`: all have an address."""
    target_url: str | None
    """Address of an OpenAI-compatible server with the target, http://127.0.0.1:8001/v1 for instance."""
    draft_url: str | None
    """The same for the drafter."""
    device: str
    """auto, cpu, cuda or cuda:N (hf)."""
    dtype: str
    """auto (as the checkpoint says), float32, bfloat16 or float16."""
    attention: Attention
    """Of the target: sdpa with a dense mask (eager where the model has no sdpa), or flex_attention with a block mask
    (hf)."""
    timeout: float
    """Most seconds between two pieces of a server's answer (http)."""
    label_ids: bool
    """Read the verdict's labels by id, not from among the most probable tokens (http). Off for vLLM servers that decode
    speculatively (vLLM issue 42592)."""
    target_options: Mapping[str, Any]
    """vLLM's own engine arguments for the target, by the names of its EngineArgs."""
    draft_options: Mapping[str, Any]
    """The same for the drafter."""


def load_pair(
    target: str | Path, draft: str | Path | None, **options: Unpack[LoadOptions]
) -> tuple[Model, Model | None]:
    """A target and its drafter, which may be one and the same model; see `AsyncEngine.load`."""
    from parse_engine.backends.folder import check_here, check_target
    from parse_engine.models.resolve import resolve

    target, draft = names_of(target, draft, options.get("target_url"), options.get("draft_url"))
    check_loading(target, draft, options)
    if draft is not None and options.get("target_url") is None:
        check_target(resolve(target))
        if options.get("backend") != "vllm":
            check_here(resolve(target), judges=True)
    same = draft == target and options.get("target_url") == options.get("draft_url")
    # First the drafter: vLLM 0.32 on CPUs starts no engine after one that speculates with n-grams, as a target may.
    with closed_on_error() as loaded:
        if draft is not None and not same:
            loaded.append(_load(draft, options, "draft", alone=False))
        loaded.append(_load(target, options, "target", alone=draft is None or same, judges=draft is not None))
    drafter = None if draft is None else loaded[0]
    return loaded[-1], drafter


@contextmanager
def closed_on_error() -> Iterator[list[Model]]:
    """A list for the models that are loaded inside: an error there closes them."""
    loaded: list[Model] = []

    async def close() -> None:
        for model in loaded:
            await model.close()

    try:
        yield loaded
    except BaseException:
        with ThreadPoolExecutor(1) as thread:  # this one may have a running event loop
            thread.submit(asyncio.run, close()).result()
        raise


def names_of(
    target: str | Path, draft: str | Path | None, target_url: str | None, draft_url: str | None
) -> tuple[str | Path, str | Path | None]:
    """What `auto` stands for: the model that a server serves; else the embedded target, and with it its drafter."""
    if target == AUTO and target_url is None:
        target = EMBEDDED_TARGET
    if draft == AUTO and draft_url is None:
        draft = EMBEDDED_DRAFTER if target == EMBEDDED_TARGET and target_url is None else None
    return target, draft


@dataclass(frozen=True)
class Places:
    """Where the models of an engine run."""

    backend: Backend
    target_url: str | None
    draft_url: str | None
    has_drafter: bool

    @property
    def runs_here(self) -> bool:
        """Whether a model runs in this process, and not behind an address."""
        return self.target_url is None or (self.draft_url is None and self.has_drafter)

    @property
    def is_served(self) -> bool:
        """Whether a model has an address."""
        return self.target_url is not None or (self.draft_url is not None and self.has_drafter)


@dataclass(frozen=True)
class Need:
    """When an option has an effect."""

    is_met: Callable[[Places], bool]
    words: str
    judges: bool = False
    """Whether drafts must be judged for it as well."""


NEEDS: Mapping[str, Need] = {
    "backend": Need(lambda p: p.backend == "http" or p.runs_here, "a model without an address"),
    "device": Need(lambda p: p.backend == "hf" and p.runs_here, "a model that runs here on the back end hf"),
    "dtype": Need(lambda p: p.backend != "http" and p.runs_here, "a model that runs here"),
    "attention": Need(
        lambda p: p.backend == "hf" and p.target_url is None, "a target that runs here on the back end hf", judges=True
    ),
    "timeout": Need(lambda p: p.is_served, "a model behind an address (target_url, draft_url)"),
    "label_ids": Need(lambda p: p.target_url is not None, "a target behind an address (target_url)", judges=True),
}


def without_effect(target: str | Path, draft: str | Path | None, options: LoadOptions) -> dict[str, str]:
    """The options that are given and change nothing for these models, and what they need."""
    target_url, draft_url = options.get("target_url"), options.get("draft_url")
    has_drafter = names_of(target, draft, target_url, draft_url)[1] is not None
    places = Places(options.get("backend", "hf"), target_url, draft_url, has_drafter)
    found = {} if has_drafter or draft_url is None else {"draft_url": "a drafter"}
    for name in options:
        need = NEEDS.get(name)
        if need and not (need.is_met(places) and (has_drafter or not need.judges)):
            found[name] = f"a drafter and {need.words}" if need.judges else need.words
    return found


def effective(target: str | Path, draft: str | Path | None, options: LoadOptions) -> LoadOptions:
    """The options without those that change nothing for these models."""
    ignored = without_effect(target, draft, options)
    return cast(LoadOptions, {name: value for name, value in options.items() if name not in ignored})


def check_loading(target: str | Path, draft: str | Path | None, options: LoadOptions) -> None:
    """Refuse options that are unknown, of another type or out of range, or that do not go together.

    Raises:
        ConfigError: there are some.
    """
    check_options(options, LoadOptions)
    if not (seconds := options.get("timeout", 60.0)) > 0:
        raise ConfigError(f"timeout is {seconds!r}; it must be above 0.")
    backend = options.get("backend", "hf")
    if backend == "http":
        if options.get("target_url") is None:
            raise ConfigError("the back end http needs the target's address. Add --target-url http://HOST:PORT/v1.")
        if draft is not None and options.get("draft_url") is None:
            raise ConfigError(
                f"the back end http was asked for, and the drafter '{draft}' has no address. Add --draft-url, or let "
                "it run here with --backend hf or vllm."
            )
    for role in ("target", "draft"):
        if options.get(f"{role}_options") and (backend != "vllm" or options.get(f"{role}_url") is not None):
            raise ConfigError(f"{role} options are vLLM's own and mean nothing here. Use --backend vllm, or drop them.")


def _load(name: str | Path, options: LoadOptions, role: str, *, alone: bool, judges: bool = False) -> Model:
    dtype = options.get("dtype", "auto")
    if (served := connect(name, options, role)) is not None:
        return served

    from parse_engine.models.resolve import resolve

    folder = resolve(name)
    if options.get("backend") == "vllm":
        from parse_engine.backends.vllm import VLLMModel

        return VLLMModel.load(folder, name=str(name), dtype=dtype, options=vllm_options(options, role, alone=alone))
    from parse_engine.backends.hf import HFModel

    attention = options.get("attention", "sdpa") if role == "target" else "sdpa"  # a drafter makes no packed pass
    device = options.get("device", "auto")
    model = HFModel.load(folder, device=device, dtype=dtype, attention=attention, name=str(name))
    if judges:
        model.check_verify()
    return model


def connect(name: str | Path, options: LoadOptions, role: str) -> HTTPModel | None:
    """The model of a role behind its address; None where it has none."""
    url = options.get(f"{role}_url")
    if not isinstance(url, str):
        return None
    from parse_engine.backends.http import HTTPModel

    return HTTPModel.connect(
        url,
        name=None if name == AUTO else str(name),
        role=role,
        read_timeout=options.get("timeout", 60.0),
        chosen_labels=options.get("label_ids", True),
    )


def vllm_options(options: LoadOptions, role: str, *, alone: bool) -> dict[str, Any]:
    """The user's engine arguments for a role, and its share of a GPU's memory where they do not say."""
    own = options.get(f"{role}_options") or {}
    assert isinstance(own, Mapping)
    share = _GPU_SHARES["alone" if alone or options.get("draft_url") else role]
    return {"gpu_memory_utilization": share, **own}


# Of a GPU's memory: what two engines on one GPU may take, weights and caches together.
_GPU_SHARES = {"alone": 0.9, "target": 0.65, "draft": 0.25}

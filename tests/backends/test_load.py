"""What `auto` stands for, and combinations of back ends and addresses that cannot be."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from parse_engine import AsyncEngine, Engine, ParseConfig
from parse_engine.backends.hf import HFModel
from parse_engine.backends.load import LoadOptions, effective, load_pair, names_of, vllm_options
from parse_engine.bench.lineup import load_lineup
from parse_engine.bench.methods import parse_method
from parse_engine.errors import ConfigError, DeviceError
from tests.conftest import tiny_model

URL = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (("auto", "auto", None, None), ("embedded-target", "embedded-drafter")),
        (("embedded-target", "auto", None, None), ("embedded-target", "embedded-drafter")),
        (("auto", None, None, None), ("embedded-target", None)),
        (("big", "auto", None, None), ("big", None)),
        (("big", "auto", None, URL), ("big", "auto")),
        (("auto", "auto", URL, None), ("auto", None)),
        (("auto", "small", URL, None), ("auto", "small")),
        (("auto", "auto", URL, URL), ("auto", "auto")),
    ],
)
def test_what_auto_stands_for(given: tuple[Any, ...], names: tuple[Any, ...]) -> None:
    assert names_of(*given) == names


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("big", None), {"devcie": "cuda"}, "unknown option 'devcie'. Did you mean 'device'"),
        (("big", None), {"backend": "vlm"}, "backend is 'vlm'; it must be 'hf' or"),
        (("big", None), {"timeout": -1}, "timeout is -1; it must be above 0"),
        (("big", None), {"backend": "http"}, "Add --target-url"),
        (("auto", "small"), {"backend": "http", "target_url": URL}, "drafter 'small' has no address"),
        (("auto", "auto"), {"target_options": {"seed": 1}}, "target options are vLLM's own"),
        (("auto", "auto"), {"backend": "vllm", "draft_url": URL, "draft_options": {"seed": 1}}, "draft options are"),
    ],
)
def test_what_cannot_be(names: tuple[str, str | None], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_pair(*names, **options)


def test_what_has_no_effect_is_left_out() -> None:
    """Of all settings of a command, which hands them over whether they were given or not."""
    given: LoadOptions = {"backend": "http", "target_url": URL, "draft_url": URL, "device": "cpu", "timeout": 9.0}
    assert effective("auto", "auto", given) == {name: value for name, value in given.items() if name != "device"}
    assert effective("auto", None, {"attention": "sdpa", "draft_url": URL, "dtype": "auto"}) == {"dtype": "auto"}
    here: LoadOptions = {"backend": "hf", "device": "cpu", "dtype": "float32", "attention": "sdpa"}
    assert effective("auto", "auto", here) == here


def test_a_model_that_drafts_for_itself_is_loaded_once() -> None:
    target, drafter = load_pair("embedded-drafter", "embedded-drafter", device="cpu")
    assert target is drafter


class Loaded:
    """The models that were loaded, and which of them were closed."""

    def __init__(self, patch: pytest.MonkeyPatch, fails: int = 9) -> None:
        self.names: list[str] = []
        self.closed: list[str] = []
        close = HFModel.close

        def load(path: Path, *, name: str, **_: Any) -> HFModel:
            self.names.append(name)
            if len(self.names) == fails:
                raise DeviceError("no room")
            model = tiny_model()
            model.name = name
            return model

        async def closed(model: HFModel) -> None:
            self.closed.append(model.name)
            await close(model)

        patch.setattr(HFModel, "load", load)
        patch.setattr(HFModel, "close", closed)


PAIR = ("embedded-target", "embedded-drafter")


@pytest.mark.parametrize("within_a_loop", [False, True])
def test_a_target_that_cannot_be_loaded_leaves_no_drafter(monkeypatch: pytest.MonkeyPatch, within_a_loop: bool) -> None:
    """It stayed in memory, and nobody could close it."""
    loaded = Loaded(monkeypatch, fails=2)

    async def load() -> None:
        load_pair(*PAIR)

    with pytest.raises(DeviceError, match="no room"):
        asyncio.run(load()) if within_a_loop else load_pair(*PAIR)
    assert (loaded.names, loaded.closed) == ([*PAIR[::-1]], [PAIR[1]])


def test_models_that_an_engine_refuses_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Loaded(monkeypatch)
    for kind in (Engine, AsyncEngine):
        with pytest.raises(ConfigError, match="fitted"):
            kind.load(*PAIR, config=ParseConfig(judge="fused"))
    assert sorted(loaded.closed) == sorted(loaded.names) == sorted(2 * PAIR)


def test_models_that_a_lineup_refuses_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = Loaded(monkeypatch)
    with pytest.raises(ConfigError, match="takes 1 answer at a time"):
        load_lineup([parse_method("parse")], *PAIR, ParseConfig(), concurrency=2)
    assert sorted(loaded.closed) == sorted(loaded.names) == sorted(PAIR)


def test_the_target_alone_brings_no_drafter() -> None:
    """Method `target` on the embedded pair loaded the drafter all the same."""
    target, drafter = load_pair("auto", None, device="cpu")
    assert isinstance(target, HFModel)
    assert (target.name, drafter) == ("embedded-target", None)


def test_two_engines_share_a_gpu_unless_the_user_says_how() -> None:
    shares = [vllm_options({}, role, alone=False)["gpu_memory_utilization"] for role in ("target", "draft")]
    assert sum(shares) <= 0.9
    assert vllm_options({}, "target", alone=True)["gpu_memory_utilization"] == 0.9
    own = {"gpu_memory_utilization": 0.5, "seed": 1}
    assert vllm_options({"target_options": own}, "target", alone=False) == own

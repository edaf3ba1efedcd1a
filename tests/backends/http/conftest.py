"""Servers: tiny ones that lack or break what a test wants, and vLLM's own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.http.common import Place
from tests.conftest import tiny_model
from tests.servers import Front, Relay, TinyServer, VLLMServer

PAIR = ("embedded-target", "embedded-drafter")


@pytest.fixture(scope="package")
def real() -> Iterator[list[VLLMServer]]:
    """vLLM with the embedded pair."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    servers = [VLLMServer(name) for name in PAIR]
    try:
        for server in servers:
            server.wait()
        yield servers
    finally:
        for server in servers:
            server.kill()


@pytest.fixture
def vllm(real: list[VLLMServer]) -> list[VLLMServer]:
    """The same, started again where a test has killed one."""
    for server in [server for server in real if not server.alive]:
        server.start()
    for server in real:
        server.wait()
    return real


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a tokenizer, as the tiny server has it."""
    folder = tmp_path_factory.mktemp("tiny")
    model = tiny_model()
    model._model.save_pretrained(folder)
    model.codec._tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def front(folder: Path) -> Iterator[Callable[..., Front]]:
    """Starts a tiny server that has what it is given; see TinyServer."""
    fronts: list[Front] = []

    def start(seed: int = 1, **abilities: Any) -> Front:
        fronts.append(Front(TinyServer(tiny_model(seed), folder, **abilities)))
        return fronts[-1]

    yield start
    for one in fronts:
        one.stop()


@pytest.fixture(params=["tiny", pytest.param("vllm", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, front: Callable[..., Front]) -> Iterator[Place]:
    if request.param == "tiny":
        yield Place(front(1), front(2))
        return
    fronts = [Front(Relay(server.port)) for server in request.getfixturevalue("vllm")]
    yield Place(*fronts)
    for one in fronts:
        one.stop()

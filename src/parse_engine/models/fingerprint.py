"""Which model a folder holds, told without reading gigabytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

# What decides how a model reads and writes, its weights apart.
_SMALL = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_SAMPLES, _SAMPLE = 16, 65_536  # pieces of every weight file, and their bytes


def fingerprint(folder: Path) -> str:
    """A hash of configuration, tokenizer, chat template, and of samples of the weights where there are any."""
    digest = hashlib.sha256()
    for name in _SMALL:
        if (path := folder / name).is_file():
            digest.update(name.encode() + path.read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}".encode())
        with path.open("rb") as file:
            for sample in range(_SAMPLES):
                file.seek(size * sample // _SAMPLES)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:32]

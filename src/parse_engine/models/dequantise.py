"""Turn a GGUF file into a plain bfloat16 model folder that transformers and vLLM load."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from parse_engine.errors import DownloadError

_NEEDED = ("gguf", "accelerate")


def check_requirements() -> None:
    """Raise DownloadError when the packages that read GGUF files are missing."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise DownloadError(
            f"unpacking GGUF weights needs {' and '.join(missing)}. Run `pip install 'parse-engine[pull]'`."
        )


def dequantise(gguf_file: Path, folder: Path, end_of_turn: Sequence[str]) -> None:
    """Write weights, configuration, tokenizer and chat template of `gguf_file` into `folder`.

    Args:
        end_of_turn: the tokens that end an answer, the chat template's own first.
    """
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig, GgufConfig

    from parse_engine.models.gguf_tokenizer import read_tokenizer

    metadata = _metadata(gguf_file)
    tokenizer = read_tokenizer(metadata, end_of_turn[0])
    end_ids = [metadata["tokenizer.ggml.tokens"].index(token) for token in end_of_turn]
    with redirect_stderr(io.StringIO()):  # hides progress bars of transformers; the pull shows its own
        model = AutoModelForCausalLM.from_pretrained(
            str(gguf_file.parent),
            gguf_file=gguf_file.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        ids = {
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": end_ids[0],
            "pad_token_id": tokenizer.pad_token_id,
        }
        model.config.update(ids)
        generation = {**ids, "eos_token_id": end_ids}
        model.generation_config = GenerationConfig(**generation)  # type: ignore[no-untyped-call]
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _metadata(gguf_file: Path) -> dict[str, Any]:
    from gguf import GGUFReader

    reader = GGUFReader(gguf_file)
    return {name: field.contents() for name, field in reader.fields.items()}

"""A pair of shapes as loaded models with random weights."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig

from parse_engine.backends.base import Model
from parse_engine.backends.folder import check_target, read_codec
from parse_engine.backends.hf import HFModel, pick_device
from parse_engine.backends.load import LoadOptions, closed_on_error
from parse_engine.bench.replay.memory import Need, check_fits, free_bytes, need
from parse_engine.bench.replay.methods import Models
from parse_engine.bench.replay.model import RecordedCodec
from parse_engine.bench.replay.profile import Profile
from parse_engine.bench.replay.shapes import Shape
from parse_engine.config import Backend
from parse_engine.errors import ConfigError, DeviceError
from parse_engine.text import Codec

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_SUFFIX = 96
"""Tokens that a judge's suffix or SpecReason's question takes at most, with the rest of a block."""
_STEP_ROWS = 8192
"""Rows of a step of vLLM, unless an option says otherwise."""
_GPU_SHARE = 0.9
"""Of a GPU's free memory, for both engines together."""


@dataclass(frozen=True)
class Pair:
    """Two shapes, and how they are to be loaded."""

    target: Shape
    drafter: Shape
    options: LoadOptions
    concurrency: int = 1

    @property
    def roles(self) -> dict[str, Shape]:
        return {"target": self.target, "drafter": self.drafter}

    @property
    def backend(self) -> Backend:
        return self.options.get("backend", "hf")

    @property
    def device(self) -> torch.device:
        """Where the models run; vLLM chooses by itself, as its build and the machine allow."""
        return pick_device("auto" if self.backend == "vllm" else self.options.get("device", "auto"))


def estimate(pair: Pair, profile: Profile) -> list[Need]:
    """What the target and the drafter need.

    Raises:
        ConfigError: an option or a shape is not usable, or the profile is longer than a shape's context.
        DeviceError: the pair does not fit into the memory that is free.
    """
    if pair.backend not in ("hf", "vllm"):
        raise ConfigError(f"backend is '{pair.backend}'; random weights run on hf or vllm.")
    if pair.backend == "hf" and pair.concurrency > 1:
        raise ConfigError(f"concurrency is {pair.concurrency}, and hf takes 1 answer at a time. Use --backend vllm.")
    needs = [_need(role, shape, pair, profile) for role, shape in pair.roles.items()]
    check_fits(needs, pair.device, [_gpus(pair, role) for role in pair.roles])
    return needs


def load(pair: Pair, profile: Profile, needs: Sequence[Need]) -> Models:
    """Both models; `needs` as estimated.

    Raises:
        ConfigError: vLLM is not installed, or refuses the options.
        UnsupportedModelError: the target's cache cannot be rolled back.
        DeviceError: the device's memory does not suffice.
    """
    shares = dict(zip(pair.roles, _shares(needs, pair), strict=True))
    models: dict[str, Model] = {}
    codecs: dict[str, Codec] = {}
    with tempfile.TemporaryDirectory(prefix="parse-engine-") as folder, closed_on_error() as loaded:
        for role, shape in reversed(pair.roles.items()):  # first the drafter, as in `load_pair`
            path = Path(folder) / role
            path.mkdir()
            shape.write(path)
            if role == "target":
                check_target(path)
            models[role] = _load(role, path, shape, pair, _length(profile), shares[role])
            loaded.append(models[role])
            codecs[role] = read_codec(path, RecordedCodec)
    target, drafter = codecs["target"], codecs["drafter"]
    same = target.same_tokens_as(drafter)
    return Models(models["target"], models["drafter"], target, target if same else drafter)


def _length(profile: Profile) -> int:
    """Tokens of the longest answer with its prompt and a suffix."""
    return max(answer.prompt + answer.most for answer in profile.answers) + _SUFFIX


def _need(role: str, shape: Shape, pair: Pair, profile: Profile) -> Need:
    config, length = shape.config, _length(profile)
    if length > config.max_position_embeddings:
        raise ConfigError(
            f"the profile has answers that take {length} tokens with prompt and suffix, and the context of "
            f"{shape.name} is {config.max_position_embeddings}. Use another profile or shape."
        )
    prefixes = max(len(answer.parse.ends) for answer in profile.answers)
    suffixes = prefixes * _SUFFIX if role == "target" else 0
    rows = length + suffixes
    if pair.backend == "vllm":
        rows = _options(pair, role).get("max_num_batched_tokens", _STEP_ROWS)
    dtype = _dtype(pair.options.get("dtype", "auto"), config)
    return need(
        role,
        shape.name,
        config,
        dtype,
        tokens=pair.concurrency * (length + suffixes),
        rows=rows,
        quantized="quantization" in _options(pair, role),
    )


def _load(role: str, folder: Path, shape: Shape, pair: Pair, length: int, memory: Mapping[str, Any]) -> Model:
    name = f"random {shape.name}"
    dtype = _dtype(pair.options.get("dtype", "auto"), shape.config)
    if pair.backend == "vllm":
        from parse_engine.backends.vllm import VLLMModel

        options = {"load_format": "dummy", "max_model_len": length + 1, **memory, **_options(pair, role)}
        return VLLMModel.load(folder, name=name, dtype=str(dtype).removeprefix("torch."), options=options)
    attention = pair.options.get("attention", "sdpa") if role == "target" else "sdpa"
    torch.manual_seed(0)
    try:
        with pair.device:
            model = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                shape.config, dtype=dtype, attn_implementation=attention if attention == "flex_attention" else None
            )
    except torch.OutOfMemoryError:
        raise DeviceError(f"{name} needs more memory than {pair.device} has left. Use a smaller pair.") from None
    return HFModel(model, read_codec(folder), name)


def _shares(needs: Sequence[Need], pair: Pair) -> list[dict[str, Any]]:
    """The engines' memory on vLLM: of a GPU all that is free, by need; on a CPU what their caches need."""
    if pair.device.type == "cpu":
        return [{"kv_cache_memory_bytes": 2 * one.cache + 64 * 2**20} for one in needs]
    per_gpu = [one.total / _gpus(pair, one.role) for one in needs]
    total = torch.cuda.get_device_properties(pair.device).total_memory
    spare = max(0.0, _GPU_SHARE * free_bytes(pair.device) - sum(per_gpu))
    return [{"gpu_memory_utilization": round((own + spare / 2) / total, 3)} for own in per_gpu]


def _options(pair: Pair, role: str) -> dict[str, Any]:
    options = pair.options
    return dict((options.get("target_options") if role == "target" else options.get("draft_options")) or {})


def _gpus(pair: Pair, role: str) -> int:
    options = _options(pair, role)
    return int(options.get("tensor_parallel_size", 1)) * int(options.get("pipeline_parallel_size", 1))


def _dtype(name: str, config: PreTrainedConfig) -> torch.dtype:
    if name == "auto":
        return config.dtype if isinstance(config.dtype, torch.dtype) else torch.bfloat16
    if name not in _DTYPES:
        raise ConfigError(f"dtype is '{name}'; it must be one of auto, {', '.join(_DTYPES)}.")
    return _DTYPES[name]

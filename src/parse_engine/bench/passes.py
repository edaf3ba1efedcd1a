"""What the verification pass costs against the other ways to compute the same verdicts."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace

from parse_engine.backends.base import Model, Usage, VerifyRequest
from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.errors import PromptError
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.verifier import prompt_judge

WAYS = {
    "packed": "packed: all prefixes in one pass",
    "fused": "packed, with the draft's likelihood",
    "likelihood": "the draft's likelihood, no verdicts",
    "prefill": "prefill: prompt and draft alone, no verdicts",
    "plain": "plain: one causal pass over as many tokens",
    "sequential_cached": "one pass per prefix, with the prefix cache",
    "separate": "one pass per prefix, from scratch",
}


def measure(
    model: Model,
    *,
    prompt_tokens: int = 150,
    draft_tokens: int = 256,
    prefixes: int = 16,
    repeats: int = 5,
) -> dict[str, float]:
    """Time the ways of `WAYS` over random tokens, with the target's own suffixes; the ways take turns.

    Returns:
        `prompt_tokens` (P), `draft_tokens` (L) and `prefixes` (N) as measured, `rows`: P + L + the N suffixes.
        `verify_passes`, `computed_tokens` and `expected_tokens`: passes and rows that the packed way took, and the rows
        that its sharing leads to expect (`expected_tokens` below). Median seconds of each way: `packed_seconds`;
        `fused_seconds` and `likelihood_seconds`, what those judges ask for, where the back end tells log-probabilities;
        `prefill_seconds`, one causal forward of P + L; `plain_seconds`, one of as many rows as the packed pass has;
        `separate_seconds`, N full forwards; `sequential_cached_seconds`, N forwards one after another, each computing
        only what the cache lacks. How many times the packed pass each other way takes: `prefill_over_packed` and so on.

    Raises:
        PromptError: so many rows do not fit the target's context.
    """
    return asyncio.run(measure_model(model, random_request(model, prompt_tokens, draft_tokens, prefixes), repeats))


def random_request(model: Model, prompt_tokens: int, draft_tokens: int, prefixes: int) -> VerifyRequest:
    """Random tokens judged at evenly spaced boundaries by the `prompt` judge.

    Raises:
        PromptError: so many rows do not fit the target's context.
    """
    judge = prompt_judge(model.codec, ParseConfig())
    rng = random.Random(0)
    tokens = [rng.randrange(model.codec.size) for _ in range(prompt_tokens + draft_tokens)]
    count = min(prefixes, draft_tokens)
    ends = [draft_tokens * (index + 1) // count for index in range(count)]
    draft = Draft("", tuple(tokens[prompt_tokens:]), (), complete=True)
    request = judge.request(tokens[:prompt_tokens], draft, ends)
    rows = _rows(request)
    if rows > model.context_length:
        raise PromptError(
            f"prompt, draft and {count} suffixes make {rows} tokens, and the context of {model.name} is "
            f"{model.context_length}. Ask for fewer prompt tokens, draft tokens or prefixes."
        )
    return request


async def measure_model(model: Model, request: VerifyRequest, repeats: int) -> dict[str, float]:
    """Time the ways for one request on a loaded model; see `measure`."""
    base = [*request.prompt, *request.draft]
    prompts = [
        [*base[: len(request.prompt) + end], *suffix]
        for end, suffix in zip(request.boundaries, request.suffixes, strict=True)
    ]
    flat = base + [token for suffix in request.suffixes for token in suffix]
    once = SamplingParams(max_tokens=1)
    usage = Usage()

    async def forward(tokens: list[int]) -> None:
        await anext(model.decode(tokens, once, 1, Usage()))

    async def separate() -> None:
        for tokens in prompts:
            await model.forget()
            await forward(tokens)

    async def sequential_cached() -> None:
        for tokens in prompts:
            await forward(tokens)

    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "plain": lambda: forward(flat),
        "prefill": lambda: forward(base),
        "packed": lambda: model.verify(request, usage),
        "separate": separate,
        "sequential_cached": sequential_cached,
    }
    if "logprobs" in model.signals:
        fused = replace(request, signals=frozenset({"logprobs"}))
        ways["fused"] = lambda: model.verify(fused, Usage())
        ways["likelihood"] = lambda: model.verify(replace(fused, suffixes=()), Usage())
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for repeat in range(repeats + 1):  # the first round warms up
        for way, run in ways.items():
            await model.forget()
            if way == "packed":
                usage.computed_tokens = usage.verify_passes = 0
            began = time.perf_counter()
            await run()
            if repeat:
                seconds[way].append(time.perf_counter() - began)
    sizes = {
        "prompt_tokens": len(request.prompt),
        "draft_tokens": len(request.draft),
        "prefixes": len(request.boundaries),
        "rows": _rows(request),
        "verify_passes": usage.verify_passes,
        "computed_tokens": usage.computed_tokens,
        "expected_tokens": expected_tokens(request, model.block_size),
    }
    return sizes | pass_figures({way: statistics.median(times) for way, times in seconds.items()})


def pass_figures(seconds: Mapping[str, float]) -> dict[str, float]:
    """The seconds of every way that was timed, and how many times the packed pass each of the others takes."""
    return {
        **{f"{way}_seconds": own for way, own in seconds.items()},
        **{f"{way}_over_packed": own / seconds["packed"] for way, own in seconds.items() if way != "packed"},
    }


def pass_rows(figures: Mapping[str, float]) -> Iterator[tuple[str, float, float]]:
    """Each way for a table: its label, its seconds, and how many times the packed pass it takes."""
    for way, label in WAYS.items():
        if f"{way}_seconds" not in figures:  # not timed on this back end, or the file is from before
            continue
        yield label, figures[f"{way}_seconds"], 1.0 if way == "packed" else figures[f"{way}_over_packed"]


def expected_tokens(request: VerifyRequest, block_size: int) -> int:
    """Rows of one verification when prefixes share whole blocks of the prefix cache.

    The longest prefix is computed in full; of every other one what lies beyond its last full block, and its suffix:
    P + L + s_N + sum over i < N of ((P + b_i) mod B + s_i). With B = 1 these are the rows of the packed pass.
    """
    prompt = len(request.prompt)
    shorter = zip(request.boundaries[:-1], request.suffixes[:-1], strict=True)
    rest = sum((prompt + end) % block_size + len(suffix) for end, suffix in shorter)
    return prompt + len(request.draft) + len(request.suffixes[-1]) + rest


def _rows(request: VerifyRequest) -> int:
    """Token rows of the packed pass on an empty cache."""
    return len(request.prompt) + len(request.draft) + sum(map(len, request.suffixes))

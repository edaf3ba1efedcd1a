"""Whether two back ends give the same verdicts: `python scripts/backends/parity.py --target NAME --dtype float32`.

The target's own answers to questions of the `tiny` task, half of them with a mistake put in, are judged by the packed
pass of transformers (or, with --target-url, by a server) and by one scheduler step of vLLM in this process. One JSON
object: the rows that each computed, the largest difference of any confidence, and how many drafts are cut elsewhere
although no confidence is within the tolerance of its threshold. Below float32 also `rounding`: how far transformers in
this number type is from transformers in float32, which no two back ends can be expected to undercut.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import re
from pathlib import Path

import numpy as np

from parse_engine import AsyncEngine, ParseConfig, SamplingParams
from parse_engine.backends.base import Model, Usage
from parse_engine.backends.load import load_pair
from parse_engine.bench.provenance import describe, with_models, write_json
from parse_engine.bench.tasks import tiny
from parse_engine.prefix.draft import Draft
from parse_engine.prefix.verifier import Verdict, Verifier

TOLERANCES = {"float32": 1e-3, "bfloat16": 2e-2}
CONFIG = ParseConfig()


def with_a_mistake(text: str, rng: random.Random) -> str:
    """One number of the text, replaced by another."""
    numbers = list(re.finditer(r"\d+", text))
    if not numbers:
        return text
    chosen = rng.choice(numbers)
    return text[: chosen.start()] + str(int(chosen[0][:6]) + rng.randint(1, 9)) + text[chosen.end() :]


async def drafts(model: Model, questions: list[str], max_tokens: int) -> list[tuple[list[int], Draft]]:
    """Context and draft for each question; every second draft has a mistake."""
    rng, pairs = random.Random(0), []
    engine = AsyncEngine(model, None)
    params = SamplingParams(max_tokens=max_tokens)
    answers = await asyncio.gather(*(engine.generate(question, params, method="target") for question in questions))
    for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        text = with_a_mistake(answer.text, rng) if number % 2 else answer.text
        context = model.codec.encode(model.codec.render([{"role": "user", "content": question}]))
        complete = answer.finish_reason == "stop"
        pairs.append(
            (context, Draft.of(model.codec.encode(text), model.codec, complete=complete, max_tokens=max_tokens))
        )
    return pairs


async def verdicts(model: Model, pairs: list[tuple[list[int], Draft]]) -> tuple[list[Verdict], int]:
    """The verdict on each draft, from an empty cache, and the rows that all of them took."""
    verifier, usage, found = Verifier(model, CONFIG), Usage(), []
    for context, draft in pairs:
        await model.forget()
        found.append(await verifier.verify(context, draft, usage, greedy=False))
    return found, usage.computed_tokens


async def compare(
    one: Model, other: Model, pairs: list[tuple[list[int], Draft]], tolerance: float
) -> dict[str, object]:
    """The figures for two models that should be the same."""
    apart = near = 0
    (ours, rows), (theirs, other_rows) = await verdicts(one, pairs), await verdicts(other, pairs)
    differences = apart_by(ours, theirs)
    for first, second in zip(ours, theirs, strict=True):
        ps = [(a.p, b.p) for a, b in zip(first.boundaries, second.boundaries, strict=True)]
        close = any(abs(p - CONFIG.threshold) <= tolerance for pair in ps for p in pair)
        near += close
        apart += first.accepted != second.accepted and not close
    return {
        "drafts": len(pairs),
        "prefixes": len(differences),
        "largest_difference": max(differences),
        "median_difference": float(np.median(differences)),
        "tolerance": tolerance,
        "drafts_near_a_threshold": near,
        "different_verdicts": apart,
        "computed_tokens": [rows, other_rows],
    }


def apart_by(ours: list[Verdict], theirs: list[Verdict]) -> list[float]:
    """How far the confidences of each prefix lie from each other."""
    pairs = zip(ours, theirs, strict=True)
    return [abs(a.p - b.p) for one, other in pairs for a, b in zip(one.boundaries, other.boundaries, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="embedded-target")
    parser.add_argument("--target-url", help="compare a server with vLLM in this process")
    parser.add_argument("--dtype", choices=TOLERANCES, default="float32")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--max-tokens", type=int, default=200)
    parser.add_argument("--kv-cache-memory-bytes", type=int, default=2**29)
    parser.add_argument("--output", type=Path, help="write the figures and where they come from")
    args = parser.parse_args()
    origin = describe()
    options = {"kv_cache_memory_bytes": args.kv_cache_memory_bytes}
    one, _ = load_pair(args.target, None, dtype=args.dtype, target_url=args.target_url)
    other, _ = load_pair(args.target, None, backend="vllm", dtype=args.dtype, target_options=options)
    questions = [p.question for p in itertools.islice(tiny.problems("test", seed=6), args.limit)]

    async def measure() -> dict[str, object]:
        pairs = await drafts(other, questions, args.max_tokens)
        figures = await compare(one, other, pairs, TOLERANCES[args.dtype])
        if args.dtype == "float32" or args.target_url:
            return figures
        exact, _ = load_pair(args.target, None, dtype="float32")
        rounded = apart_by((await verdicts(one, pairs))[0], (await verdicts(exact, pairs))[0])
        return {**figures, "rounding": {"largest": max(rounded), "median": float(np.median(rounded))}}

    figures = {
        "one": "server" if args.target_url else "transformers",
        "target": args.target,
        "dtype": args.dtype,
        **asyncio.run(measure()),
    }
    print(json.dumps(figures, indent=2))
    if args.output:
        write_json(args.output, {**with_models(origin, other, None), "figures": figures})


if __name__ == "__main__":
    main()

"""A replay: every method gives every recorded answer, in turns, on random weights; only the time is real."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track

from parse_engine.bench.provenance import describe, hold, peak_memory, with_models, write_json
from parse_engine.bench.records import ANSWERS_FILE, RUN_FILE, Record, append
from parse_engine.bench.replay.load import Pair, estimate, load
from parse_engine.bench.replay.methods import METHODS, Models, Prepared, prepare
from parse_engine.bench.replay.profile import Profile, Recorded
from parse_engine.bench.report.summary import MethodSummary, summarize, to_plain
from parse_engine.bench.tasks.base import Grade
from parse_engine.config import ParseConfig
from parse_engine.errors import ConfigError, did_you_mean
from parse_engine.trace import Answer

TASK = "replay"
PROFILE_FILE = "profile.json"
UNGRADED = Grade(right=None)
"""There is nothing to be right or wrong about."""


@dataclass(frozen=True)
class _Batch:
    """Answers that one method gives in one go."""

    number: int
    repeat: int
    method: str
    answers: Sequence[Recorded]


def replay(
    pair: Pair,
    profile: Profile,
    methods: Sequence[str] | None = None,
    *,
    repeats: int = 1,
    config: ParseConfig | None = None,
    output: Path | None = None,
) -> dict[str, MethodSummary]:
    """Time every method on every answer of a profile; returns the figures by method.

    Each method answers the first question once before the clock counts. The prompts are random tokens, and no answer
    finds anything of its question in the prefix caches. Methods take turns answer by answer; with a `concurrency` above
    1 at batches of four times as many. A repeat counts as a further turn of its question; above 1 as further questions,
    and intervals then want five batches at least. Into `output` go the files of a bench run (records without texts),
    and the profile.

    Args:
        methods: of `METHODS`; None: all that the profile has.

    Raises:
        ConfigError: a method is unknown or not in the profile, or `output` holds a run already, or another
            process writes there; and as `load`.
    """
    config = config or ParseConfig()
    methods = _checked(methods, profile)
    with nullcontext() if output is None else hold(output):
        return _replay(pair, profile, methods, repeats, config, output)


def _replay(
    pair: Pair, profile: Profile, methods: Sequence[str], repeats: int, config: ParseConfig, output: Path | None
) -> dict[str, MethodSummary]:
    provenance: dict[str, Any] = {**describe(), "methods": list(methods), "profile": profile.about}
    if output is not None and ((output / RUN_FILE).exists() or (output / ANSWERS_FILE).exists()):
        raise ConfigError(f"{output} holds a run already. Give another directory, or remove this one.")
    needs = estimate(pair, profile)
    for one in needs:
        print(one, file=sys.stderr)
    models = load(pair, profile, needs)
    provenance = with_models(provenance, models.target, models.drafter)
    provenance["settings"] = {
        "target": pair.target.name,
        "draft": pair.drafter.name,
        "shapes": {"target": dict(pair.target.numbers), "draft": dict(pair.drafter.numbers)},
        "concurrency": pair.concurrency,
        "repeats": repeats,
        "config": dataclasses.asdict(config),
        "needs": [dataclasses.asdict(one) for one in needs],
        **pair.options,
        "device": _device_name(pair.device),
    }
    if output is not None:
        write_json(output / RUN_FILE, provenance)
        write_json(output / PROFILE_FILE, profile.to_dict())
    records = asyncio.run(_run(models, pair.concurrency, profile, methods, repeats, config, output))
    figures = summarize(sorted(records, key=lambda record: methods.index(record.method)))[TASK]
    if output is not None:
        peaks: dict[str, Any] = {"peak_memory_bytes": peak_memory()}
        if pair.device.type == "cuda":
            peaks["peak_device_bytes"] = torch.cuda.max_memory_allocated(pair.device)
        write_json(output / RUN_FILE, {**provenance, **peaks, "figures": to_plain({TASK: figures})})
    return figures


async def _run(
    models: Models,
    concurrency: int,
    profile: Profile,
    methods: Sequence[str],
    repeats: int,
    config: ParseConfig,
    output: Path | None,
) -> list[Record]:
    prompts = _prompts(models, profile)
    records: list[Record] = []

    async def run(batch: _Batch) -> list[tuple[Answer, float]]:
        prepared = [prepare(batch.method, models, one, prompts[one.question], config) for one in batch.answers]
        for model in (models.target, models.drafter):
            await model.forget()
        return await _answers(prepared, concurrency)

    try:
        for method in methods:
            await run(_Batch(0, 0, method, profile.answers[:1]))
        batches = list(_batches(profile.answers, methods, 1 if concurrency == 1 else 4 * concurrency, repeats))
        for batch in track(batches, "replay", console=Console(stderr=True)):
            for one, (answer, finished) in zip(batch.answers, await run(batch), strict=True):
                record = Record(
                    task=TASK,
                    # What was in flight together is drawn together, and a repeat of it is as good as other questions.
                    question=one.question if concurrency == 1 else f"{one.question}#{batch.repeat}",
                    turn=batch.repeat if concurrency == 1 else 0,
                    method=batch.method,
                    batch=batch.number,
                    finished=finished,
                    grade=UNGRADED,
                    answer=_without_texts(answer),
                )
                records.append(record)
                if output is not None:
                    append(output / ANSWERS_FILE, record)
    finally:
        for model in (models.target, models.drafter):
            await model.close()
    return records


async def _answers(prepared: Sequence[Prepared], concurrency: int) -> list[tuple[Answer, float]]:
    """The answers in their order, each with the seconds from the start of them all to its end."""
    turn = asyncio.Semaphore(concurrency)
    began = time.perf_counter()

    async def timed(one: Prepared) -> tuple[Answer, float]:
        async with turn:
            return await one.answer(), time.perf_counter() - began

    return await asyncio.gather(*map(timed, prepared))


def _batches(answers: Sequence[Recorded], methods: Sequence[str], size: int, repeats: int) -> Iterator[_Batch]:
    """Part by part, every method; who goes first rotates."""
    number = 0
    for repeat in range(repeats):
        for start in range(0, len(answers), size):
            first = number % len(methods)
            for method in [*methods[first:], *methods[:first]]:
                yield _Batch(number, repeat, method, answers[start : start + size])
            number += 1


def _prompts(models: Models, profile: Profile) -> dict[str, list[int]]:
    """Random tokens that are numbers in both vocabularies, for each question its own."""
    size = min(models.target_codec.size, models.drafter_codec.size) - 10
    rng = random.Random(0)
    return {one.question: [rng.randrange(size) for _ in range(one.prompt)] for one in profile.answers}


def _without_texts(answer: Answer) -> Answer:
    trace = dataclasses.replace(answer.trace, draft_text="", committed_text="", boundary_offsets=())
    return dataclasses.replace(answer, text="", trace=trace)


def _checked(methods: Sequence[str] | None, profile: Profile) -> list[str]:
    can = [method for method in METHODS if method != "specreason" or profile.has_steps]
    for method in methods or ():
        if method not in METHODS:
            raise ConfigError(
                f"unknown method '{method}'.{did_you_mean(method, METHODS)} Known methods: {', '.join(METHODS)}."
            )
        if method not in can:
            raise ConfigError("the profile has no steps for 'specreason'. Record a run with that method, or drop it.")
    if methods is not None and (not methods or len(set(methods)) < len(methods)):
        raise ConfigError(f"methods are '{','.join(methods)}'; name at least one, and each one once.")
    return can if methods is None else list(methods)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)

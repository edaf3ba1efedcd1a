"""Records that no model had to write, and a run's directory made of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from parse_engine.bench.records import Record, append
from parse_engine.bench.tasks.base import Grade
from parse_engine.trace import Answer, BoundaryVerdict, FinishReason, Seconds, Trace

METHODS = ("target", "draft", "parse")


def record(
    question: str,
    method: str,
    *,
    right: bool | None = True,
    graded: bool = True,
    parsed: bool = True,
    task: str = "sums",
    turn: int = 0,
    category: str = "",
    batch: int | None = None,
    finished: float | None = None,
    seconds: Seconds | None = None,
    tokens: int = 10,
    drafted: int = 0,
    kept: int = 0,
    boundaries: Sequence[tuple[int, bool]] = (),
    computed: int = 50,
    finish_reason: FinishReason = "stop",
    similarity: float | None = None,
    prompt: str = "How many?",
    draft_text: str = "",
    kept_text: str = "",
    offsets: Sequence[int] = (),
    text: str = "Seven.",
    warnings: tuple[str, ...] = (),
) -> Record:
    """A record of an answer that came alone, unless it is put into a batch."""
    seconds = seconds or Seconds(continue_=1.0, total=1.0, first=0.5)
    trace = Trace(
        method=method,
        draft_text=draft_text,
        draft_tokens=drafted,
        committed_tokens=kept,
        committed_text=kept_text,
        target_tokens=tokens - kept,
        verify_passes=int(bool(boundaries)),
        boundaries=tuple(BoundaryVerdict(end, 0.9 if yes else 0.2, 1.0, yes) for end, yes in boundaries),
        boundary_offsets=tuple(offsets),
        computed_tokens=computed,
        seconds=seconds,
        warnings=warnings,
    )
    return Record(
        task=task,
        question=question,
        turn=turn,
        category=category,
        method=method,
        batch=int(question.rpartition("/")[2] or 0) if batch is None else batch,
        finished=seconds.total if finished is None else finished,
        grade=Grade(right, parsed) if graded else None,
        similarity=similarity,
        prompt=prompt,
        answer=Answer(text, finish_reason, prompt_tokens=40, completion_tokens=tokens, trace=trace),
    )


def small_run() -> list[Record]:
    """Four questions, three methods. Worked out in test_summary.py."""
    alone = [
        record(f"q/{n}", "target", right=right, seconds=Seconds(continue_=s, total=s, first=0.5), tokens=20)
        for n, (right, s) in enumerate([(True, 2.0), (True, 4.0), (False, 6.0), (True, 8.0)])
    ]
    drafts = [
        record(f"q/{n}", "draft", right=right, seconds=Seconds(draft=1.0, total=1.0, first=0.1), tokens=20, drafted=20)
        for n, right in enumerate([True, False, False, True])
    ]
    # Kept: all, 8 of 20, nothing, all; the third one takes more time than the target.
    judged = [
        (True, 20, [(8, True), (20, True)], Seconds(1.0, 0.5, 0.0, 1.6, first=1.5)),
        (True, 8, [(8, True), (20, False)], Seconds(1.0, 0.5, 1.0, 2.6, first=1.5)),
        (True, 0, [(8, False), (20, False)], Seconds(1.0, 0.5, 6.0, 7.6, first=1.7)),
        (False, 20, [(8, True), (20, True)], Seconds(1.0, 0.5, 0.0, 1.6, first=1.5)),
    ]
    parse = [
        record(
            f"q/{n}",
            "parse",
            right=right,
            parsed=n != 3,
            seconds=seconds,
            tokens=20,
            drafted=20,
            kept=kept,
            boundaries=boundaries,
            computed=100 + n,
            finish_reason="length" if n == 3 else "stop",
        )
        for n, (right, kept, boundaries, seconds) in enumerate(judged)
    ]
    return [*alone, *drafts, *parse]


def doubled(records: Sequence[Record]) -> list[Record]:
    """The same answers on a machine that is half as fast."""
    return [replace(one, finished=one.finished and 2 * one.finished) for one in records]


def info(**changed: Any) -> dict[str, Any]:
    """A finished run's description."""
    return {
        "command": "parse-engine bench run --tasks sums",
        "time": "2026-05-04T12:00:00+00:00",
        "load": 0.25,
        "versions": {"parse-engine": "0.1.0", "torch": "2.13.0"},
        "machine": {"cpu": "Abacus", "cores": 2},
        "settings": {"target": "big", "draft": "small", "config": {"delta": 16}, "concurrency": 1, "backend": "hf"},
        "params": {"max_tokens": 64, "temperature": 0.0},
        "methods": list(METHODS),
        "tasks": {"sums": {"version": "1", "questions": 4, "sha256": "0123456789abcdef" * 4}},
        "figures": {},
        "peak_memory_bytes": 2**30,
        **changed,
    }


def write_run(directory: Path, records: Sequence[Record], **changed: Any) -> Path:
    """A run as the bench leaves it; with `figures=None` as a killed one does."""
    directory.mkdir(parents=True, exist_ok=True)
    described = {key: value for key, value in info(**changed).items() if value is not None}
    (directory / "run.json").write_text(json.dumps(described))
    (directory / "answers.jsonl").write_text("")
    for one in records:
        append(directory / "answers.jsonl", one)
    return directory

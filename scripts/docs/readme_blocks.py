"""The generated parts of README.md: what stands between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
METHODS = {"target": "target alone", "draft": "drafter alone", "parse": "PARSE"}
PAIRS = {
    "embedded.json": "embedded pair",
    "real-pair-gsm8k.json": "Qwen2.5-Coder 1.5B, drafter 0.5B",
    "real-pair-humaneval.json": "Qwen2.5-Coder 1.5B, drafter 0.5B",
}
PASSES = {
    "packed": "packed: all prefixes in one pass",
    "plain": "plain: one causal pass over as many tokens",
    "sequential_cached": "one pass per prefix, with the prefix cache",
    "separate": "one pass per prefix, from scratch",
}


def refresh(text: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    """README's text with the named blocks written again.

    Raises:
        ValueError: a block's markers are not there exactly once.
    """
    for name, write in blocks.items():
        before, opening, rest = text.partition(f"<!-- {name} -->\n")
        _, closing, after = rest.partition(f"<!-- /{name} -->")
        if not closing or opening in after:
            raise ValueError(f"README.md needs the markers <!-- {name} --> and <!-- /{name} --> exactly once")
        text = f"{before}{opening}{write()}\n{closing}{after}"
    return text


def figures_table() -> str:
    """Target alone against PARSE: a row per pair, task and method."""
    runs = [(PAIRS[name], run) for name in PAIRS if (run := _load(name)) is not None]
    if not runs:
        return "*Not measured yet: `results/embedded.json` is missing.*"
    rows = [
        "| models | task | method | right answers | difference (95 %) | tokens/s | s/answer | times faster (95 %) |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(row for pair, run in runs for row in _rows(pair, run["figures"])),
    ]
    return "\n".join([*rows, "", *(f"- {pair}: {_source(run)}" for pair, run in runs)])


def pass_table() -> str:
    """What the packed pass costs beside other ways to the same verdicts."""
    run = _load("pass-0.5b.json")
    if run is None:
        return "*Not measured yet: `results/pass-0.5b.json` is missing.*"
    figures = run["figures"]
    rows = ["| verification of one draft | seconds | times packed |", "| --- | ---: | ---: |"]
    for way, name in PASSES.items():
        times = figures[f"{way}_seconds"] / figures["packed_seconds"]
        rows.append(f"| {name} | {figures[f'{way}_seconds']:.3f} | {times:.2f} |")
    return "\n".join([*rows, "", f"- {_source(run)}"])


def snippet_output() -> str:
    """What examples/quickstart.py prints."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples/quickstart.py"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return f"```text\n{done.stdout.rstrip()}\n```"


def _load(name: str) -> dict[str, Any] | None:
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _rows(pair: str, tasks: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    for task, methods in tasks.items():
        for method, own in methods.items():
            n = own["answers"]
            cells = [pair, f"{task}, {n}", METHODS[method], f"{own['accuracy']:.1%}"]
            is_baseline = method == "target"
            cells.append("" if is_baseline else _interval(own, "accuracy_diff", "{:+.1f}", 100))
            cells += [f"{own['tokens_per_s']:.1f}", f"{own['seconds_per_answer']:.2f}"]
            cells.append("" if is_baseline else _interval(own, "speed_ratio", "{:.2f}", 1))
            yield f"| {' | '.join(cells)} |"


def _interval(own: Mapping[str, Any], key: str, form: str, scale: float) -> str:
    if own[key] is None:
        return ""
    low, high = (form.format(scale * end) for end in own[f"{key}_ci"])
    return f"{form.format(scale * own[key])} [{low}, {high}]"


def _source(run: Mapping[str, Any]) -> str:
    machine, versions = run["machine"], run["versions"]
    device = machine.get("gpu") or machine["cpu"]
    threads = f"{machine['threads']} of {machine['cores']} CPU cores"
    where = f"{device}, {threads}, torch {versions['torch']}"
    return f"{where}, one answer at a time. `{run['command']}`"

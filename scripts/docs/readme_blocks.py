"""The generated parts of README.md: its first table, and what its snippet prints."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from results_blocks import ROOT, load

EMBEDDED, QWEN = "embedded pair", "Qwen2.5-Coder 1.5B and 0.5B, 4-bit"
LLAMA = f"{QWEN}, the 0.5B on llama.cpp"
TASKS = {"tiny": "counts", "gsm8k": "GSM8K", "humaneval+": "HumanEval+"}
WHOLE_DRAFTS = "parse:judge=fused:full_threshold=0.415921:max_prefixes=1:threshold=1"
CAREFUL = "parse:judge=fused:full_threshold=0.626986:threshold=0.968424:delta=64:rule=first-failure"


@dataclass(frozen=True)
class Row:
    """One row of README's first table: what was used on what, and the files with its right answers and its speed."""

    models: str
    task: str
    name: str
    method: str
    accuracy: str
    speed: str
    in_flight: int = 1
    lossless: bool = False


ROWS = (
    Row(EMBEDDED, "tiny", "PARSE", "parse", "embedded.json", "embedded.json"),
    Row(QWEN, "gsm8k", "PARSE with a profile", WHOLE_DRAFTS, "real-gsm8k-150.json", "real-gsm8k-1.json"),
    Row(QWEN, "gsm8k", "PARSE with a profile", WHOLE_DRAFTS, "real-gsm8k-150.json", "real-gsm8k-8.json", in_flight=8),
    Row(QWEN, "gsm8k", "vLLM's draft model", "draft-model", "real-gsm8k-16.json", "real-1.json", lossless=True),
    Row(
        LLAMA,
        "humaneval+",
        "PARSE with a profile",
        CAREFUL,
        "real-humaneval-llama-16.json",
        "real-humaneval-llama-1c.json",
    ),
    Row(QWEN, "humaneval+", "vLLM's n-grams", "ngram", "real-humaneval-16.json", "real-1.json", lossless=True),
)
_ENOUGH = -0.02
"""The lower end of the interval of the difference in right answers above which a lossy method is called as right."""


def first_table() -> str:
    """README's first table: a few measured pairs and tasks, and what follows for a user."""
    lines = [
        "| models, task | method | right answers (target), questions | times as fast, questions | so |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for row in ROWS:
        accuracy, speed = (load(file)["figures"][row.task] for file in (row.accuracy, row.speed))
        own, ratio = accuracy[row.method], speed[row.method]
        right = f"{own['accuracy']:.1%} ({accuracy['target']['accuracy']:.1%}), {own['answers']}"
        fast = f"{ratio['speed_ratio']:.2f}, {ratio['answers']}"
        flight = f", {row.in_flight} in flight" if row.in_flight > 1 else ""
        cells = (f"{row.models}: {TASKS[row.task]}{flight}", row.name, right, fast)
        verdict = verdict_of(own["accuracy_diff_ci"], ratio["speed_ratio_ci"], ratio["speed_ratio"], row.lossless)
        lines.append(f"| {' | '.join((*cells, verdict))} |")
    return "\n".join(lines)


def verdict_of(
    difference: Sequence[float], speed_interval: Sequence[float] | None, speed: float, lossless: bool
) -> str:
    """What follows from the intervals of the difference in right answers (as a fraction) and of the speed, in words.

    Without an interval of the speed, which takes several batches, the speed itself decides.
    """
    slowest, fastest = speed_interval or (speed, speed)
    if fastest < 1:
        return "slower: use the target alone"
    if slowest <= 1:
        return "no faster beyond noise: use the target alone"
    if lossless:
        return "faster, and exact: use it"
    if difference[0] >= _ENOUGH:
        return "faster, and as right: use it"
    most, least = (f"{-100 * end:.0f}" for end in difference)
    if difference[1] < 0:
        return f"faster, but {least} to {most} points of right answers are lost"
    return f"faster, but up to {most} points of right answers may be lost"


def refresh(text: str, blocks: Mapping[str, Callable[[], str]]) -> str:
    """A page's text with the named blocks written again.

    Raises:
        ValueError: a block's markers are not there exactly once.
    """
    for name, write in blocks.items():
        before, opening, rest = text.partition(f"<!-- {name} -->\n")
        _, closing, after = rest.partition(f"<!-- /{name} -->")
        if not closing or opening in after:
            raise ValueError(f"the page needs the markers <!-- {name} --> and <!-- /{name} --> exactly once")
        text = f"{before}{opening}{write()}\n{closing}{after}"
    return text


def snippet_output() -> str:
    """What examples/quickstart.py prints."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples/quickstart.py"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return f"```text\n{done.stdout.rstrip()}\n```"

"""The generated tables of docs/results.md, docs/calibrate.md and docs/deploy.md, from the files under results/."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parse_engine.bench.methods import parse_method
from parse_engine.bench.passes import pass_rows
from parse_engine.calibration.tables import percent, ranking_cells
from parse_engine.config import ParseConfig
from parse_engine.profile import Profile

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
METHODS = {
    "target": "target alone",
    "draft": "drafter alone",
    "cascade": "cascade",
    "specreason": "SpecReason",
    "specreason:step=line:score=labels": "SpecReason, by line, PARSE's question",
    "ngram": "target, n-grams (vLLM)",
    "draft-model": "target, draft model (vLLM)",
    "parse": "PARSE",
}


@dataclass(frozen=True)
class Comparison:
    """The real pair on a task. Where several runs have a method, the first tells of it."""

    task: str
    special: str
    accuracy: Sequence[str]
    """Runs with many questions and many answers in flight."""
    alone: Sequence[str]
    """Runs for speed, one answer at a time."""
    company: Sequence[str]
    """Runs for speed, eight in flight."""


REAL = {
    "gsm8k": Comparison(
        "gsm8k",
        "",
        ("real-gsm8k-150.json", "real-gsm8k-16.json"),
        ("real-gsm8k-1.json", "real-1.json"),
        ("real-gsm8k-8.json", "real-8.json"),
    ),
    "humaneval": Comparison("humaneval+", "", ("real-humaneval-16.json",), ("real-1.json",), ("real-8.json",)),
    "humaneval-llama": Comparison(
        "humaneval+",
        ", drafter on llama.cpp",
        ("real-humaneval-llama-16.json",),
        ("real-humaneval-llama-1c.json", "real-humaneval-llama-1.json"),
        ("real-humaneval-llama-8b.json",),
    ),
    "humaneval-ngrams": Comparison(
        "humaneval+",
        ", the same pair with n-grams",
        ("real-humaneval-llama-1c.json",),
        ("real-humaneval-llama-1c.json",),
        (),
    ),
}


def figures_table() -> str:
    """The embedded pair: every method's accuracy and speed."""
    run = load("embedded.json")
    rows = [
        "| task | method | right answers | difference (95 %) | tokens/s | s/answer | times faster (95 %) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for task, methods in run["figures"].items():
        for method, own in methods.items():
            speed = (
                f"{own['tokens_per_s']:.1f} | {own['seconds_per_answer']:.2f} | {_against(method, own, 'speed_ratio')}"
            )
            rows.append(f"| {task}, {own['answers']} | {METHODS[method]} | {_accuracy(method, own)} | {speed} |")
    return "\n".join([*rows, "", f"- {_source(run)}"])


def pair_tables() -> str:
    """The embedded pair by itself: what it writes and judges, and what each layer of the target is worth."""
    pair, layers = load("embedded-pair.json"), load("embedded-layers.json")
    own = pair["figures"]
    rows = [
        "| | |",
        "| --- | ---: |",
        f"| target alone, right answers | {own['target_right']:.1%} |",
        f"| drafter alone | {own['drafter_right']:.1%} |",
        f"| the two in turns, line by line | {own['in_turns_right']:.1%} |",
        f"| target behind right lines in both wordings | {own['target_right_behind_both']:.1%} |",
        f"| drafter behind right lines in both wordings | {own['drafter_right_behind_both']:.1%} |",
        f"| AUC of the verdicts, drafter's own drafts | {own['verdict_auc']:.3f} |",
        f"| wrong beginnings that pass (at 0.5), drafter's own drafts | {own['wrong_passed']:.1%} |",
        f"| right beginnings that are rejected | {own['right_rejected']:.1%} |",
        f"| draft tokens that equal the target's, before the first that does not "
        f"| {own['agreed_tokens_before_first_difference']:.1f} |",
        "",
        f"- {own['problems']} problems. {_source(pair)}",
        "",
        "| layer taken out | right answers | AUC of the verdicts |",
        "| --- | ---: | ---: |",
    ]
    for row in layers["figures"]["layers"]:
        name = "none" if row["without"] is None else str(row["without"])
        rows.append(f"| {name} | {row['right']:.1%} | {row['auc']:.3f} |")
    return "\n".join([*rows, "", f"- {layers['figures']['problems']} problems. {_source(layers)}"])


def real_table() -> str:
    """The real pair: accuracy from one run, speed from others with fewer questions and fewer answers in flight."""
    rows = [
        "| task | method | right answers | difference (95 %) | one at a time: times faster (95 %) | 8 in flight |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, comparison in REAL.items():
        accuracy, *speeds = real_figures(name)
        for method, own in accuracy.items():
            cells = [f"{comparison.task}, {own['answers']}{comparison.special}", _label(method)]
            cells.append(_accuracy(method, own))
            cells += (_against(method, speed[method], "speed_ratio") if method in speed else "" for speed in speeds)
            rows.append(f"| {' | '.join(cells)} |")
    files = dict.fromkeys(file for own in REAL.values() for file in (*own.accuracy, *own.alone, *own.company))
    runs = {file: load(file) for file in files}
    sources = (f"- {_questions(run)}: {_machine(run)} ([command](../results/{file}))" for file, run in runs.items())
    return "\n".join([*rows, "", *sources])


def real_figures(name: str) -> list[dict[str, Any]]:
    """Of a comparison: by method the figures of accuracy, of speed one at a time, and of speed with eight in flight."""
    comparison = REAL[name]
    kinds: list[dict[str, Any]] = [{}, {}, {}]
    for kind, files in zip(kinds, (comparison.accuracy, comparison.alone, comparison.company), strict=True):
        for run in map(load, files):
            for method, own in run["figures"][comparison.task].items():
                kind.setdefault(method, own)
    return kinds


def _label(method: str) -> str:
    """A method's name for people; one with calibrated settings is told by its judge and thresholds."""
    parsed = parse_method(method)
    if "judge" not in parsed.settings:
        return METHODS[method]
    config = ParseConfig(**parsed.settings)
    name = {"plain": "PARSE", "ngram": "PARSE, finished with n-grams"}[parsed.decoder]
    every = "every prefix" if config.boundary_rule == "first-failure" else "prefixes"
    kept = f"{every} from {config.threshold:.2f}" if config.threshold < 1 else "whole drafts only"
    return f"{name}, `{config.judge}` from {config.full_threshold:.2f}, {kept}"


def pass_table() -> str:
    """What the packed pass costs beside other ways to the same verdicts."""
    run = load("pass-0.5b.json")
    rows = ["| verification of one draft | seconds | times packed |", "| --- | ---: | ---: |"]
    rows += [f"| {label} | {seconds:.3f} | {times:.2f} |" for label, seconds, times in pass_rows(run["figures"])]
    return "\n".join([*rows, "", f"- {_source(run)}"])


PARITY = ("parity-smollm2-float32.json", "parity-smollm2-bfloat16.json")


def judge_table() -> str:
    """How well the judges tell right prefixes from wrong ones."""
    run = load("judge-gsm8k.json")
    rows = [
        "| judge | AUC, full solutions (95 %) | AUC, prefixes (95 %) | first wrong step found, F1 | tokens added |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for judge, own in run["figures"].items():
        aucs = (_interval(own, key, "{:.2f}", 1) for key in ("auc_full", "auc_prefix"))
        rows.append(f"| `{judge}` | {' | '.join(aucs)} | {own['f1']:.2f} | {own['suffix_tokens']:.0f} |")
    first = next(iter(run["figures"].values()))
    judges = "judges as in a profile" if run["profile"] else "judges that were not fitted"
    what = f"{first['solutions']} solutions of ProcessBench's GSM8K part, {run['target']} as the target, {judges}."
    return "\n".join([*rows, "", f"- {what} {_source(run)}"])


def profile_table() -> str:
    """What calibration found for pairs of models: how well the judges rank new drafts, and what could be promised."""
    rows = [
        "| task, tested questions | target right | drafter right | judge | AUC, full drafts (95 %) "
        "| AUC, safe prefixes (95 %) |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    ]
    notes = []
    for file in sorted((RESULTS / "records").glob("*.profile")):
        profile = Profile.load(file)
        served = " behind a server" if "--draft-url" in profile.provenance["command"] else ""
        tasks = ", ".join(profile.tasks) + (f" (drafter{served})" if served else "")
        right = f"{profile.target_right:.1%} | {profile.draft_right:.1%}"
        for judge, own in profile.rankings.items():
            rows.append(f"| {tasks}, {profile.tested_on} | {right} | `{judge}` | {' | '.join(ranking_cells(own))} |")
        machine = _machine({**profile.provenance, "settings": {"concurrency": profile.concurrency}})
        origin = f"{profile.target} and {profile.draft}{served} on {profile.backend}; {machine}"
        notes.append(f"- {tasks}: {_outcome(profile)} {origin} ([profile](../results/records/{file.name})).")
    return "\n".join([*rows, "", *notes])


def _outcome(profile: Profile) -> str:
    limit = f"a loss of at most {percent(profile.max_loss)}"
    if (choice := profile.choice) is None:
        return f"nothing can be promised at {limit}."
    return f"{limit} is promised, {choice.speed:.2f} times as fast expected."


def vllm_tables() -> str:
    """vLLM: what one verification costs, and the same verdicts as transformers."""
    return f"{_one_step()}\n\n{_parity()}"


def _one_step() -> str:
    run = load("vllm-pass-1.5b.json")
    figures = run["figures"]
    rows = ["| verification of one draft on vLLM, 1.5B-q4km | seconds | times one step |", "| --- | ---: | ---: |"]
    for label, seconds, times in pass_rows(figures):
        label = label.replace("packed: all prefixes in one pass", "one step").replace("packed,", "one step,")
        rows.append(f"| {label} | {seconds:.3f} | {times:.2f} |")
    steps = (
        f"{figures['verify_passes']} step, {figures['computed_tokens']} rows (expected {figures['expected_tokens']})"
    )
    return "\n".join([*rows, "", f"- {steps}. {_source(run)}"])


def _parity() -> str:
    runs = [load(name)["figures"] for name in PARITY]
    rows = [
        "| one step on vLLM, against the packed pass | drafts | prefixes | largest difference | rounding alone "
        "| different verdicts |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for own in runs:
        counts = f"{own['drafts']} | {own['prefixes']}"
        difference = f"{own['largest_difference']:.1e}"
        rounding = f"{own['rounding']['largest']:.1e}" if "rounding" in own else ""
        figures = f"{counts} | {difference} | {rounding} | {own['different_verdicts']}"
        rows.append(f"| {own['target']}, {own['dtype']} | {figures} |")
    note = "*Rounding alone*: how far the packed pass in this number type is from the packed pass in float32."
    return "\n".join([*rows, "", note])


def load(name: str) -> dict[str, Any]:
    """A file under results/."""
    result: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return result


def _accuracy(method: str, own: Mapping[str, Any]) -> str:
    return f"{own['accuracy']:.1%} | {_against(method, own, 'accuracy_diff', '{:+.1f}', 100)}"


def _against(method: str, own: Mapping[str, Any], key: str, form: str = "{:.2f}", scale: float = 1) -> str:
    """A method's figure in comparison with the target."""
    return "" if method == "target" else _interval(own, key, form, scale)


def _questions(run: Mapping[str, Any]) -> str:
    return ", ".join(f"{asked['questions']} of {task}" for task, asked in run["tasks"].items())


def _interval(own: Mapping[str, Any], key: str, form: str, scale: float) -> str:
    if own[key] is None:
        return ""
    value = form.format(scale * own[key])
    if own.get(f"{key}_ci") is None:
        return value
    low, high = (form.format(scale * end) for end in own[f"{key}_ci"])
    return f"{value} [{low}, {high}]"


def _source(run: Mapping[str, Any]) -> str:
    return f"{_machine(run)}. `{run['command']}`"


def _machine(run: Mapping[str, Any]) -> str:
    machine, versions = run["machine"], run["versions"]
    device = machine.get("gpu") or machine["cpu"]
    threads = f"{machine['threads']} of {machine['cores']} CPU cores"
    where = f"{device}, {threads}, torch {versions['torch']}"
    flight = run.get("settings", {}).get("concurrency") or 1
    answers = "one answer" if flight == 1 else f"{flight} answers"
    return f"{where}, {answers} at a time"

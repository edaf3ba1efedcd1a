"""All that a report of a run says, whatever it is written as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parse_engine.bench.report.compare import compare, differences, remarks
from parse_engine.bench.report.load import Run
from parse_engine.bench.report.sheets import Sheet, category_sheet, change_sheet, detail_sheets, main_sheet
from parse_engine.bench.report.summary import BASELINE, Summary, summarize


@dataclass(frozen=True)
class Comparison:
    """The run against another one."""

    sheet: Sheet
    remarks: Sequence[str]
    """What could not be compared, and why, a line each."""
    differences: Sequence[str]
    """In what else the two runs differ, a line each."""


@dataclass(frozen=True)
class Report:
    """A run, its figures, and what a reader must know to read them."""

    run: Run
    summary: Summary
    facts: Sequence[tuple[str, str]]
    """What was measured: name and value."""
    more_facts: Sequence[tuple[str, str]]
    """The rest of what makes a run."""
    warnings: Sequence[str]
    sheets: Mapping[str, Sequence[Sheet]]
    """By task; the first one is what matters most."""
    comparison: Comparison | None

    @property
    def title(self) -> str:
        return f"Bench of {', '.join(self.summary)}"


def make_report(run: Run, other: Run | None = None) -> Report:
    """The report of a run, compared with another one if there is one."""
    summary = summarize(run.records)
    sheets = {}
    for task, methods in summary.items():
        categories = category_sheet(methods)
        sheets[task] = [main_sheet(task, methods), *detail_sheets(methods), *([categories] if categories else [])]
    comparison = None
    if other is not None:
        changes = compare(run, other)
        sheet = change_sheet(changes, str(other.directory))
        comparison = Comparison(sheet, remarks(changes), differences(run, other))
    return Report(run, summary, _facts(run.info), _more_facts(run.info), _warnings(run, summary), sheets, comparison)


def _facts(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    settings = info["settings"]
    backend = [str(settings["backend"])] if "backend" in settings else []
    return [
        ("Target", str(settings.get("target"))),
        ("Drafter", str(settings.get("draft") or "none")),
        ("Back end", ", ".join([*backend, f"{settings.get('concurrency')} in flight"])),
        ("Machine", _listed(info["machine"])),
        ("Started", info["time"]),
        ("Command", info["command"]),
    ]


def _more_facts(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    more = [("Sampling", _listed(info.get("params", {}))), ("Judging", _listed(info["settings"].get("config") or {}))]
    others = {
        key: value
        for key, value in info["settings"].items()
        if key not in ("target", "draft", "backend", "concurrency", "config")
    }
    more.append(("Other settings", _listed(others)))
    for name, task in info.get("tasks", {}).items():
        questions = f"{task['questions']} questions, version {task['version']}, sha256 {task['sha256'][:16]}"
        more.append((f"Task {name}", questions))
    more.append(("Versions", ", ".join(f"{name} {version}" for name, version in info["versions"].items())))
    if "load" in info:
        more.append(("Load at the start", f"{info['load']:.2f}"))
    for name, key in (("Peak memory", "peak_memory_bytes"), ("Peak memory of the device", "peak_device_bytes")):
        if key in info:
            more.append((name, f"{info[key] / 2**30:.1f} GiB"))
    return [(name, value) for name, value in more if value]


def _listed(values: Mapping[str, Any]) -> str:
    """What is set."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in values.items() if value not in (None, [], {}))


def _warnings(run: Run, summary: Summary) -> list[str]:
    warnings = []
    if not run.finished:
        again = " The command that began it goes on with it." if run.info.get("tasks") else ""
        warnings.append(
            f"This run is not finished: {run.progress}. Methods are compared on the questions that both have "
            f"answered.{again}"
        )
    for task, ids in run.info.get("left_out", {}).items():
        warnings.append(f"{len(ids)} questions of {task} did not fit the models' context and are left out.")
    if not run.info.get("caches_emptied", True):
        warnings.append("A server kept its prefix cache, which helps the method that comes later to a question.")
    for part in ("machine", "versions"):
        if any(again[part] != run.info[part] for again in run.info.get("resumed", ())):
            warnings.append(f"The run was resumed with other {part}, so speeds within it may not compare.")
    ungraded = sum(figures.ungraded for methods in summary.values() for figures in methods.values())
    if ungraded:
        warnings.append(f"{ungraded} answers are not graded yet and left out of all figures.")
    for task, methods in summary.items():
        if BASELINE not in methods:
            warnings.append(f"{task}: the target did not answer alone in this run, so no speed is compared.")
        elif methods[BASELINE].cut:
            warnings.append(
                f"{task}: {methods[BASELINE].cut:.1%} of the target's own answers were cut by max_tokens. A budget "
                "that cuts the baseline flatters the rest; raise it."
            )
    said = Counter((r.method, warning) for r in run.records for warning in set(r.answer.trace.warnings))
    warnings += [
        f"{method}: {warning} ({count} answer{'s' * (count != 1)})" for (method, warning), count in said.items()
    ]
    return warnings

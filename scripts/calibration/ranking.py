"""How well judges rank new drafts: `python scripts/calibration/ranking.py results/records/RUN.jsonl... --output FILE`.

Goes over the records of a bench run that had the method `draft` and PARSE with judges: of each full draft the judge's
confidence, and whether the drafter's own answer was graded right. Drafts of one question that are equally long are
taken to be the same; where a server wrote another one for a method, the question does not count for it, and neither
does a draft that filled `max_tokens`, which is judged as a prefix.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parse_engine.bench.judging.figures import auc, auc_interval, bootstrap
from parse_engine.bench.provenance import check_writable, describe, write_json
from parse_engine.bench.records import Record, read_records
from parse_engine.errors import DataError

Key = tuple[str, str, int]
Judged = Mapping[Key, tuple[bool, float]]
"""Task, question and turn -> whether the full draft is right, and the confidence in it."""


def judged_drafts(records: Sequence[Record]) -> Mapping[str, Judged]:
    """Of every method with a judge, the full drafts."""
    drafts = {
        (each.task, each.question, each.turn): (each.grade.right, each.answer.trace.draft_tokens)
        for each in records
        if each.method == "draft" and each.grade and each.grade.right is not None
        if each.answer.finish_reason == "stop"
    }
    found: dict[str, dict[Key, tuple[bool, float]]] = {}
    for record in records:
        key, trace = (record.task, record.question, record.turn), record.answer.trace
        if "judge=" not in record.method or key not in drafts or not trace.boundaries:
            continue
        (right, tokens), last = drafts[key], trace.boundaries[-1]
        if last.end == trace.draft_tokens == tokens:
            found.setdefault(record.method, {})[key] = (right, last.p)
    return found


def figures(found: Mapping[str, Judged]) -> dict[str, Any]:
    """The AUC of every method's judge, and by how much each is ahead of the first with `prompt`.

    None where the drafts are all right or all wrong, so that there is nothing to tell apart.
    """
    prompt = next((own for method, own in found.items() if "judge=prompt" in method), {})
    told: dict[str, Any] = {}
    for method, own in found.items():
        truth, p = (np.array(column) for column in zip(*own.values(), strict=True))
        both = 0 < truth.sum() < len(truth)
        told[method] = {
            "drafts": len(own),
            "right": int(truth.sum()),
            "auc": auc(truth, p) if both else None,
            "auc_ci": auc_interval(truth, p, np.arange(len(own))) if both else None,
            "ahead_of_prompt": None if own is prompt else ahead(own, prompt),
        }
    return told


def ahead(own: Judged, other: Judged) -> dict[str, Any] | None:
    """Two judges' AUC on the drafts that both judged, and its difference, for whose interval drafts are drawn."""
    common = [key for key in own if key in other]
    truth = np.array([own[key][0] for key in common], dtype=bool)
    p, q = (np.array([judged[key][1] for key in common]) for judged in (own, other))
    if not 0 < truth.sum() < len(truth):
        return None
    mine, its = auc(truth, p), auc(truth, q)
    return {
        "drafts": len(common),
        "auc": mine,
        "auc_prompt": its,
        "difference": mine - its,
        "ci": bootstrap(lambda times: auc(truth, p, times) - auc(truth, q, times), len(common)),
    }


def line(method: str, own: Mapping[str, Any]) -> str:
    """For people."""
    if own["auc"] is None:
        return f"{method}: no AUC, {own['right']} of {own['drafts']} drafts are right"
    said = f"{method}: AUC {own['auc']:.2f} [{own['auc_ci'][0]:.2f}, {own['auc_ci'][1]:.2f}], {own['drafts']} drafts"
    if own["ahead_of_prompt"] is None:
        return said
    apart = own["ahead_of_prompt"]
    difference = f"{apart['difference']:+.2f} [{apart['ci'][0]:+.2f}, {apart['ci'][1]:+.2f}]"
    both = f"{apart['auc']:.2f} and {apart['auc_prompt']:.2f}"
    return f"{said}; ahead of prompt by {difference} on the {apart['drafts']} drafts that both judged ({both})"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("records", type=Path, nargs="+", metavar="RUN.jsonl", help="records of a bench run")
    parser.add_argument("--output", type=Path, help="where to write the figures with their provenance")
    given = parser.parse_args(arguments)
    if given.output:
        check_writable(given.output)
    provenance = describe()
    told = {}
    for path in given.records:
        try:
            found = judged_drafts(read_records(path))
        except DataError as error:
            parser.error(str(error))
        if not found:
            parser.error(f"{path} has no drafts with a judge's confidence; take a run of draft and parse:judge=...")
        told[str(path)] = figures(found)
        for method, own in told[str(path)].items():
            print(f"{path.name}: {line(method, own)}")
    result = {"figures": told}
    print(json.dumps(result))
    if given.output:
        write_json(given.output, {**provenance, **result})


if __name__ == "__main__":
    main(sys.argv[1:])

"""What the embedded pair can do, on held-out problems: `python scripts/embedded/evaluate.py --limit 500`.

One JSON object: right answers of both models, seconds per token, how well the target's verdicts tell right prefixes
from wrong ones (AUC, on the drafter's own drafts and on made-up mistakes), and how little the two agree token by token.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from parse_engine import Engine, SamplingParams
from parse_engine.bench import tiny
from parse_engine.bench.provenance import describe, write_json
from parse_engine.prefix.verifier import Draft, Verdict
from wordings import draft_with_mistakes, drafter_lines

PARAMS = SamplingParams(max_tokens=300)
Scored = list[tuple[float, bool]]


def auc(scored: Scored) -> float:
    """The chance that a right prefix scores higher than a wrong one, ties counting half (Mann-Whitney)."""
    scores, right = (np.array(column) for column in zip(*scored, strict=True))
    _, ranks, counts = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = (np.cumsum(counts) - (counts - 1) / 2)[ranks]
    positives = int(right.sum())
    pairs = positives * (len(right) - positives)
    return float((midranks[right.astype(bool)].sum() - positives * (positives + 1) / 2) / pairs)


def scored_prefixes(problem: tiny.Problem, draft: Draft, verdict: Verdict) -> Scored:
    """Each judged prefix's confidence, and whether it is what a faultless drafter would have written."""
    faultless = "".join(drafter_lines(problem))
    ends = [
        (boundary.p, draft.text[:end]) for boundary, end in zip(verdict.boundaries, verdict.ends(draft), strict=True)
    ]
    scored = [(p, faultless.startswith(text)) for p, text in ends]
    return [*scored[:-1], (scored[-1][0], draft.text == faultless)]


def evaluate(engine: Engine, problems: Iterable[tiny.Problem]) -> dict[str, float]:
    """All figures over the problems."""
    assert engine.verifier is not None
    codec, rng = engine.target.codec, random.Random(0)
    own: Scored = []
    made_up: Scored = []
    rows = []
    for problem in problems:
        answers = {method: engine.generate(problem.question, PARAMS, method=method) for method in ("target", "draft")}
        context = codec.encode(codec.render([{"role": "user", "content": problem.question}]))
        lines = draft_with_mistakes(problem, rng, 0.1).lines
        for text, scored in ((answers["draft"].text, own), ("".join(lines), made_up)):
            draft = Draft.of(codec.encode(text), codec, complete=True, max_tokens=PARAMS.max_tokens)
            scored += scored_prefixes(problem, draft, engine.verifier.verify(context, draft, greedy=False))
            agreed = engine.target.agreeing(context, draft.tokens)
        row = {"agreed": agreed}
        for method, answer in answers.items():
            row[f"{method}_right"] = tiny.grade(problem, answer.text)
            row[f"{method}_tokens"] = answer.completion_tokens
            row[f"{method}_seconds"] = answer.trace.seconds.draft + answer.trace.seconds.continue_
        rows.append(row)
    total = {key: float(sum(row[key] for row in rows)) for key in rows[0]}
    per_token = {method: total[f"{method}_seconds"] / total[f"{method}_tokens"] for method in ("target", "draft")}
    return {
        "problems": len(rows),
        "target_accuracy": total["target_right"] / len(rows),
        "drafter_accuracy": total["draft_right"] / len(rows),
        "target_seconds_per_token": per_token["target"],
        "drafter_seconds_per_token": per_token["draft"],
        "drafter_times_faster": per_token["target"] / per_token["draft"],
        "verdict_auc": auc(own),
        "prefixes": len(own),
        "verdict_auc_made_up_mistakes": auc(made_up),
        "prefixes_made_up": len(made_up),
        "agreed_tokens_before_first_difference": total["agreed"] / len(rows),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="embedded-target")
    parser.add_argument("--draft", default="embedded-drafter")
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--output", type=Path, help="write the figures and where they come from")
    args = parser.parse_args()
    engine = Engine.load(args.target, args.draft)
    figures = evaluate(engine, itertools.islice(tiny.problems("test", seed=1), args.limit))
    print(json.dumps(figures, indent=2))
    if args.output:
        write_json(args.output, {**describe(), "figures": figures})


if __name__ == "__main__":
    main()

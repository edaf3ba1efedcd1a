"""How well the embedded target judges, on held-out problems: `python scripts/embedded/evaluate.py --limit 200`.

One JSON object: how well its verdicts tell right prefixes from wrong ones (AUC, on the drafter's own drafts and on
made-up mistakes), how often it lets each kind of mistake pass, and how little the two agree token by token. What the
pair answers and how fast is what `parse-engine bench run --tasks tiny` measures.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from parse_engine import AsyncEngine, SamplingParams
from parse_engine.backends.base import Usage, VerifyRequest
from parse_engine.bench.provenance import describe, write_json
from parse_engine.bench.tasks import tiny
from parse_engine.config import AUTO, EMBEDDED_TARGET
from parse_engine.prefix.draft import Draft
from wordings import MISTAKES, draft_with_mistakes, drafter_lines

PARAMS = SamplingParams(max_tokens=300)
Scored = list[tuple[float, bool]]


def auc(scored: Scored) -> float:
    """The chance that a right prefix scores higher than a wrong one, ties counting half (Mann-Whitney)."""
    scores, right = (np.array(column) for column in zip(*scored, strict=True))
    _, ranks, counts = np.unique(scores, return_inverse=True, return_counts=True)
    midranks = (np.cumsum(counts) - (counts - 1) / 2)[ranks]
    positives = int(right.sum())
    pairs = positives * (len(right) - positives)
    if not pairs:
        raise SystemExit("all prefixes are right, or all are wrong: there is nothing to tell apart. Raise --limit.")
    return float((midranks[right.astype(bool)].sum() - positives * (positives + 1) / 2) / pairs)


class Evaluation:
    """The verdicts of one engine's target on drafts that are given to it as texts."""

    def __init__(self, engine: AsyncEngine):
        assert engine.verifier is not None
        self.engine, self.codec, self.verifier = engine, engine.target.codec, engine.verifier

    def context(self, problem: tiny.Problem) -> list[int]:
        return self.codec.encode(self.codec.render([{"role": "user", "content": problem.question}]))

    def draft(self, text: str) -> Draft:
        return Draft.of(self.codec.encode(text), self.codec, complete=True, max_tokens=PARAMS.max_tokens)

    async def prefixes(self, problem: tiny.Problem, text: str) -> list[tuple[float, str]]:
        """Each judged prefix of a draft: its confidence and its text."""
        draft = self.draft(text)
        verdict = await self.verifier.verify(self.context(problem), draft, Usage(), greedy=False)
        ends = zip(verdict.boundaries, verdict.offsets(draft), strict=True)
        return [(boundary.p, draft.text[:end]) for boundary, end in ends]

    async def agreed(self, problem: tiny.Problem, text: str) -> int:
        """Tokens that the target would have written itself, up to the first that it would not."""
        draft = self.draft(text)
        request = VerifyRequest(tuple(self.context(problem)), draft.tokens, (len(draft.tokens),))
        return (await self.engine.target.verify(request, Usage())).agreeing(0)


def scored(problem: tiny.Problem, prefixes: list[tuple[float, str]]) -> Scored:
    """Each prefix's confidence, and whether it is what a faultless drafter would have written."""
    faultless = "".join(drafter_lines(problem))
    *inner, (p, whole) = prefixes
    return [*((p, faultless.startswith(text)) for p, text in inner), (p, whole == faultless)]


async def evaluate(engine: AsyncEngine, problems: Iterable[tiny.Problem]) -> dict[str, object]:
    """All figures over the problems."""
    evaluation, rng = Evaluation(engine), random.Random(0)
    own: Scored = []
    made_up: Scored = []
    passed: dict[str, list[bool]] = defaultdict(list)
    agreed: list[int] = []
    for problem in problems:
        answer = await engine.generate(problem.question, PARAMS, method="draft")
        if answer.text:
            own += scored(problem, await evaluation.prefixes(problem, answer.text))
            agreed.append(await evaluation.agreed(problem, answer.text))
        for kind in MISTAKES:
            lines = draft_with_mistakes(problem, rng, 0.15, kinds=(kind,)).lines
            made_up += (judged := scored(problem, await evaluation.prefixes(problem, "".join(lines))))
            # The first prefix that has the mistake in it tells whether the mistake is seen.
            passed[kind] += [p >= engine.config.threshold for p, right in judged if not right][:1]
    return {
        "problems": len(agreed),
        "verdict_auc": auc(own),
        "prefixes": len(own),
        "wrong_prefixes": sum(not right for _, right in own),
        "verdict_auc_made_up_mistakes": auc(made_up),
        "prefixes_made_up": len(made_up),
        "passed_with_mistake": {kind: sum(hits) / len(hits) for kind, hits in passed.items() if hits},
        "agreed_tokens_before_first_difference": sum(agreed) / len(agreed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default=EMBEDDED_TARGET)
    parser.add_argument("--draft", default=AUTO)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--output", type=Path, help="write the figures and where they come from")
    args = parser.parse_args()
    origin = describe()
    engine = AsyncEngine.load(args.target, args.draft)
    figures = asyncio.run(evaluate(engine, itertools.islice(tiny.problems("test", seed=1), args.limit)))
    print(json.dumps(figures, indent=2))
    if args.output:
        write_json(args.output, {**origin, "figures": figures})


if __name__ == "__main__":
    main()

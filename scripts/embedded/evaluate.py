"""How well the embedded pair does, on held-out problems: `python scripts/embedded/evaluate.py --limit 200`.

One JSON object: right answers of either model alone and of the two taking turns line by line; how well the target's
verdicts tell right prefixes from wrong ones (AUC, on the drafter's own drafts and on made-up mistakes), how often it
lets each kind of mistake pass, and how little the two agree token by token. How fast the pair is, `parse-engine bench
run --tasks tiny` measures.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from parse_engine import AsyncEngine, SamplingParams
from parse_engine.backends.base import Usage, VerifyRequest
from parse_engine.bench.provenance import describe, with_models, write_json
from parse_engine.bench.tasks import tiny
from parse_engine.config import AUTO, EMBEDDED_TARGET
from parse_engine.models.resolve import resolve
from parse_engine.prefix.draft import Draft
from wordings import DRAFTER, MISTAKES, draft_with_mistakes, lines_of, solution, taking_turns
from writing import Author, in_turns

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
        return Draft.of(self.codec.encode(text), self.codec, complete=True, max_tokens=300)

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

    async def scored(self, problem: tiny.Problem, text: str) -> Scored:
        """Each prefix's confidence, and whether it is what a faultless drafter would have written."""
        faultless = "".join(lines_of(problem, DRAFTER))
        *inner, (p, whole) = await self.prefixes(problem, text)
        return [*((p, faultless.startswith(prefix)) for p, prefix in inner), (p, whole == faultless)]


def right(problems: Sequence[tiny.Problem], texts: Sequence[str]) -> float:
    """Share of the answers that end in the right count."""
    return sum(map(tiny.grade, problems, texts)) / len(problems)


def writing(problems: Sequence[tiny.Problem], target: Author, drafter: Author) -> dict[str, float]:
    """Right answers: of either alone, of the two in turns, and of each behind right lines in both models' words."""
    rng, begun = random.Random(0), []
    for problem in problems:
        lines = solution(problem, taking_turns(len(problem.events) + 2, rng))
        begun.append("".join(lines[: rng.randrange(1, len(lines))]))
    alone = [""] * len(problems)
    return {
        "target_right": right(problems, target.answers(problems, alone)),
        "drafter_right": right(problems, drafter.answers(problems, alone)),
        "in_turns_right": right(problems, in_turns(problems, (drafter, target))),
        "target_right_behind_both": right(problems, target.answers(problems, begun)),
        "drafter_right_behind_both": right(problems, drafter.answers(problems, begun)),
    }


async def judging(engine: AsyncEngine, problems: Sequence[tiny.Problem], drafts: Sequence[str]) -> dict[str, object]:
    """How well the target's verdicts tell right from wrong, on the drafter's own drafts and on made-up mistakes."""
    evaluation, rng = Evaluation(engine), random.Random(0)
    own: Scored = []
    made_up: Scored = []
    passed: dict[str, list[bool]] = defaultdict(list)
    agreed: list[int] = []
    for problem, draft in zip(problems, drafts, strict=True):
        if draft:
            own += await evaluation.scored(problem, draft)
            agreed.append(await evaluation.agreed(problem, draft))
        for kind in MISTAKES:
            lines = draft_with_mistakes(problem, rng, 0.15, kinds=(kind,)).lines
            made_up += (judged := await evaluation.scored(problem, "".join(lines)))
            # The first prefix that has the mistake in it tells whether the mistake is seen.
            passed[kind] += [p >= engine.config.threshold for p, right in judged if not right][:1]
    return {
        "verdict_auc": auc(own),
        "prefixes": len(own),
        "wrong_prefixes": sum(not right for _, right in own),
        "wrong_passed": sum(p >= engine.config.threshold for p, right in own if not right)
        / max(1, sum(not right for _, right in own)),
        "right_rejected": sum(p < engine.config.threshold for p, right in own if right)
        / max(1, sum(right for _, right in own)),
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
    assert engine.drafter is not None
    problems = list(itertools.islice(tiny.problems("test", seed=1), args.limit))
    target, drafter = (Author.load(Path(resolve(model.name))) for model in (engine.target, engine.drafter))
    drafts = drafter.answers(problems, [""] * len(problems))
    figures = {
        "problems": len(problems),
        **writing(problems, target, drafter),
        **asyncio.run(judging(engine, problems, drafts)),
    }
    print(json.dumps(figures, indent=2))
    if args.output:
        write_json(args.output, {**with_models(origin, engine.target, engine.drafter), "figures": figures})


if __name__ == "__main__":
    main()

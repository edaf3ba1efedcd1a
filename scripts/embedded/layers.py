"""What every layer of the embedded target is for: `python scripts/embedded/layers.py --limit 200`.

Takes the layers out one at a time, and measures right answers and how well the verdicts tell right prefixes of the
drafter's drafts from wrong ones (AUC). A layer without which both stay as they are would be ballast, that only makes
the target slower.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from evaluate import Evaluation, Scored, auc, right
from parse_engine import AsyncEngine
from parse_engine.backends.hf import HFModel
from parse_engine.bench.provenance import describe, with_models, write_json
from parse_engine.bench.tasks import tiny
from parse_engine.models.store import embedded_folder
from parse_engine.text import Codec
from writing import Author

LEAST_RIGHT, LEAST_AUC = 0.01, 0.01
"""What a layer must be worth, one or the other: share of right answers, AUC."""


def without(folder: Path, layer: int | None) -> PreTrainedModel:
    """The model in a folder, in float32, with one of its layers taken out."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if layer is not None:
        del model.model.layers[layer]
        for index, left in enumerate(model.model.layers):
            left.self_attn.layer_idx = index
        model.config.num_hidden_layers -= 1
    return model


async def _scored(
    model: PreTrainedModel, drafter: Path, problems: Sequence[tiny.Problem], drafts: Sequence[str]
) -> Scored:
    tokenizer = AutoTokenizer.from_pretrained(drafter)
    engine = AsyncEngine(HFModel(model, Codec(tokenizer), "target"), HFModel.load(drafter))
    evaluation = Evaluation(engine)
    scored: Scored = []
    for problem, draft in zip(problems, drafts, strict=True):
        scored += await evaluation.scored(problem, draft)
    return scored


def table(target: Path, drafter: Path, limit: int) -> list[dict[str, Any]]:
    """One row for the whole target, and one for each layer without which it was measured."""
    tokenizer = AutoTokenizer.from_pretrained(target, padding_side="left")
    problems = list(itertools.islice(tiny.problems("test", seed=2), limit))
    drafts = Author.load(drafter).answers(problems, [""] * limit)
    rows = []
    for layer in (None, *range(without(target, None).config.num_hidden_layers)):
        model = without(target, layer)
        share = right(problems, Author(model, tokenizer).answers(problems, [""] * limit))
        rows.append(
            {"without": layer, "right": share, "auc": auc(asyncio.run(_scored(model, drafter, problems, drafts)))}
        )
    return rows


def idle(rows: Sequence[dict[str, Any]]) -> list[int]:
    """The layers that are worth less than `LEAST_RIGHT` and `LEAST_AUC`."""
    whole, *others = rows
    return [
        row["without"]
        for row in others
        if whole["right"] - row["right"] < LEAST_RIGHT and whole["auc"] - row["auc"] < LEAST_AUC
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=Path, default=embedded_folder("target"))
    parser.add_argument("--drafter", type=Path, default=embedded_folder("drafter"))
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--output", type=Path, help="write the table and where it comes from")
    args = parser.parse_args()
    models = HFModel.load(args.target, name="target"), HFModel.load(args.drafter, name="drafter")
    origin = with_models(describe(), *models)
    rows = table(args.target, args.drafter, args.limit)
    print("layer taken out   right answers   verdict AUC")
    for row in rows:
        name = "none" if row["without"] is None else row["without"]
        print(f"{name:<17} {row['right']:>13.1%} {row['auc']:>13.3f}")
    print(f"idle: {', '.join(map(str, idle(rows))) or 'none'}")
    if args.output:
        write_json(args.output, {**origin, "figures": {"problems": args.limit, "layers": rows}})


if __name__ == "__main__":
    main()

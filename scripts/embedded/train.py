"""Train the embedded pair on a CPU, from nothing: `python scripts/embedded/train.py all`.

Its steps run alone too, in this order: `tokenizer`, `drafter`, `seed`, `target`, and `export`, which puts the pair into
the package. Training goes on from its last checkpoint. Where cores do not share their arithmetic, a process on each is
faster: `OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 scripts/embedded/train.py target`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn import functional as F
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from drafts import drafts_of
from packing import VERDICT_WEIGHT, Batch, Packer, Row, collate
from parse_engine.bench.tasks import tiny
from tokenizer import build
from wordings import DRAFTER, TARGET, Draft

ROOT = Path(__file__).resolve().parents[2]
JUDGE = json.loads((ROOT / "src/parse_engine/prefix/judge_prompts.json").read_text())["v1"]

# The drafter is stopped early: it miscalculates now and then, at any place of an answer, as small drafters do.
# The target is grown from a seed of two layers that learns the arithmetic in the drafter's words, which takes a deep
# model that learns everything at once several times longer. Six layers write, two more on top learn to judge.
NARROW = {"hidden_size": 96, "intermediate_size": 192, "num_attention_heads": 3}
WIDE = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4}
SHAPES = {
    "drafter": {"num_hidden_layers": 2, **NARROW},
    "seed": {"num_hidden_layers": 2, **WIDE},
    "target": {"num_hidden_layers": 8, **WIDE},
}
TOKENS = {"drafter": 4e6, "seed": 5e6, "target": 24e6}
# Of the learning rates below: the target starts from what the seed knows.
RATES = {"drafter": 1.0, "seed": 1.0, "target": 0.5}
# Tokens of one step, of all workers together.
BATCH = {"drafter": 6144, "seed": 6144, "target": 6144}
# Problems that the drafter writes drafts of, for the target to judge.
DRAFTED = 6_000


def new_model(role: str, vocabulary: int, eos: int, pad: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=vocabulary,
        num_key_value_heads=SHAPES[role]["num_attention_heads"],
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.04,
        bos_token_id=None,
        eos_token_id=eos,
        pad_token_id=pad,
        attn_implementation="sdpa",
        **SHAPES[role],
    )
    return LlamaForCausalLM(config)


def writing_rows(packer: Packer, seed: int) -> Iterator[Row]:
    """Answers in the drafter's words, also in turns with the target."""
    for problem in tiny.problems("train", seed):
        yield packer.answer_row(problem, DRAFTER)


def target_rows(packer: Packer, seed: int, drafts: Sequence[tuple[tiny.Problem, Draft]]) -> Iterator[Row]:
    """Answers in the target's words, and drafts to judge: made-up ones, and the drafter's own."""
    for problem in tiny.problems("train", seed):
        kind = packer.rng.random()
        if kind < 0.3:
            yield packer.answer_row(problem, TARGET)
        elif kind < 0.7:
            yield packer.judged_row(problem)
        else:
            yield packer.judged_row(*packer.rng.choice(drafts))


def optimizers(
    model: LlamaForCausalLM, aids: torch.nn.Module, muon_lr: float, adam_lr: float
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for everything else."""
    named = list(model.named_parameters())
    matrices = [parameter for name, parameter in named if parameter.ndim == 2 and "embed" not in name]
    rest = [parameter for name, parameter in named if parameter.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=muon_lr, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW([*rest, *aids.parameters()], lr=adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(progress: float, warmup: float = 0.02, decay: float = 0.4) -> float:
    """Trapezoid: up, flat, and linearly down to zero over the last `decay` of the run."""
    return min(1.0, progress / warmup, (1 - progress) / decay)


class Aids(torch.nn.Module):
    """What makes the two top layers learn to judge; dropped after training.

    A token of a draft is a mistake when it is not what the model itself would have written there. So the layers below
    the top two must have decided what to write (their hidden states go through the LM head as well), and the layer
    below the top learns to notice where a mistake begins (a linear probe). The top layer's suffix rows can then look.
    Without these aids the verdict learns several times slower, and slips in arithmetic not at all.
    """

    def __init__(self, model: LlamaForCausalLM):
        super().__init__()
        self.probe = torch.nn.Linear(model.config.hidden_size, 1)
        self._seen: dict[int, torch.Tensor] = {}
        for place in (-3, -2):
            model.model.layers[place].register_forward_hook(self._keep(place))

    def _keep(self, place: int):
        def hook(module, inputs, output) -> None:
            self._seen[place] = output[0] if isinstance(output, tuple) else output

        return hook

    def written(self, model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
        """Cross-entropy of the batch's tasks other than verdicts, read three layers from the top; weighted mean."""
        chosen = batch.weights != VERDICT_WEIGHT
        hidden = model.model.norm(self._seen[-3]).flatten(0, 1)[batch.rows[chosen]]
        losses = F.cross_entropy(model.lm_head(hidden), batch.labels[chosen], reduction="none")
        return (losses * batch.weights[chosen]).sum() / batch.weights[chosen].sum()

    def noticed(self, batch: Batch) -> torch.Tensor:
        """Mean binary cross-entropy over the telling tokens of drafts; mistakes are rare and count five times."""
        seen = self._seen[-2].flatten(0, 1)[batch.flag_rows]
        logits = self.probe(F.rms_norm(seen, (seen.shape[-1],)))[:, 0]
        return F.binary_cross_entropy_with_logits(logits, batch.flags, pos_weight=torch.tensor(5.0))


def grow(seed: dict[str, torch.Tensor], model: LlamaForCausalLM) -> None:
    """Give a deeper model the function of a trained one: its layers first, the others adding nothing yet."""
    model.load_state_dict(seed, strict=False)
    for layer in model.model.layers[SHAPES["seed"]["num_hidden_layers"] :]:
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)


class Run:
    """A training run: model, probes, optimizers and where it stands."""

    def __init__(self, role: str, out: Path, tokens: float, seed: int):
        torch.manual_seed(seed)
        self.role, self.out, self.tokens, self.seed = role, out, tokens, seed
        self.tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
        self.model = new_model(role, len(self.tokenizer), self.tokenizer.eos_token_id, self.tokenizer.pad_token_id)
        self.aids = Aids(self.model) if role == "target" else torch.nn.Module()
        self.optimizers = optimizers(self.model, self.aids, 0.02 * RATES[role], 3e-3 * RATES[role])
        self.rates = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.step, self.seen = 0, 0
        self.worker, self.workers = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.figures: dict[str, float] = {}
        self.drafts: list[tuple[tiny.Problem, Draft]] = []
        if role == "target":
            kept = out / f"drafts-{self.worker}-of-{self.workers}.json"
            self.drafts = drafts_of(out / "drafter", DRAFTED // self.workers, seed + 7 * self.worker, kept)
        self.checkpoint = out / f"{role}.checkpoint.pt"
        if self.checkpoint.exists():
            self.restore(torch.load(self.checkpoint))
        elif role == "target":
            grow(torch.load(out / "seed.checkpoint.pt")["model"], self.model)

    def restore(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.aids.load_state_dict(state["aids"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seen = state["step"], state["seen"]

    def save(self) -> None:
        if self.worker:
            return
        state = {
            "model": self.model.state_dict(),
            "aids": self.aids.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seen": self.seen,
        }
        torch.save(state, self.checkpoint.with_suffix(".tmp"))
        self.checkpoint.with_suffix(".tmp").replace(self.checkpoint)

    def rows(self) -> list[Row]:
        """The rows of the next step; the same for the same seed and step."""
        packer = Packer(self.tokenizer, JUDGE, random.Random(f"{self.seed}-{self.step}-{self.worker}"))
        seed = self.seed * 1_000_003 + self.workers * self.step + self.worker
        stream = target_rows(packer, seed, self.drafts) if self.role == "target" else writing_rows(packer, seed)
        rows: list[Row] = []
        while sum(len(row.tokens) for row in rows) < BATCH[self.role] // self.workers:
            rows.append(next(stream))
        return rows

    def learn(self) -> None:
        """One optimizer step."""
        rows = self.rows()
        weight_sum = sum(weight for row in rows for *_, weight in row.tasks)
        flag_sum = sum(len(row.flags) for row in rows)
        task_sum = sum(len(row.tasks) for row in rows)
        for part in _parts(rows):
            batch = collate(part)
            hidden = self.model.model(
                input_ids=batch.tokens, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
            ).last_hidden_state
            logits = self.model.lm_head(hidden.flatten(0, 1)[batch.rows])
            losses = F.cross_entropy(logits, batch.labels, reduction="none")
            loss = (losses * batch.weights).sum() / weight_sum
            if isinstance(self.aids, Aids):
                written = self.aids.written(self.model, batch)
                self.note("written", written.item())
                loss = loss + 0.5 * written * len(batch.rows) / task_sum
            if isinstance(self.aids, Aids) and len(batch.flag_rows):
                noticed = self.aids.noticed(batch)
                self.note("noticed", noticed.item())
                loss = loss + 2.0 * noticed * len(batch.flag_rows) / flag_sum
            loss.backward()
            right = (logits.argmax(-1) == batch.labels).float()
            for name, weight in (("answer", 1.0), ("verdict", VERDICT_WEIGHT)):
                if (chosen := batch.weights == weight).any():
                    self.note(name, right[chosen].mean().item())
        taught = sum(len(row.tokens) for row in rows)
        if self.workers > 1:
            taught = self.share_gradients(taught)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        scale = rate(self.seen / self.tokens)
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, base in zip(groups, self.rates, strict=True):
            group["lr"] = base * scale
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step, self.seen = self.step + 1, self.seen + taught

    def share_gradients(self, taught: int) -> int:
        """Average the gradients of all workers; returns the tokens that all of them together have taught."""
        parameters = [*self.model.parameters(), *self.aids.parameters()]
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), torch.tensor([float(taught)])])
        dist.all_reduce(flat)
        for parameter, part in zip(parameters, flat[:-1].split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter) / self.workers
        return int(flat[-1])

    def note(self, name: str, value: float) -> None:
        """Keep a running mean of a figure."""
        self.figures[name] = 0.97 * self.figures.get(name, value) + 0.03 * value


def train(role: str, out: Path, tokens: float, seed: int) -> None:
    """Train one of the two to its end, from its last checkpoint where there is one."""
    run = Run(role, out, tokens, seed)
    began, began_seen = time.perf_counter(), run.seen
    while run.seen < tokens:
        run.learn()
        if run.step % 25 == 0 and not run.worker:
            speed = (run.seen - began_seen) / (time.perf_counter() - began)
            figures = "  ".join(f"{name} {value:.4f}" for name, value in sorted(run.figures.items()))
            print(
                f"{role} {run.step}  {run.seen / 1e6:.2f}M/{tokens / 1e6:.1f}M  {figures}  {speed:.0f} tok/s",
                flush=True,
            )
        if run.step % 100 == 0:
            run.save()
    run.save()
    if run.worker:
        return
    run.model.save_pretrained(out / role)
    run.tokenizer.save_pretrained(out / role)


def export(role: str, out: Path, package: Path) -> None:
    """Put a trained model into the package: float16 in the file, float32 when loaded."""
    model = LlamaForCausalLM.from_pretrained(out / role, dtype=torch.float16)
    model.save_pretrained(package / role)
    config = json.loads((package / role / "config.json").read_text())
    config["dtype"] = "float32"
    (package / role / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    AutoTokenizer.from_pretrained(out / role).save_pretrained(package / role)


def _parts(rows: list[Row], size: int = 4) -> list[list[Row]]:
    """Rows of like length together, `size` at a time: less padding, and what they compute fits into the cache."""
    ordered = sorted(rows, key=lambda row: len(row.tokens))
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tokenizer", *TOKENS, "export", "all"])
    parser.add_argument("--out", type=Path, default=ROOT / "build/embedded")
    parser.add_argument("--tokens", type=float, help="train on so many tokens instead of the recipe's")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    args.out.mkdir(parents=True, exist_ok=True)
    if args.what in ("tokenizer", "all"):
        build([JUDGE["full"], JUDGE["prefix"]], args.out / "tokenizer")
    for role, tokens in TOKENS.items():
        if args.what in (role, "all"):
            train(role, args.out, args.tokens or tokens, args.seed)
    if args.what in ("export", "all"):
        for role in ("target", "drafter"):
            export(role, args.out, ROOT / "src/parse_engine/models/embedded")


if __name__ == "__main__":
    main()

"""Train the embedded pair on a CPU: `python scripts/embedded/train.py all --out build/embedded`.

Three steps, each runnable alone: `tokenizer` (seconds), `drafter` (minutes) and `target` (about an hour on two cores).
A run writes a checkpoint every few hundred steps and goes on from it when started again.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn import functional as F
from transformers import AttentionInterface, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from packing import Packer, Row, collate
from parse_engine.bench import tiny
from tokenizer import build
from wordings import drafter_lines, target_lines

ROOT = Path(__file__).resolve().parents[2]
JUDGE = json.loads((ROOT / "src/parse_engine/prefix/judge_prompts.json").read_text())["v1"]

SHAPES = {
    "target": {"num_hidden_layers": 16, "hidden_size": 128, "intermediate_size": 256},
    "drafter": {"num_hidden_layers": 2, "hidden_size": 128, "intermediate_size": 256},
}


def bf16_attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
    """Attention written out. In bf16 on a CPU its backward is three times faster than the fused kernel's."""
    scores = query @ key.transpose(-1, -2) * scaling + attention_mask
    return (scores.softmax(-1) @ value).transpose(1, 2).contiguous(), None


def new_model(role: str, vocabulary: int, eos: int, pad: int) -> LlamaForCausalLM:
    AttentionInterface.register("bf16_attention", bf16_attention)
    config = LlamaConfig(
        vocab_size=vocabulary,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.04,
        bos_token_id=None,
        eos_token_id=eos,
        pad_token_id=pad,
        attn_implementation="bf16_attention",
        **SHAPES[role],
    )
    return LlamaForCausalLM(config)


# Tokens after which the target moves on: from short answers to full ones, and from answers alone to judged drafts.
SHORT_UNTIL, ANSWERS_UNTIL = 2.4e6, 4e6


def target_rows(packer: Packer, seen: int, seed: int) -> Iterator[Row]:
    """Answers first and short; then full-length answers and judged drafts."""
    short = tiny.problems("train", seed, max_steps=4)
    full = tiny.problems("train", seed + 1)
    while True:
        problem = next(short if seen < SHORT_UNTIL else full)
        if seen < ANSWERS_UNTIL or packer.rng.random() < 0.35:
            yield packer.answer_row(problem, target_lines(problem))
        else:
            yield packer.judged_row(problem, packer.draft(problem), prefixes=6)


def drafter_rows(packer: Packer, seen: int, seed: int) -> Iterator[Row]:
    for problem in tiny.problems("train", seed):
        yield packer.answer_row(problem, drafter_lines(problem))


ROWS = {"target": target_rows, "drafter": drafter_rows}


def optimizers(model, muon_lr: float, adam_lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=muon_lr, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(progress: float, warmup: float = 0.02, decay: float = 0.4) -> float:
    """Trapezoid: up, flat, and linearly down to zero over the last `decay` of the run."""
    return min(1.0, progress / warmup, (1 - progress) / decay)


def train(role: str, out: Path, tokens: float, batch_tokens: int, seed: int, log_every: int = 25) -> None:
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(out / "tokenizer")
    model = new_model(role, len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id)
    opts = optimizers(model, 0.02, 3e-3)
    bases = [group["lr"] for opt in opts for group in opt.param_groups]
    step, seen, running = 0, 0, {}
    checkpoint = out / f"{role}.checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        for opt, saved in zip(opts, state["optimizers"], strict=True):
            opt.load_state_dict(saved)
        step, seen = state["step"], state["seen"]
    began, began_seen = time.perf_counter(), seen
    while seen < tokens:
        progress = seen / tokens
        packer = Packer(tokenizer, JUDGE, random.Random(f"{seed}-{step}"))
        stream = ROWS[role](packer, seen, seed * 1_000_003 + 2 * step)
        rows: list[Row] = []
        size = 0
        while size < batch_tokens:
            rows.append(next(stream))
            size += len(rows[-1].tokens)
        loss = 0.0
        weight_sum = sum(weight for row in rows for *_, weight in row.tasks)
        for part in _parts(rows):
            batch = collate(part)
            with torch.autocast("cpu", torch.bfloat16):
                hidden = model.model(
                    input_ids=batch.tokens, attention_mask=batch.mask, position_ids=batch.positions, use_cache=False
                ).last_hidden_state
                logits = model.lm_head(hidden.flatten(0, 1)[batch.rows])
            each = F.cross_entropy(logits.float(), batch.labels, reduction="none") * batch.weights
            part_loss = each.sum() / weight_sum
            part_loss.backward()
            loss += part_loss.item()
            verdict = batch.weights == 2.0
            if verdict.any():
                right = (logits[verdict].argmax(-1) == batch.labels[verdict]).float().mean().item()
                running["verdict"] = 0.95 * running.get("verdict", right) + 0.05 * right
            own = batch.weights == 1.0
            if own.any():
                right = (logits[own].argmax(-1) == batch.labels[own]).float().mean().item()
                running["answer"] = 0.95 * running.get("answer", right) + 0.05 * right
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scale = rate(progress)
        for opt, base in zip(opts, bases, strict=True):
            for group in opt.param_groups:
                group["lr"] = base * scale
            opt.step()
            opt.zero_grad(set_to_none=True)
        step, seen = step + 1, seen + size
        running["loss"] = 0.95 * running.get("loss", loss) + 0.05 * loss
        if step % log_every == 0:
            speed = (seen - began_seen) / (time.perf_counter() - began)
            figures = "  ".join(f"{k} {v:.4f}" for k, v in sorted(running.items()))
            print(
                f"{role} step {step}  {seen / 1e6:.2f}M of {tokens / 1e6:.1f}M  {figures}  {speed:.0f} tok/s",
                flush=True,
            )
        if step % 100 == 0:
            state = {
                "model": model.state_dict(),
                "optimizers": [o.state_dict() for o in opts],
                "step": step,
                "seen": seen,
            }
            torch.save(state, checkpoint.with_suffix(".tmp"))
            checkpoint.with_suffix(".tmp").replace(checkpoint)
    model.config._attn_implementation = "sdpa"
    model.save_pretrained(out / role)
    tokenizer.save_pretrained(out / role)


def _parts(rows: list[Row], parts: int = 4) -> list[list[Row]]:
    """Rows of like length together: less padding, and attention is quadratic in the longest."""
    ordered = sorted(rows, key=lambda row: len(row.tokens))
    size = -(-len(ordered) // parts)
    return [ordered[at : at + size] for at in range(0, len(ordered), size)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tokenizer", "drafter", "target", "all"])
    parser.add_argument("--out", type=Path, default=ROOT / "build/embedded")
    parser.add_argument("--target-tokens", type=float, default=20e6)
    parser.add_argument("--drafter-tokens", type=float, default=6e6)
    parser.add_argument("--batch-tokens", type=int, default=6144)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.what in ("tokenizer", "all"):
        build([JUDGE["full"], JUDGE["prefix"]], args.out / "tokenizer")
    if args.what in ("drafter", "all"):
        train("drafter", args.out, args.drafter_tokens, args.batch_tokens, args.seed)
    if args.what in ("target", "all"):
        train("target", args.out, args.target_tokens, args.batch_tokens, args.seed)


if __name__ == "__main__":
    main()

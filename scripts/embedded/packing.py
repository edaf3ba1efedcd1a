"""Training rows as trees of segments: one sequence holds a question, an answer, a draft and its judged prefixes.

A segment sees its parent's tokens up to a cut, the parent's own ancestors, and itself: the same visibility as the
packed pass (`parse_engine.prefix.layout`), with more than one level.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import torch

from parse_engine.bench.tiny import Problem
from wordings import Draft, flawed_draft, right_draft, target_lines

VERDICT_WEIGHT = 5.0


@dataclass
class Row:
    """A packed training row under construction. `tasks` are (row that predicts, token, weight)."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ancestors: list[tuple[int, int, int]] = field(default_factory=list)  # (start, end, parent's last row or -1)
    tasks: list[tuple[int, int, float]] = field(default_factory=list)
    flags: list[tuple[int, bool, bool]] = field(default_factory=list)  # (row, its line is wrong, a line so far is)

    def add(self, tokens: list[int], after: int = -1) -> int:
        """Append a segment that continues row `after`; returns the index of its first token."""
        start = len(self.tokens)
        position = self.positions[after] + 1 if after >= 0 else 0
        self.tokens += tokens
        self.positions += range(position, position + len(tokens))
        self.ancestors.append((start, len(self.tokens), after))
        return start

    def teach(self, tokens: list[int], start: int, after: int, weight: float = 1.0) -> None:
        """Every token of the segment at `start` is to be predicted; the first one by row `after`."""
        for offset, token in enumerate(tokens):
            self.tasks.append((after if offset == 0 else start + offset - 1, token, weight))

    def visible(self) -> np.ndarray:
        """[T, T] bool: row q sees key k."""
        size = len(self.tokens)
        mask = np.zeros((size, size), dtype=bool)
        for start, end, after in self.ancestors:
            if after >= 0:
                mask[start:end] = mask[after]
            mask[start:end, start:end] = np.tri(end - start, dtype=bool)
        return mask


class Packer:
    """Builds training rows for the target and for the drafter."""

    def __init__(self, tokenizer, judge: dict, rng: random.Random):
        self.rng = rng
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
        self.end = tokenizer.eos_token_id
        ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("user", "assistant")}
        self.user, self.assistant = ids["user"], ids["assistant"]
        self.suffix = {
            kind: [self.end, self.user, *self.encode(judge[kind]), self.end, self.assistant]
            for kind in ("full", "prefix")
        }
        self.label = {True: self.encode("Correct"), False: self.encode("Incorrect")}
        assert all(len(ids) == 1 for ids in self.label.values())
        self._digits = {i for i in range(len(tokenizer)) if tokenizer.decode([i]).strip().isdigit()}

    def prompt(self, row: Row, problem: Problem) -> int:
        row.add([self.user, *self.encode(problem.question), self.end, self.assistant])
        return len(row.tokens) - 1

    def answer(self, row: Row, lines: list[str], after: int) -> None:
        tokens = [*self.encode("".join(lines)), self.end]
        row.teach(tokens, row.add(tokens, after), after)

    def answer_row(self, problem: Problem, lines: list[str]) -> Row:
        """Question and answer, all of the answer to be learned."""
        row = Row()
        self.answer(row, lines, self.prompt(row, problem))
        return row

    def judged_row(self, problem: Problem, draft: Draft, prefixes: int) -> Row:
        """Question, a draft in the drafter's words, `prefixes` verdicts, and at times the target's continuation."""
        row = Row()
        base = self.prompt(row, problem)
        ends, tokens = [], []
        for index, line in enumerate(draft.lines):
            piece = self.encode(line)
            if (
                index < draft.first_wrong
            ):  # the digits of the right lines: dense practice in reading the drafter's words
                at = base + len(tokens)
                row.tasks += [(at + k, t, 0.5) for k, t in enumerate(piece) if t in self._digits]
            tokens += piece
            ends.append(len(tokens))
            wrong = (index == draft.first_wrong, index >= draft.first_wrong)
            row.flags += [(base + len(tokens) - back, *wrong) for back in (0, 1)]
        row.add(tokens, base)
        cuts = range(1, len(draft.lines))
        # Half of the judged prefixes lie around the first mistake, where the verdict is hard.
        near = [c for c in cuts if abs(c - draft.first_wrong - 0.5) < 1]
        chosen = {
            self.rng.choice(near) if near and self.rng.random() < 0.5 else self.rng.choice(cuts)
            for _ in range(prefixes - 1)
        }
        for cut in sorted(chosen):
            self._verdict(row, "prefix", base + ends[cut - 1], draft.prefix_is_right(cut))
        self._verdict(row, "full", base + ends[-1], draft.is_right)
        kept = self.rng.randint(1, min(draft.first_wrong, len(problem.events) + 1)) if draft.first_wrong else 0
        if kept and self.rng.random() < 0.5:
            self.answer(row, target_lines(problem)[kept:], base + ends[kept - 1])
        return row

    def _verdict(self, row: Row, kind: str, after: int, right: bool) -> None:
        suffix = self.suffix[kind]
        last = row.add(suffix, after) + len(suffix) - 1
        row.teach(self.label[right], len(row.tokens), last, VERDICT_WEIGHT)

    def draft(self, problem: Problem) -> Draft:
        return flawed_draft(problem, self.rng) if self.rng.random() < 0.6 else right_draft(problem)


@dataclass(frozen=True)
class Batch:
    """tokens, positions [B, T]; mask [B, 1, T, T] additive bf16; rows [K] into B*T; labels [K]; weights [K].

    flag_rows [F] into B*T are line ends of drafts; flags [F, 2]: that line is wrong, a line up to it is.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    rows: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    flag_rows: torch.Tensor
    flags: torch.Tensor


def collate(rows: list[Row]) -> Batch:
    """Pad to the longest row; padding sees only itself."""
    size = max(len(row.tokens) for row in rows)
    tokens = torch.zeros(len(rows), size, dtype=torch.long)
    positions = torch.zeros(len(rows), size, dtype=torch.long)
    visible = np.zeros((len(rows), size, size), dtype=bool)
    visible[:, np.arange(size), np.arange(size)] = True
    tasks: list[tuple[int, int, float]] = []
    flags: list[tuple[int, bool, bool]] = []
    for index, row in enumerate(rows):
        length = len(row.tokens)
        tokens[index, :length] = torch.tensor(row.tokens)
        positions[index, :length] = torch.tensor(row.positions)
        visible[index, :length, :length] = row.visible()
        tasks += [(index * size + at, token, weight) for at, token, weight in row.tasks]
        flags += [(index * size + at, *wrong) for at, *wrong in row.flags]
    mask = torch.zeros(len(rows), 1, size, size, dtype=torch.bfloat16)
    mask.masked_fill_(~torch.from_numpy(visible)[:, None], float("-inf"))
    at, labels, weights = zip(*tasks, strict=True)
    flag_rows = torch.tensor([row for row, *_ in flags], dtype=torch.long)
    wrong = torch.tensor([pair for _, *pair in flags], dtype=torch.float32).view(-1, 2)
    return Batch(
        tokens, positions, mask, torch.tensor(at), torch.tensor(labels), torch.tensor(weights), flag_rows, wrong
    )

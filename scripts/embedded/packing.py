"""Training rows as trees of segments: one sequence holds a question, an answer, a draft and its judged prefixes.

A segment sees its parent's tokens up to a cut, the parent's own ancestors, and itself: the same visibility as the
packed pass (`parse_engine.prefix.layout`), with more than one level.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from parse_engine.bench.tasks.tiny import MONTHS, Problem
from wordings import TARGET, Draft, Wording, draft_with_mistakes, lines_of, solution, taking_turns

VERDICT_WEIGHT = 5.0


@dataclass
class Row:
    """A packed training row under construction. `tasks` are (row that predicts, token, weight)."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ancestors: list[tuple[int, int, int]] = field(default_factory=list)  # (start, end, parent's last row or -1)
    tasks: list[tuple[int, int, float]] = field(default_factory=list)
    flags: list[tuple[int, bool]] = field(default_factory=list)  # (row of a telling token, a mistake begins there)

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
        self.encode = lambda text: tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        self.end = tokenizer.eos_token_id
        ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("user", "assistant")}
        self.user, self.assistant = ids["user"], ids["assistant"]
        self.suffix = {
            kind: [self.end, self.user, *self.encode(judge[kind]), self.end, self.assistant]
            for kind in ("full", "prefix")
        }
        self.label = {True: self.encode("Correct"), False: self.encode("Incorrect")}
        assert all(len(ids) == 1 for ids in self.label.values())
        words = {*MONTHS, "brings", "takes", "turns", "cuts", "up", "down", "doubled", "halved"}
        texts = {token: tokenizer.decode([token]).strip() for token in range(len(tokenizer))}
        self._telling = {token for token, text in texts.items() if text.isdigit() or text in words}

    def prompt(self, row: Row, problem: Problem) -> int:
        row.add([self.user, *self.encode(problem.question), self.end, self.assistant])
        return len(row.tokens) - 1

    def answer(self, row: Row, problem: Problem, writers: Sequence[Wording], own: Wording, after: int) -> None:
        """An answer behind row `after`, whose last lines `writers` write; what is in the `own` words is learned."""
        for line, words in zip(solution(problem, writers), writers, strict=True):
            tokens = self.encode(line)
            start = row.add(tokens, after)
            if words is own:
                row.teach(tokens, start, after)
            after = len(row.tokens) - 1
        if writers[-1] is own:
            row.teach([self.end], len(row.tokens), after)

    def answer_row(self, problem: Problem, own: Wording) -> Row:
        """Question and answer: all in one's own words, or in turns with the other, whose lines are not learned."""
        row = Row()
        count = len(problem.events) + 2
        writers = [own] * count if self.rng.random() < 0.5 else taking_turns(count, self.rng)
        self.answer(row, problem, writers if own in writers else [own] * count, own, self.prompt(row, problem))
        return row

    def judged_row(self, problem: Problem, draft: Draft | None = None) -> Row:
        """A question and a draft of it, made up unless given: probed lines, verdicts, at times a continuation."""
        row = Row()
        self._judged(row, self.prompt(row, problem), problem, draft or self.made_up(problem))
        return row

    def made_up(self, problem: Problem) -> Draft:
        """A draft with more or fewer mistakes, some lines of it at times mended by the target."""
        share, mended = self.rng.choice((0.0, 0.1, 0.2, 0.35)), self.rng.choice((0.0, 0.0, 0.3))
        return draft_with_mistakes(problem, self.rng, share, mended=mended)

    def _judged(self, row: Row, prompt: int, problem: Problem, draft: Draft) -> None:
        pieces = [self.encode(line) for line in draft.lines]
        start = row.add([token for piece in pieces for token in piece], prompt)
        ends = [start + sum(map(len, pieces[: count + 1])) - 1 for count in range(len(pieces))]
        for index, (piece, end) in enumerate(zip(pieces, ends, strict=True)):
            first = end - len(piece) + 1
            right = self.encode(draft.expected[index])
            same = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(piece, right, strict=False)))
            # What carries the meaning is learned up to the mistake: practice in reading the drafter's words.
            for offset, token in enumerate(right[: same + 1]):
                if offset and token in self._telling:
                    row.tasks.append((first + offset - 1, token, 0.5))
            row.flags += [
                (first + offset, offset == same)
                for offset, token in enumerate(piece)
                if offset == same or token in self._telling
            ]
        # One prefix around the first mistake, where the verdict is hard, one anywhere, and the full answer.
        last = len(pieces) - 1
        for cut in {min(draft.first_wrong + self.rng.randint(0, 1), last), self.rng.randint(1, last)} - {0}:
            self._verdict(row, "prefix", ends[cut - 1], cut <= draft.first_wrong)
        if self.rng.random() < 0.5:
            self._verdict(row, "full", ends[-1], draft.first_wrong > last)
        if draft.first_wrong and self.rng.random() < 0.75:
            kept = self.rng.randint(1, min(draft.first_wrong, last))
            tokens = [*self.encode("".join(lines_of(problem, TARGET)[kept:])), self.end]
            row.teach(tokens, row.add(tokens, ends[kept - 1]), ends[kept - 1])

    def _verdict(self, row: Row, kind: str, after: int, right: bool) -> None:
        suffix = self.suffix[kind]
        last = row.add(suffix, after) + len(suffix) - 1
        row.teach(self.label[right], len(row.tokens), last, VERDICT_WEIGHT)


@dataclass(frozen=True)
class Batch:
    """tokens, positions [B, T]; mask [B, 1, T, T] additive; rows [K] into B*T; labels [K]; weights [K].

    flag_rows [F] into B*T are telling tokens of drafts; flags [F]: 1 where a mistake begins.
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
    flags: list[tuple[int, bool]] = []
    for index, row in enumerate(rows):
        length = len(row.tokens)
        tokens[index, :length] = torch.tensor(row.tokens)
        positions[index, :length] = torch.tensor(row.positions)
        visible[index, :length, :length] = row.visible()
        tasks += [(index * size + at, token, weight) for at, token, weight in row.tasks]
        flags += [(index * size + at, wrong) for at, wrong in row.flags]
    mask = torch.zeros(len(rows), 1, size, size)
    mask.masked_fill_(~torch.from_numpy(visible)[:, None], float("-inf"))
    at, labels, weights = zip(*tasks, strict=True)
    flag_rows = torch.tensor([row for row, _ in flags], dtype=torch.long)
    wrong = torch.tensor([wrong for _, wrong in flags], dtype=torch.float32)
    return Batch(
        tokens, positions, mask, torch.tensor(at), torch.tensor(labels), torch.tensor(weights), flag_rows, wrong
    )

"""What the models of the pair write, many answers at once, behind lines that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from parse_engine.bench.tasks.tiny import Problem

BATCH = 100
LONGEST_LINE, LONGEST_ANSWER = 32, 220  # tokens


class Author:
    """A model that goes on greedily. Its tokenizer pads on the left."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase):
        self._model, self._tokenizer = model, tokenizer

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a model folder, in float32."""
        tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        return cls(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer)

    def answers(self, problems: Sequence[Problem], begun: Sequence[str]) -> list[str]:
        """Each answer to its end; what was `begun` is part of it."""
        return [begin + text for begin, text in zip(begun, self._texts(problems, begun, LONGEST_ANSWER), strict=True)]

    def lines(self, problems: Sequence[Problem], begun: Sequence[str]) -> list[str]:
        """Each answer's next line, with its line break unless it is the last."""
        return [text.split("\n")[0] + "\n" * ("\n" in text) for text in self._texts(problems, begun, LONGEST_LINE)]

    @torch.inference_mode()
    def _texts(self, problems: Sequence[Problem], begun: Sequence[str], max_tokens: int) -> list[str]:
        texts = [""] * len(problems)
        prompts = [self._prompt(problem) + begin for problem, begin in zip(problems, begun, strict=True)]
        order = sorted(range(len(prompts)), key=lambda at: len(prompts[at]))  # of like length: less padding
        for start in range(0, len(order), BATCH):
            chosen = order[start : start + BATCH]
            inputs = self._tokenizer(
                [prompts[at] for at in chosen], add_special_tokens=False, padding=True, return_tensors="pt"
            )
            written = self._model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=max_tokens,
                do_sample=False,
            )
            for at, tokens in zip(chosen, written[:, inputs["input_ids"].shape[1] :], strict=True):
                texts[at] = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return texts

    def _prompt(self, problem: Problem) -> str:
        chat = [{"role": "user", "content": problem.question}]
        return str(self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))


def in_turns(problems: Sequence[Problem], authors: Sequence[Author]) -> list[str]:
    """Answers in which the authors take turns line by line."""
    texts = [""] * len(problems)
    going, turn = list(range(len(problems))), 0
    while going and turn < 12:
        lines = authors[turn % len(authors)].lines([problems[at] for at in going], [texts[at] for at in going])
        for at, line in zip(going, lines, strict=True):
            texts[at] += line
        going = [at for at, line in zip(going, lines, strict=True) if line.endswith("\n")]
        turn += 1
    return texts

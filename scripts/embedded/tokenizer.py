"""The tokenizer of the embedded pair: byte-level BPE; a word of the task is one token, a number is its digits."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from parse_engine.bench.tasks import tiny
from wordings import DRAFTER, TARGET, lines_of

SPECIAL = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
VOCABULARY = 1280
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# A digit takes the space before it, so that a number is as many tokens as it has digits.
PIECES = Regex(r" ?\d| ?\p{L}+| ?[^\s\p{L}\d]+|\s+")


def build(judge_questions: list[str], out: Path) -> PreTrainedTokenizerFast:
    """Train on problems, both wordings and the judge's questions; save to `out`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(PIECES, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    corpus = []
    for problem in itertools.islice(tiny.problems("train", seed=0), 4000):
        corpus += [problem.question, "".join(lines_of(problem, TARGET)), "".join(lines_of(problem, DRAFTER))]
    words = [*tiny.NAMES, *tiny.ITEMS, *tiny.MONTHS, "Correct", "Incorrect"]
    corpus += [*judge_questions, *words, *(" " + word for word in words)] * 50
    random.Random(0).shuffle(corpus)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<|pad|>",
        eos_token="<|end|>",
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(out)
    return fast

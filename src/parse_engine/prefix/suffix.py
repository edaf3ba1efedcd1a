"""The suffixes that turn a prefix into a question to the target, from the target's own chat template."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from parse_engine.errors import ConfigError, UnsupportedModelError, did_you_mean
from parse_engine.text import SENTINEL, Message

# For models without a chat template, and the one form in which a base model is asked.
PLAIN = "\n\nQuestion: {question}\nAnswer:"


@dataclass(frozen=True)
class JudgePrompt:
    """One version of the judge's wording: the two questions and the surface forms of the two labels."""

    version: str
    full: str
    prefix: str
    correct: tuple[str, ...]
    incorrect: tuple[str, ...]


@cache
def judge_prompt(version: str) -> JudgePrompt:
    """The wording of a version in judge_prompts.json.

    Raises:
        ConfigError: no such version.
    """
    known = json.loads(resources.files("parse_engine.prefix").joinpath("judge_prompts.json").read_text("utf-8"))
    if version not in known:
        raise ConfigError(
            f"no judge prompt '{version}'.{did_you_mean(version, known)} Known versions: {', '.join(known)}."
        )
    data = known[version]
    return JudgePrompt(version, data["full"], data["prefix"], tuple(data["correct"]), tuple(data["incorrect"]))


def suffix_text(render: Callable[[Sequence[Message]], str] | None, question: str) -> str:
    """What follows a prefix of the answer so that the target's next token is the verdict.

    The template renders a conversation whose answer is a sentinel and whose next turn is the question; what stands
    after the sentinel is the suffix. (Sentinel method; ours.)

    Args:
        render: renders messages with the generation prompt, thinking off; None for a model without a template.
        question: the judge's question.

    Raises:
        UnsupportedModelError: the template drops or repeats the answer.
    """
    if render is None:
        return PLAIN.format(question=question)
    text = render(
        [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": SENTINEL},
            {"role": "user", "content": question},
        ]
    )
    if text.count(SENTINEL) != 1:
        raise UnsupportedModelError(
            f"the target's chat template shows an earlier answer {text.count(SENTINEL)} times instead of once, so no "
            "suffix can be made from it. Give one yourself with --judge-suffix, or use --judge likelihood."
        )
    return text.partition(SENTINEL)[2]


def label_ids(encode: Callable[[str], list[int]], prompt: JudgePrompt) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The token ids that a verdict can begin with: those of Correct, and those of Incorrect.

    A surface form counts by its first token, so that a word that a tokenizer cuts in two is not lost on one side only;
    a token that begins forms of both labels counts for neither.

    Raises:
        UnsupportedModelError: no token is left for one of the labels.
    """
    right, wrong = (
        dict.fromkeys(tokens[0] for form in forms if (tokens := encode(form)))
        for forms in (prompt.correct, prompt.incorrect)
    )
    sides = tuple(i for i in right if i not in wrong), tuple(i for i in wrong if i not in right)
    for ids, forms in zip(sides, (prompt.correct, prompt.incorrect), strict=True):
        if not ids:
            raise UnsupportedModelError(
                f"the target's tokenizer has no token by which the label words {', '.join(map(repr, forms))} could be "
                "told from the other label's. Use --judge likelihood."
            )
    return sides

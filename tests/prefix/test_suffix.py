"""Suffixes from the real chat templates of the models people use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from parse_engine.errors import ConfigError, UnsupportedModelError
from parse_engine.prefix.suffix import PLAIN, JudgePrompt, judge_prompt, label_ids, suffix_text
from parse_engine.text import Codec, Message
from tests.conftest import byte_tokenizer

TEMPLATES = Path(__file__).parent.parent / "fixtures" / "templates"
QUESTION = "Right so far?"
EXPECTED = {
    "qwen2.5": "<|im_end|>\n<|im_start|>user\nRight so far?<|im_end|>\n<|im_start|>assistant\n",
    "qwen3": "<|im_end|>\n<|im_start|>user\nRight so far?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "llama3": "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nRight so far?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "gemma3": "<end_of_turn>\n<start_of_turn>user\nRight so far?<end_of_turn>\n<start_of_turn>model\n",
    "smollm2": "<|im_end|>\n<|im_start|>user\nRight so far?<|im_end|>\n<|im_start|>assistant\n",
}


def codec_of(name: str) -> Codec:
    tokenizer = byte_tokenizer(template=(TEMPLATES / f"{name}.jinja").read_text("utf-8"))
    tokenizer.bos_token = "<bos>"
    return Codec(tokenizer)


def render_of(name: str) -> Callable[[list[Message]], str]:
    codec = codec_of(name)
    return lambda messages: codec.render(messages, thinking=False)


@pytest.mark.parametrize("name", EXPECTED)
def test_suffix_of_the_real_templates(name: str) -> None:
    assert suffix_text(render_of(name), QUESTION) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_prompt_answer_and_suffix_are_one_conversation(name: str) -> None:
    """What the target sees at a boundary is what its template makes of the same conversation (thinking off)."""
    render = render_of(name)
    opening = [{"role": "user", "content": "How many?"}]
    whole = render([*opening, {"role": "assistant", "content": "Three."}, {"role": "user", "content": QUESTION}])
    prompt = render(opening)
    if name == "qwen3":  # its template drops the empty thought of earlier turns
        prompt = prompt.removesuffix("<think>\n\n</think>\n\n")
    assert prompt + "Three." + suffix_text(render, QUESTION) == whole


def test_thinking_on_opens_the_prompt_but_never_the_verdict() -> None:
    codec = codec_of("qwen3")
    prompt = codec.render([{"role": "user", "content": "How many?"}], thinking=True)
    assert prompt.endswith("<|im_start|>assistant\n")
    assert codec.render([{"role": "user", "content": "How many?"}], thinking=False).endswith("</think>\n\n")


def test_a_base_model_gets_the_plain_suffix() -> None:
    assert suffix_text(None, QUESTION) == PLAIN.format(question=QUESTION)


@pytest.mark.parametrize("template", ["{{ messages[-1]['content'] }}", "{{ messages[1]['content'] * 2 }}"])
def test_templates_that_drop_or_repeat_the_answer_are_refused(template: str) -> None:
    codec = Codec(byte_tokenizer(template=template))
    with pytest.raises(UnsupportedModelError, match="--judge-suffix"):
        suffix_text(codec.render, QUESTION)


def labels(correct: tuple[str, ...], incorrect: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    codec = Codec(byte_tokenizer())
    return label_ids(codec.encode, JudgePrompt("test", "?", "?", correct, incorrect))


def test_a_word_in_two_tokens_counts_by_its_first() -> None:
    """SmolLM2 cuts Incorrect and not Correct: counting whole words alone, every draft was found correct."""
    codec = Codec(byte_tokenizer())
    assert len(codec.encode("incorrect")) > 1
    assert labels(("Correct",), ("incorrect",)) == ((codec.encode("Correct")[0],), (codec.encode("i")[0],))


def test_labels_that_begin_alike_are_refused() -> None:
    assert len(labels(("no", "yes"), ("nope", "wrong"))[0]) == 1
    with pytest.raises(UnsupportedModelError, match="no token by which"):
        labels(("no",), ("nope",))


def test_unknown_wording_names_the_known_ones() -> None:
    assert judge_prompt("v1").correct[0] == "Correct"
    with pytest.raises(ConfigError, match="v1"):
        judge_prompt("v11")

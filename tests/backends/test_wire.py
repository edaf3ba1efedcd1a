"""What is asked of a server, and what its replies say, in dialects that know less."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from parse_engine.backends.wire import Dialect, Wire, sent_stops
from parse_engine.config import SamplingParams
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer

BY_TEXT = Dialect(id_keys=False, chosen=False, extras=False)


def metaspace() -> PreTrainedTokenizerFast:
    """Whole words with the space before them, as Llama 2's tokenizer has the labels."""
    tokenizer = Tokenizer(models.WordLevel({"▁Correct": 0, "▁Incorrect": 1, "▁x": 2}, unk_token="▁x"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")


def wire(tokenizer: PreTrainedTokenizerFast, dialect: Dialect) -> Wire:
    return Wire("m", Codec(tokenizer), frozenset([tokenizer.eos_token_id]), dialect)


@pytest.mark.parametrize("write", [" {}", "{}", "▁{}"])
@pytest.mark.parametrize(("tokenizer", "word"), [(metaspace(), "▁{}"), (byte_tokenizer(), "{}")])
def test_label_texts_count_with_and_without_their_space(
    write: str, tokenizer: PreTrainedTokenizerFast, word: str
) -> None:
    """A server that told " Correct" was not understood where the tokenizer decodes the token as "Correct"."""
    if word == "{}":  # byte-level
        write = write.replace("▁", " ")
    labels = [tokenizer.convert_tokens_to_ids([word.format(label)]) for label in ("Correct", "Incorrect")]
    top = {write.format("Correct"): math.log(0.9), write.format("Incorrect"): math.log(0.1), "x": math.log(0.01)}
    masses = wire(tokenizer, BY_TEXT).masses({"logprobs": {"top_logprobs": [top]}}, labels)
    assert masses == pytest.approx((0.9, 0.1))


def test_no_token_counts_twice() -> None:
    tokenizer = byte_tokenizer(labels=("Correct", " Correct", "Incorrect"))
    labels = [tokenizer.convert_tokens_to_ids(side) for side in (["Correct", " Correct"], ["Incorrect"])]
    own = wire(tokenizer, BY_TEXT)
    for top, right in (({"Correct": 0.5, " Correct": 0.25}, 0.75), ({"Correct": 0.5}, 0.5), ({" Correct": 0.5}, 0.5)):
        choice = {"logprobs": {"top_logprobs": [{key: math.log(p) for key, p in top.items()}]}}
        assert own.masses(choice, labels) == pytest.approx((right, 0.0))


def test_a_stop_text_that_is_a_special_token_goes_to_the_server_as_an_id() -> None:
    tokenizer = byte_tokenizer()
    end, user = tokenizer.convert_tokens_to_ids(["<|end|>", "<|user|>"])
    params = SamplingParams(stop=("<|user|>", "\n"))
    for dialect, stops in ((Dialect(), {end, user}), (replace(Dialect(), ids_out=False), {end, user})):
        own = wire(tokenizer, dialect)
        assert set(own.decoding([5], params, 8)["stop_token_ids"]) == stops
        assert own.unheard(params.stop) == []


def test_stop_texts_that_a_server_of_texts_cannot_hear() -> None:
    own = wire(byte_tokenizer(), replace(BY_TEXT, ids_out=False))
    assert own.unheard(("<|end|>", "END", "x<|user|>", "<|system|>")) == ["x<|user|>", "<|system|>"]
    own = wire(byte_tokenizer(), Dialect(ids_out=False))
    assert own.unheard(("<|end|>", "END", "x<|user|>", "<|system|>")) == ["x<|user|>"]


def test_a_server_of_texts_is_asked_for_the_marks_of_thoughts() -> None:
    """It left them out where they are special tokens, and the thought was part of the answer."""
    tokenizer = byte_tokenizer()
    texts = Dialect(ids_out=False)
    assert "skip_special_tokens" not in wire(tokenizer, texts).decoding([5], SamplingParams(), 8)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    assert wire(tokenizer, texts).decoding([5], SamplingParams(), 8)["skip_special_tokens"] is False
    for other in (Dialect(), replace(texts, extras=False)):
        assert "skip_special_tokens" not in wire(tokenizer, other).decoding([5], SamplingParams(), 8)


EVALPLUS = (
    "<|endoftext|>",
    "<|endofmask|>",
    "</s>",
    "\nif __name__",
    "\ndef main(",
    "\nprint(",
    "\nassert ",
)


@pytest.mark.parametrize(
    ("stops", "sent"),
    [
        ((), []),
        (("b", "a"), ["b", "a"]),
        (("ab", "b", "abc", "c"), ["ab", "b", "abc", "c"]),
        (("a", "b", "c", "d", "e"), ["a", "b", "c", "d"]),
        (("a", "b", "a", "c", "a", "d"), ["a", "b", "c", "d"]),
        (("a", "xa", "b", "c", "d", "e"), ["xa", "b", "c", "d"]),
        (("ab", "bc", "1", "2", "3", "4"), ["ab", "1", "2", "3"]),
        (("a", "ab", "abc", "abcd", "abcde"), ["a", "ab", "abc", "abcd"]),
        (("abcd", "bc", "1", "2", "3"), ["1", "2", "3"]),
        (EVALPLUS, list(EVALPLUS[:4])),
    ],
)
def test_the_stop_texts_that_a_server_is_told(stops: tuple[str, ...], sent: list[str]) -> None:
    assert sent_stops(stops) == sent


def test_the_stop_texts_that_are_told_change_no_answer() -> None:
    """Against a server that leaves out what it stops at, and a reader that looks for all, character by character."""

    def cut(text: str, stops: list[str]) -> str:
        for end in range(1, len(text) + 1):
            starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
            if starts:
                return text[: min(starts)]
        return text

    draw = random.Random(1)
    for _ in range(5000):
        stops = ["".join(draw.choices("abc", k=draw.randint(1, 4))) for _ in range(draw.randint(5, 7))]
        text = "".join(draw.choices("abc", k=20))
        assert cut(cut(text, sent_stops(stops)), stops) == cut(text, stops), (text, stops)

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from parse_engine.prefix.draft import Draft
from parse_engine.text import Codec, Writer
from tests.conftest import byte_tokenizer


def metaspace_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, each with the space before it, as tokenizers of Llama's kind write them."""
    words = ("one", "two", "three", "four")
    tokenizer = Tokenizer(models.WordLevel({f"▁{word}": index for index, word in enumerate(words)}, unk_token="▁one"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


def write(codec: Codec, text: str, stops: list[str]) -> Writer:
    writer = Writer(codec, stops)
    for token in codec.encode(text):
        if not writer.stopped:
            before = writer.stable
            writer.push(token)
            assert writer.stable.startswith(before)
    return writer


def test_offsets_mark_whole_characters_only(codec: Codec) -> None:
    tokens = codec.encode("aé😀b")
    text, ends = codec.read(tokens)
    assert text == "aé😀b"
    assert ends == [1, None, 2, None, None, None, 3, 4]


def test_special_tokens_have_no_text(codec: Codec) -> None:
    assert codec.decode(codec.encode("a<|end|>b")) == "ab"


def test_a_raw_text_is_continued_with_its_space() -> None:
    """Such tokenizers drop the space before the first token they decode: the answer ran into the prompt's last word."""
    codec = Codec(metaspace_tokenizer())
    context, answer = codec.encode("one two"), codec.encode("three four")
    writer = Writer(codec, (), after=context)
    ends = []
    for token in answer:
        writer.push(token)
        ends.append(len(writer.text))
    assert writer.text == " three four"
    assert codec.read(answer, context) == (writer.text, ends)
    draft = Draft.of(answer, codec, complete=True, max_tokens=9, after=context)
    assert (draft.text, list(draft.ends)) == (writer.text, ends)
    assert codec.decode(answer) == "three four"


def test_same_tokens(codec: Codec) -> None:
    assert codec.same_tokens_as(Codec(byte_tokenizer()))
    assert not codec.same_tokens_as(Codec(byte_tokenizer(merged=("the",))))


@pytest.mark.parametrize(
    ("stops", "text", "stopped"),
    [
        ([], "one END two", False),
        (["END"], "one ", True),
        (["END", "ne"], "o", True),
        (["ENDS"], "one END two", False),
        (["two"], "one END ", True),
        (["one"], "", True),
    ],
)
def test_stop_strings_end_the_text_exactly(codec: Codec, stops: list[str], text: str, stopped: bool) -> None:
    writer = write(codec, "one END two", stops)
    assert (writer.text, writer.stopped) == (text, stopped)


def test_stable_text_is_never_taken_back(codec: Codec) -> None:
    """A stop string that begins in text already written must still be able to cut it."""
    writer = write(codec, "xxEN", ["END"])
    assert writer.stable == "xx"
    writer.push(codec.encode("D")[0])
    assert (writer.text, writer.stable) == ("xx", "xx")

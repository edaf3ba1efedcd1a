"""Any tokens in any order become text."""

from __future__ import annotations

import random
import re

import pytest
from transformers import PreTrainedTokenizerFast

from parse_engine import Engine
from parse_engine.text import Codec, Writer
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel
from tests.test_text import KINDS, metaspace_tokenizer, sentencepiece_tokenizer

TOKENIZERS = {
    "bytes": byte_tokenizer(merged=("the", "é")),
    "metaspace": metaspace_tokenizer(),
    **{kind: sentencepiece_tokenizer(kind) for kind in KINDS},
}


def ids(tokenizer: PreTrainedTokenizerFast, *tokens: str) -> list[int]:
    return [tokenizer.convert_tokens_to_ids(token) for token in tokens]


def with_unreadable(text: str) -> re.Pattern[str]:
    """The same text, any of whose characters may have become U+FFFD for each of its bytes."""
    characters = (f"(?:{re.escape(one)}|\ufffd{{{len(one.encode())}}})" for one in text)
    return re.compile("".join(characters) + "\ufffd*")


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (("<0xC3>", "<0xA9>", "<0xC3>", "o"), "é\ufffdo"),
        (("<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<0xF0>", "<0x9F>", "▁one"), "😀\ufffd\ufffd one"),
        (("<0x09>", "<0xA9>", "o"), "\t\ufffdo"),
        (("<0xC3>", "<0xC3>", "<0xA9>", "o"), "\ufffd\ufffd\ufffdo"),
        (("o", "<0xC3>", "▁▁", "n"), "o\ufffd  n"),
        (("o", "<0xC3>"), "o"),
    ],
)
def test_a_broken_character_leaves_the_others_alone(tokens: tuple[str, ...], text: str) -> None:
    """`DecodeStream` raised "Invalid prefix encountered": a stray byte changes how the character before it is read."""
    tokenizer = TOKENIZERS["never"]
    assert Codec(tokenizer).read(ids(tokenizer, *tokens))[0] == text


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_random_tokens_become_the_text_that_the_whole_decoder_gives(kind: str) -> None:
    """But for characters that were given out before a later byte made them unreadable."""
    codec = Codec(TOKENIZERS[kind])
    wanted = ["<0xC3>", "<0xA9>", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "▁one", "▁", "Ã", "©", "é", "<|end|>"]
    likely = [id for token in wanted if (id := codec.backend.token_to_id(token)) is not None]
    for seed in range(400):
        draw = random.Random(seed)
        tokens = [draw.choice(likely) if draw.random() < 0.7 else draw.randrange(codec.size) for _ in range(seed % 14)]
        context = [draw.choice(likely) for _ in range(seed % 3)]
        for after in ((), context):
            writer = Writer(codec, ["\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd"], after)
            for token in tokens:
                before = writer.stable
                writer.push(token)
                assert writer.stable.startswith(before)
            text, ends = codec.read(tokens, after)
            assert text.startswith(writer.text)
            assert [end for end in ends if end is not None] == sorted({end for end in ends if end is not None})
        assert with_unreadable(codec.read(tokens)[0]).fullmatch(codec.backend.decode(tokens))


def test_ids_that_no_token_has_are_no_text() -> None:
    codec = Codec(byte_tokenizer())
    one = codec.encode("o")
    assert codec.decode([*one, -1, 2**40, 10**6, *one]) == "oo"


def test_an_unreadable_end_of_the_prompt_is_no_part_of_the_answer() -> None:
    codec = Codec(byte_tokenizer())
    assert codec.read(codec.encode("one"), codec.encode("two \ufffd"))[0] == "one"


class Broken(ScriptedModel):
    """Writes these tokens."""

    def __init__(self, codec: Codec, tokens: list[int]) -> None:
        super().__init__(codec, "")
        self.answer = tokens

    def _script(self, tokens: object) -> list[int]:
        return [*self.answer, *self.eos]


@pytest.mark.parametrize("method", ["parse", "target", "draft"])
def test_an_answer_goes_on_behind_a_broken_character(method: str) -> None:
    tokenizer = sentencepiece_tokenizer("never")
    tokenizer.chat_template = None
    codec = Codec(tokenizer)
    codec.backend.add_tokens(["Correct", "Incorrect"])
    tokens = [*ids(tokenizer, "<0xC3>", "<0xA9>", "<0xC3>"), *codec.encode("one")]
    with Engine(Broken(codec, tokens), Broken(codec, tokens), {"judge": "likelihood"}) as engine:
        answer = engine.generate("one", raw=True, method=method)  # type: ignore[call-overload]
    assert answer.text == "é\ufffdone"
    assert answer.trace.draft_text == ("" if method == "target" else "é\ufffdone")

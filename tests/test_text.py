from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from parse_engine import Engine, ParseConfig, SamplingParams
from parse_engine.prefix.draft import Draft
from parse_engine.text import Codec, Writer
from tests.conftest import ascii_tokenizer, byte_tokenizer
from tests.scripted import ScriptedModel


def metaspace_tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, each with the space before it, as tokenizers of Llama's kind write them."""
    words = ("one", "two", "three", "four")
    tokenizer = Tokenizer(models.WordLevel({f"▁{word}": index for index, word in enumerate(words)}, unk_token="▁one"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


WORDS = ("▁one", "▁two", "▁three", "▁four", "es", "▁▁")


def sentencepiece_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """As SentencePiece's are written for transformers: a space before the text, which decoding takes off; bytes for
    what has no token. `kind` is how the space comes: legacy (Llama 2), or Metaspace's always, first or never."""
    vocab = {token: index for index, token in enumerate(["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))])}
    merges = []
    for piece in sorted({*"".join(WORDS)}) + [word[:end] for word in WORDS for end in range(2, len(word) + 1)]:
        if piece not in vocab:
            vocab[piece] = len(vocab)
            merges += [(piece[:-1], piece[-1])] if len(piece) > 1 else []
    tokenizer = Tokenizer(models.BPE(vocab, merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    if kind == "legacy":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=kind, split=kind != "first")
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence([*parts, *([] if kind == "never" else [decoders.Strip(" ", 1, 0)])])
    tokenizer.add_special_tokens(["<|end|>"])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<|end|>")


KINDS = ("legacy", "always", "first", "never")


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


def test_a_text_that_is_too_long_is_told_by_us_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A warning of the tokenizer's library stood before our error."""
    tokenizer = byte_tokenizer()
    tokenizer.model_max_length = 4
    monitored = logging.getLogger("transformers")
    monitored.propagate, before = True, monitored.propagate
    try:
        assert len(Codec(tokenizer).encode("longer than four", special=True)) > 4
    finally:
        monitored.propagate = before
    assert not caplog.records


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prompt", ["one two", "one two ", "one tw", "x\n", "é", " one", "one<|end|>", "one two\n\n"])
def test_an_answer_encoded_behind_a_text_is_that_answer(kind: str, prompt: str) -> None:
    """Where a stop text had cut a draft it was encoded as if it began a text: "one twoes" became "one two es"."""
    codec = Codec(sentencepiece_tokenizer(kind))
    context = codec.encode(prompt, special=True)
    for text in (
        "es and",
        " three four",
        "three four",
        "  one",
        " ",
        "\nfour",
        "\n\n  one",
        "é",
        " 😀.",
        "...",
        "",
        "o",
    ):
        tokens = codec.encode_after(text, context)
        assert codec.read(tokens, context)[0] == text
        for end in range(len(text)):  # and so is all that a stop text may leave of it
            assert codec.read(codec.encode_after(text[:end], context), context)[0] == text[:end]


def test_an_answer_is_encoded_alone_where_that_is_right(codec: Codec) -> None:
    assert codec.encode_after(" one<|end|>", codec.encode("two")) == codec.encode(" one<|end|>", literal=True)


class Continuing(ScriptedModel):
    """Goes on behind a raw prompt with the tokens that its text has there."""

    def __init__(self, codec: Codec, prompt: str, answer: str) -> None:
        super().__init__(codec, "")
        self.start = len(codec.encode(prompt, special=True))
        self.answer = codec.encode(prompt + answer, special=True)[self.start :]

    def _script(self, tokens: Sequence[int]) -> list[int]:
        return [*self.answer[len(tokens) - self.start :], *self.eos]


@pytest.mark.parametrize(("target", "drafter"), [*zip(KINDS, KINDS, strict=True), ("legacy", "always"), ("first", "")])
@pytest.mark.parametrize("answer", [" three four one", "es three four one", "\nthree four one", "  three four one"])
def test_a_stop_text_cuts_a_raw_answer_and_changes_nothing_before_it(target: str, drafter: str, answer: str) -> None:
    """The answer had one space more than without the stop text."""
    codecs = [Codec(sentencepiece_tokenizer(kind) if kind else byte_tokenizer()) for kind in (target, drafter)]
    engine = Engine(*(Continuing(codec, "one two", answer) for codec in codecs), ParseConfig(judge="likelihood"))
    with engine:
        for stop in ((), ("four",), (" four",), ("ur",), ("ee fo",), ("one",)):
            params, cut = SamplingParams(stop=stop), answer.find(*stop) if stop else len(answer)
            kept = engine.generate("one two", params, raw=True)
            assert kept.text == answer[:cut]
            assert kept.trace.committed_text == kept.trace.draft_text == answer[:cut]
            assert engine.generate("one two", params, raw=True, method="target").text == answer[:cut]


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


@pytest.mark.parametrize(
    ("stops", "text"),
    [
        (["<|user|>"], "one"),
        (["ne<|user|>"], "o"),
        (["<|user|>t"], "one"),
        (["<|user|>two<|system|>"], "one"),
        (["o<|system|>"], "onetw"),
        (["wo<|system|>thr", "ee"], "onet"),
        (["<|system|>"], "onetwo"),
        (["<|assistant|>", "<|user|>s"], "onetwothree"),
        (["<|end|>"], "onetwothree"),
        (["twothree"], "one"),
    ],
)
def test_a_stop_text_may_name_special_tokens(codec: Codec, stops: list[str], text: str) -> None:
    """They have no text, so such a stop text was ignored in silence."""
    assert write(codec, "one<|user|>two<|system|>three", stops).text == text


@pytest.mark.parametrize("method", ["parse", "target", "draft"])
@pytest.mark.parametrize("other", [byte_tokenizer(), byte_tokenizer(merged=("one",))])
def test_an_answer_stops_at_a_special_token(codec: Codec, method: str, other: PreTrainedTokenizerFast) -> None:
    target, drafter = (ScriptedModel(each, "one<|user|>two") for each in (codec, Codec(other)))
    with Engine(target, drafter) as engine:
        answer = engine.generate("?", stop=["<|user|>"], method=method)  # type: ignore[call-overload]
        assert (answer.text, answer.finish_reason) == ("one", "stop")
        assert engine.generate("?", stop=["<|system|>"], method=method).text == "onetwo"  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("text", "kept", "lower"),
    [
        ("So x is 5.", "So x is 5.", False),
        ("A naïve one.", "A na", False),
        ("x ≤ 5, so 3 → 4", "x ", False),
        ("答案是七", "", False),
        ("the answer is B.", "the answer is ", True),
        ("x\ty", "x", False),
        ("", "", False),
    ],
)
@pytest.mark.parametrize("stop", [[], ["zz"]])
def test_a_draft_is_cut_where_the_targets_tokens_cannot_write_it(
    codec: Codec, text: str, kept: str, lower: bool, stop: list[str]
) -> None:
    """What they could not write was dropped in silence, or written otherwise: "naïve" became "nave"."""
    target = ScriptedModel(Codec(ascii_tokenizer(lower)), "the target's own words, and a few more of them.")
    with Engine(target, ScriptedModel(codec, text), ParseConfig(judge="likelihood")) as engine:
        answer = engine.generate("?", stop=stop)
    assert answer.trace.draft_text == answer.trace.committed_text == kept
    assert bool(answer.trace.warnings) == (kept != text)
    assert answer.text == (kept if kept == text and text else kept + target.codec.decode(target.answer[len(kept) :]))
    if text != kept:
        said = "is cut: the target's tokens cannot write" if kept else "is not kept: the target's tokens cannot write"
        assert said in answer.trace.warnings[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_draft_may_begin_with_a_space(codec: Codec, kind: str) -> None:
    target = Codec(sentencepiece_tokenizer(kind))
    for text in (" three four", "three", "   x", " naïve"):
        tokens, lost = target.carry(text)
        assert lost == ""
        assert target.decode(tokens).lstrip(" ") == text.lstrip(" ")

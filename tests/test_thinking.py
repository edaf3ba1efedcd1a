"""Thoughts are told from the answer, however they are marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from parse_engine import Answer, Committed, Continuing, Done, Engine
from parse_engine.render.parts import by_author
from parse_engine.text import Codec
from parse_engine.thinking import Parts, Telling, opened_by, split
from tests.conftest import CHATML, byte_tokenizer
from tests.scripted import ScriptedModel

THOUGHT = "Is it 5? No,\nit is [7] < 8."
MARKS = [
    ("<think>", "</think>"),
    ("<think>\n", "\n</think>\n\n"),
    ("<thinking>", "</thinking><answer>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>\n<answer>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>\n\n<|begin_of_solution|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<unused94>thought\n", "<unused95>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("analysis", "assistantfinal"),
    ("Here is my thought process:", "Here is my response:"),
    ("Here are my reasoning steps:\n", "[BEGIN FINAL RESPONSE]\n"),
]


def told(text: str, opened: str = "") -> Parts:
    """All that a stream tells, character by character."""
    telling, thinking, answer = Telling(opened), "", ""
    for end in range(len(text) + 1):
        new = telling.more(text[:end])
        thinking, answer = thinking + (new.thinking or ""), answer + new.text
    last = telling.more(text, whole=True)
    return Parts((thinking + (last.thinking or "")) or None, answer + last.text)


@pytest.mark.parametrize("marks", MARKS)
@pytest.mark.parametrize("answer", ["7", "It is 7.\n\n    x = [7]  # <b>\n", "7 analysis assistant <"])
def test_a_thought_is_no_part_of_the_answer(marks: tuple[str, str], answer: str) -> None:
    opening, closing = marks
    text = f"{opening}{THOUGHT}{closing}{answer}"
    assert split(text) == told(text) == Parts(THOUGHT, answer)
    assert split(f"{THOUGHT}{closing}{answer}") == Parts(THOUGHT, answer), "the prompt may have opened it"


@pytest.mark.parametrize("marks", MARKS)
def test_a_thought_that_is_cut_off_has_no_answer(marks: tuple[str, str]) -> None:
    opening, closing = marks
    text = f"{opening}{THOUGHT}"
    assert split(text) == told(text) == Parts(THOUGHT, "")
    text += closing
    assert split(text) == told(text) == Parts(THOUGHT, "")


@pytest.mark.parametrize("marks", MARKS)
def test_a_prompt_may_open_a_thought(marks: tuple[str, str]) -> None:
    opening, closing = marks
    assert split("<|channel|>anal") == split("<|channel|>") == Parts(None, "")
    if opened := opened_by(f"Why?<assistant>{opening}\n"):
        assert split(THOUGHT, opened) == told(THOUGHT, opened) == Parts(THOUGHT, "")
        text = f"{THOUGHT}{closing}7"
        assert split(text, opened) == told(text, opened) == Parts(THOUGHT, "7")
    assert opened_by(f"{opening}{THOUGHT}{closing}") == ""
    assert opened_by(f"What is {opening} for?") == ""


@pytest.mark.parametrize(
    "text",
    [
        "7",
        "",
        "\n 7 \n",
        "Put it into `<think>` marks.",
        "a < b and c[0] > 1 <",
        "Here is my answer.",
        "<b>7</b>",
        "an",
    ],
)
def test_a_text_without_thoughts_is_left_as_it_is(text: str) -> None:
    assert split(text) == told(text) == Parts(None, text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("<think>5<think>6</think>8</think>7", ("5<think>6\n\n8", "7")),
        ("<think>I should not write <reasoning> here.</think>7", ("I should not write <reasoning> here.", "7")),
        ("<think>5</think>6<think>8</think>7", ("5\n\n8", "7")),
        ("<think>5</think>6<think>7", ("5\n\n7", "")),
        ("<think>\n\n</think>\n\n7", (None, "7")),
        ("<|channel|>final<|message|>7", (None, "7")),
        ("<|channel|>analysis<|message|>5", ("5", "")),
        ("Sure.\n<think>5</think>7", ("5", "7")),
    ],
)
def test_several_thoughts_and_empty_ones(text: str, parts: tuple[str | None, str]) -> None:
    assert split(text) == Parts(*parts)


@pytest.mark.parametrize(
    "text",
    ["<think>" * 10_000, "<think " * 10_000, "\n" * 50_000, "<|channel|>final" * 4_000, "<|end|>\n\n" * 4_000],
)
def test_endless_repetitions_are_told_in_no_time(text: str) -> None:
    """Patterns that go back and forth over them took minutes."""
    split(text)
    split(f"<think>{text}")
    Telling().more(text)


def special_tokenizer(*names: str, template: str | None = CHATML) -> PreTrainedTokenizerFast:
    tokenizer = byte_tokenizer(template=template)
    tokenizer.add_special_tokens({"additional_special_tokens": list(names)})
    return tokenizer


HARMONY = ("<|channel|>", "<|message|>", "<|start|>", "<|return|>")
SPECIAL = {
    "think": (("<think>", "</think>"), "<think>Is it 5? no</think>7"),
    "blank lines": (("<think>", "</think>"), "<think>\nIs it 5? no\n</think>\n\n7"),
    "mistral": (("[THINK]", "[/THINK]"), "[THINK]Is it 5? no[/THINK]7"),
    "gpt-oss": (
        HARMONY,
        "<|channel|>analysis<|message|>Is it 5? no<|start|>assistant<|channel|>final<|message|>7",
    ),
    "cohere": (("<|START_THINKING|>", "<|END_THINKING|>"), "<|START_THINKING|>Is it 5? no<|END_THINKING|>7"),
    "text": ((), "<reasoning>Is it 5? no</reasoning>7"),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("method", ["parse", "target", "draft"])
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("stop", [[], ["zz"], ["7"]])
def test_thoughts_are_told_where_their_marks_are_special_tokens(
    kind: str, method: Any, same: bool, stop: list[str]
) -> None:
    """Decoding strips special tokens: the answer was "Is it 5? no7", and was graded as such."""
    names, script = SPECIAL[kind]
    codec = Codec(special_tokenizer(*names))
    other = codec if same else Codec(special_tokenizer(*names[::-1]) if kind != "think" else byte_tokenizer(names))
    with Engine(ScriptedModel(codec, script), ScriptedModel(other, script)) as engine:
        *events, done = engine.stream("?", method=method, stop=stop)
        assert isinstance(done, Done)
        answer = done.answer
        assert (answer.text, answer.thinking) == ("" if "7" in stop else "7", "Is it 5? no")
        final = [event for event in events if isinstance(event, Committed | Continuing)]
        assert "".join(event.text for event in final) == answer.text
        assert "".join(event.thinking for event in final) == answer.thinking
        if method != "target":
            assert split(answer.trace.draft_text) == Parts(answer.thinking, answer.text)
        assert Answer.from_dict(answer.to_dict()) == answer
        if method == "parse":
            assert by_author(answer) == (answer.text, "")
        before, most = script.partition("Is it")[0], other if method == "draft" else codec
        cut = engine.generate("?", method=method, max_tokens=len(most.encode(before)) + 5)
        assert (cut.text, cut.thinking, cut.finish_reason) == ("", "Is it", "length")
        assert any("cut off while the model was thinking" in text for text in cut.trace.warnings)


@pytest.mark.parametrize("names", [(), ("<think>", "</think>")])
def test_a_thought_that_the_template_opens(names: tuple[str, ...]) -> None:
    template = CHATML.replace("<|assistant|>{% endif %}", "<|assistant|><think>\n{% endif %}")

    class Behind(ScriptedModel):
        def _script(self, tokens: Sequence[int]) -> list[int]:
            start = len(codec.encode("<|user|>?<|end|><|assistant|><think>\n"))
            return [*self.answer[len(tokens) - start :], *self.eos]

    codec = Codec(special_tokenizer(*names, template=template))
    with Engine(Behind(codec, "Is it 5? no</think>7"), Behind(codec, "Is it 5? no</think>7")) as engine:
        for method in ("parse", "target", "draft"):
            whole = engine.generate("?", method=method)  # type: ignore[call-overload]
            assert (whole.text, whole.thinking) == ("7", "Is it 5? no")
            cut = engine.generate("?", method=method, max_tokens=6)  # type: ignore[call-overload]
            assert (cut.text, cut.thinking) == ("", "Is it")

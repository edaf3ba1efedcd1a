"""Thoughts are no answers, whichever way a model marks them, and least of all those that are cut off."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from parse_engine.bench.graders import choice, final
from parse_engine.bench.graders.code import extract_code
from parse_engine.bench.graders.math import final_answer
from parse_engine.bench.graders.text import after_thinking, contains, is_exactly
from parse_engine.bench.tasks import tiny
from parse_engine.bench.tasks.base import Grade
from parse_engine.bench.tasks.jsonl import JsonlTask

MARKS = {
    "think": ("<think>", "</think>"),
    "thinking": ("<thinking>\n", "\n</thinking>\n"),
    "thought": ("<thought>", "</thought>"),
    "Thought and output": ("<Thought>", "</Thought><Output>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "think and answer": ("<think>", "</think>\n<answer>"),
    "Mistral": ("[THINK]", "[/THINK]"),
    "gpt-oss": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "gpt-oss, commentary": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>commentary<|message|>I look it up.<|end|>"
        "<|start|>assistant<|channel|>final <|constrain|>json<|message|>",
    ),
    "gpt-oss, special tokens taken out": ("analysis", "assistantfinal"),
    "Gemma 4": ("<|channel>thought\n", "<channel|>"),
    "Cohere": ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    "Kimi-VL": ("◁think▷", "◁/think▷"),
    "Seed-OSS": ("<seed:think>", "</seed:think>"),
    "LongCat": ("<longcat_think>", "</longcat_think>"),
    "Sky-T1": ("<|begin_of_thought|>", "<|end_of_thought|>\n\n<|begin_of_solution|>"),
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "Solar": ("<|think:start|>", "<|think:end|>"),
    "openPangu": ("[unused16]", "[unused17]"),
    "HyperCLOVA": ("/think\n", "<|im_end|>\n<|im_start|>assistant\n"),
    "Granite": ("Here is my thought process:", "Here is my response:"),
}
THOUGHT = "Perhaps \\boxed{18}? Or 18.\nAnswer: B\n```python\ndef f(): return 18\n```\n#### 18\nNo, wait"


@pytest.mark.parametrize("marks", MARKS.values(), ids=MARKS)
def test_what_was_thought_is_no_part_of_the_answer(marks: tuple[str, str]) -> None:
    opening, closing = marks
    assert after_thinking(f"{opening}{THOUGHT}{closing}7").strip() == "7"
    assert after_thinking(f"{THOUGHT}{closing}7").strip() == "7", "the chat template may open the thought"


@pytest.mark.parametrize("before", ["", "\n", "Sure.\n"])
@pytest.mark.parametrize("marks", MARKS.values(), ids=MARKS)
def test_thinking_that_is_cut_off_is_no_answer(marks: tuple[str, str], before: str, tmp_path: Path) -> None:
    opening = marks[0]
    if before.strip() and opening in ("analysis", "/think\n", "Here is my thought process:"):
        return  # words that mark a thought only where the text begins with them
    text = before + opening + THOUGHT
    assert after_thinking(text) == ""
    assert final_answer(text) == final_answer("")
    assert final.final(text) == ""
    assert choice.grade(choice.Choice("B", 4), text, last_letter=True) == Grade(False, parsed=False)
    assert extract_code(text, "f") is None
    assert not is_exactly("18", text)
    assert not contains("18", text)
    assert tiny.extract(opening + "The answer is 18") is None


@pytest.mark.parametrize("grader", ["exact", "contains"])
def test_an_answer_that_is_a_thought_alone_counts_as_none(grader: str, tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(f'{{"prompt": "?", "answer": "18", "grader": "{grader}"}}')
    task = JsonlTask(file)
    (question,) = task.questions()
    assert task.grade(question, "<think>18") == Grade(False, parsed=False)
    assert task.grade(question, "<think>7</think>18") == Grade(True)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("7", "7"),
        ("<think>5<think>6</think>8</think>7", "7"),
        ("<think>I should not write <reasoning> here.</think>7", "7"),
        ("I should not write <reasoning> here.</think>7", "7"),
        ("<think>5</think>6<think>8</think>7", "7"),
        ("<think>5</think>6<think>7", ""),
        ("<think>5 <reasoning>6</reasoning> 7", ""),
        ("<think></think>7", "7"),
        ("<THINK>5</THINK>7", "7"),
        ("I put my thoughts into `<think>` tags: 7", "I put my thoughts into `<think>` tags: 7"),
        ("The analysis says 7", "The analysis says 7"),
        ("[1, 2]", "[1, 2]"),
    ],
)
def test_marks_within_marks(text: str, answer: str) -> None:
    assert after_thinking(text) == answer


@pytest.mark.parametrize("text", ["<think>" * 50_000, "<think " * 50_000, "\n" * 200_000, "<|channel|>final" * 20_000])
def test_a_long_answer_takes_no_time(text: str) -> None:
    started = time.process_time()
    after_thinking(text)
    assert time.process_time() - started < 5

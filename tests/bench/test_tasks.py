from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from parse_engine.bench import tasks, tiny
from parse_engine.bench.tasks import TASKS, load_task, read_rows
from parse_engine.errors import ConfigError, DataError


@pytest.mark.parametrize("name", TASKS)
def test_every_task_of_the_registry_loads(name: str) -> None:
    assert load_task(name).name == name


def test_an_unknown_task_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match=r"unknown task 'gsm8'\. Did you mean 'gsm8k'\? Known tasks: tiny"):
        load_task("gsm8")


@pytest.mark.parametrize(("name", "file"), [("gsm8k", "gsm8k_test.jsonl"), ("humaneval+", "humanevalplus.jsonl.gz")])
def test_missing_data_names_the_file_and_the_variable(
    name: str, file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(tasks.DATA_VARIABLE, raising=False)
    with pytest.raises(DataError, match=rf"{file} is needed. Set PARSE_ENGINE_DATA"):
        load_task(name).questions()
    monkeypatch.setenv(tasks.DATA_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=rf"no {file} in .*Set PARSE_ENGINE_DATA"):
        load_task(name).questions()


def test_broken_data_is_a_data_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(tasks.DATA_VARIABLE, str(tmp_path))
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"b": 1}\n')
    with pytest.raises(DataError, match=r"row 2 of .* has no 'a'"):
        read_rows("rows.jsonl", ["a"])
    (tmp_path / "rows.jsonl").write_text("\n")
    with pytest.raises(DataError, match="has no rows"):
        read_rows("rows.jsonl", ["a"])
    (tmp_path / "rows.jsonl").write_text("{no json\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_rows("rows.jsonl", ["a"])
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(json.dumps({"a": 1}).encode())[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        read_rows("rows.jsonl.gz", ["a"])


def test_tiny_has_a_thousand_different_questions_of_the_test_split() -> None:
    questions = load_task("tiny").questions()
    assert len({question.messages[0]["content"] for question in questions}) == 1000
    assert all(tiny.split_of(question.reference) == "test" for question in questions)
    assert load_task("tiny").questions(3) == questions[:3]


def test_tiny_questions_never_change() -> None:
    """Figures are compared between versions: the first question is pinned."""
    first = load_task("tiny").questions(1)[0]
    assert first.id == "tiny/0"
    assert first.messages[0]["content"] == next(tiny.problems("test")).question


def test_tiny_grades_the_number_after_the_last_answer() -> None:
    task = load_task("tiny")
    question = task.questions(1)[0]
    right = question.reference.answer
    assert task.grade(question, f"Some steps. The answer is {right}.")
    assert not task.grade(question, f"The answer is {right + 1}.")
    assert not task.grade(question, "")
    assert not task.grade(question, "The answer is " + "1" * 9999)

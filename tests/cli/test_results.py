"""Many prompts at once: what happens to one of them is its own affair, and what was done is not done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parse_engine.cli.prompts import read_entries
from parse_engine.cli.results import AnswersFile
from parse_engine.cli.settings import GenerateSettings
from parse_engine.errors import BackendError, DataError
from tests.render.samples import KEPT, REWRITTEN

from .conftest import Calls, Result

Run = Callable[..., Result]
TEXT = KEPT + REWRITTEN


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    file = tmp_path / "p.jsonl"
    file.write_text("".join(f'{{"prompt": "{text}", "id": "{text[0]}"}}\n' for text in ("one", "two", "three")))
    return str(file)


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_prompt_that_is_refused_leaves_the_others_alone(
    run: Run, calls: Calls, prompts: str, tmp_path: Path, concurrency: int
) -> None:
    """One that was too long ended the whole file, and no line was named."""
    calls.too_long, calls.concurrency = ("two",), concurrency
    page = tmp_path / "page.html"
    result = run("generate", "--file", prompts, "--json", "--html", str(page))
    assert result.code == 1
    assert result.err == f"error: {prompts} line 2: the prompt has 9999 tokens.\n"
    first, second, third = rows(result.out)
    assert second == {
        "file": prompts,
        "line": 2,
        "id": "t",
        "error": {"message": "the prompt has 9999 tokens.", "type": "PromptError"},
    }
    assert first["text"] == third["text"] == TEXT
    assert sorted(calls.prompts) == ["one", "three"]  # the models are not asked
    assert page.read_text().count("<article") == 2


@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_answer_that_fails_leaves_the_others_alone(run: Run, calls: Calls, prompts: str, concurrency: int) -> None:
    calls.errors, calls.concurrency = {"one": BackendError("the server broke off.")}, concurrency
    result = run("generate", "--file", prompts)
    assert (result.code, result.out) == (1, f"{TEXT}\n\n{TEXT}\n")
    assert result.err == f"error: {prompts} line 1: the server broke off.\n"


def test_the_status_tells_whether_anything_was_answered(run: Run, calls: Calls) -> None:
    calls.too_long = ("two", "three")
    assert run("generate", "one").code == 0
    result = run("generate", "one", "two")
    assert (result.code, result.err) == (1, "error: prompt 2: the prompt has 9999 tokens.\n")
    assert run("generate", "two", "three").code == 2


@pytest.mark.parametrize("concurrency", [1, 4])
def test_control_c_leaves_the_page_and_the_answers_so_far(
    run: Run, calls: Calls, prompts: str, tmp_path: Path, concurrency: int
) -> None:
    """Nothing was left of them. With several at a time what is done counts too where its turn has not come."""
    calls.errors, calls.concurrency, calls.steps = {"two": KeyboardInterrupt()}, concurrency, {"two": 50}
    page, output = tmp_path / "page.html", tmp_path / "out.jsonl"
    result = run("generate", "--file", prompts, "--html", str(page), "--output", str(output))
    done = ["one"] if concurrency == 1 else ["one", "three"]
    assert (result.code, result.out) == (130, "")
    assert [row["id"] for row in rows(output.read_text())] == [text[0] for text in done]
    assert page.read_text().count("<article") == len(done)
    assert calls.closed == 1


def test_a_file_of_answers_is_gone_on_with(run: Run, calls: Calls, prompts: str, tmp_path: Path) -> None:
    output, page = tmp_path / "out.jsonl", tmp_path / "page.html"
    command = ("generate", "--file", prompts, "--output", str(output))
    calls.errors = {"two": BackendError("the server broke off.")}
    result = run(*command)
    assert (result.code, result.out) == (1, "")
    assert ["error" in row for row in rows(output.read_text())] == [False, True, False]
    before = output.read_text().splitlines()

    calls.errors = {}
    calls.prompts.clear()
    result = run(*command, "--html", str(page), "--quiet")
    assert (result.code, result.err) == (0, f"2 of 3 prompts are answered in {output}\n")
    assert calls.prompts == ["two"]
    after = output.read_text().splitlines()
    assert [row["line"] for row in rows(output.read_text())] == [1, 2, 3]
    assert (after[0], after[2]) == (before[0], before[2])
    assert page.read_text().count("<article") == 3

    calls.loads.clear()
    assert run(*command).code == 0
    assert not calls.loads  # nothing is left to do
    assert output.read_text().splitlines() == after


def test_a_row_that_was_cut_off_is_asked_again(run: Run, calls: Calls, prompts: str, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    command = ("generate", "--file", prompts, "--output", str(output))
    run(*command)
    whole = output.read_bytes()
    for cut in (10, len(whole.splitlines(keepends=True)[0]) + 200):
        output.write_bytes(whole[:cut])
        assert run(*command).code == 0
        assert [{**row, "trace": 0} for row in rows(output.read_text())] == [
            {**row, "trace": 0} for row in rows(whole.decode())
        ]


@pytest.mark.parametrize("more", ["--temperature 0.5", "--threshold 0.9", "--system x", "--target t --draft d"])
def test_answers_with_other_settings_are_refused(
    run: Run, calls: Calls, prompts: str, tmp_path: Path, more: str
) -> None:
    output = tmp_path / "out.jsonl"
    run("generate", "--file", prompts, "--output", str(output))
    before = output.read_text()
    result = run("generate", "--file", prompts, "--output", str(output), *more.split())
    assert result.code == 2
    assert result.err == (
        f"error: {output} line 1 answers another prompt, or one with other settings. Give another file, or the same "
        "command to go on.\n"
    )
    assert output.read_text() == before
    assert run("generate", "--file", prompts, "--output", str(output), "--concurrency", "2", "--quiet").code == 0


def test_the_same_prompt_twice_is_answered_twice(run: Run, calls: Calls, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    assert run("generate", "one", "one", "--output", str(output)).code == 0
    assert run("generate", "one", "one", "one", "--output", str(output)).code == 0
    assert calls.prompts == ["one"] * 3


@pytest.mark.parametrize("content", ["mine\n", "mine", '{"mine": 1}\n', '{"mine": 1}', "[]\n"])
def test_a_file_of_something_else_is_left_alone(
    run: Run, calls: Calls, prompts: str, tmp_path: Path, content: str
) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text(content)
    result = run("generate", "--file", prompts, "--output", str(output))
    assert result.code == 2
    assert "line 1 is not an answer of generate" in result.err
    assert output.read_text() == content
    assert not calls.loads


def test_a_file_that_another_process_writes_is_refused(run: Run, calls: Calls, prompts: str, tmp_path: Path) -> None:
    """The lock was on the file itself, in whose place another comes: who had opened it before wrote nowhere."""
    output, link = tmp_path / "out.jsonl", tmp_path / "link"
    link.symlink_to(output)
    settings = GenerateSettings(file=prompts)
    entries = read_entries([], settings)
    with AnswersFile(output, entries, settings):
        replaced = output.read_bytes()
        output.unlink()
        output.write_bytes(replaced)
        for name in (output, link):
            result = run("generate", "--file", prompts, "--output", str(name))
            assert (result.code, calls.loads) == (2, [])
            assert "is being written by another process" in result.err
    assert run("generate", "--file", prompts, "--output", str(link)).code == 0
    assert len(rows(output.read_text())) == 3


def test_a_file_is_locked_before_it_is_opened(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with AnswersFile(output, [], GenerateSettings()):
        output.unlink()
        with pytest.raises(DataError, match="another process"):
            AnswersFile(output, [], GenerateSettings())
        assert not output.exists()


def test_json_is_printed_beside_the_file_when_it_is_asked_for(
    run: Run, calls: Calls, prompts: str, tmp_path: Path
) -> None:
    result = run("generate", "--file", prompts, "--json", "--output", str(tmp_path / "out.jsonl"))
    assert [row["text"] for row in rows(result.out)] == [TEXT] * 3


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_full_disk_is_one_line_and_the_page_is_written(
    run: Run, calls: Calls, prompts: str, tmp_path: Path, concurrency: int
) -> None:
    calls.concurrency = concurrency
    page = tmp_path / "page.html"
    result = run("generate", "--file", prompts, "--output", "/dev/full", "--html", str(page))
    assert result.code == 2
    assert result.err == "error: cannot write /dev/full: No space left on device. Give another place.\n"
    assert "<article" in page.read_text()

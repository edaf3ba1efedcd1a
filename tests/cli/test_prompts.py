from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from parse_engine.cli.prompts import read_entries
from parse_engine.cli.settings import GenerateSettings
from parse_engine.config import SamplingParams
from parse_engine.errors import DataError

from .conftest import Calls, Result

Run = Callable[..., Result]


def write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_text_file_has_a_prompt_per_line(run: Run, calls: Calls, tmp_path: Path) -> None:
    assert run("generate", "--file", write(tmp_path, "p.txt", "one\n\n  two\u2028half\n")).code == 0
    assert calls.prompts == ["one", "  two\u2028half"]


def test_a_jsonl_file_has_prompts_or_messages(run: Run, calls: Calls, tmp_path: Path) -> None:
    rows = '{"prompt": "one", "id": 7}\n{"messages": [{"role": "user", "content": "two"}]}\n'
    rows += '{"messages": [{"role": "user", "content": [{"type": "text", "text": "three"}]}]}\n'
    assert run("generate", "--file", write(tmp_path, "p.jsonl", rows)).code == 0
    assert calls.prompts == ["one", *([{"role": "user", "content": text}] for text in ("two", "three"))]


def test_a_line_has_its_own_sampling_and_what_it_sets_comes_back(run: Run, calls: Calls, tmp_path: Path) -> None:
    """`id` and `max_tokens` were read over."""
    rows = '{"prompt": "one", "id": "a", "max_tokens": 9, "stop": "END"}\n\n{"prompt": "two", "temperature": 0.5}\n'
    file = write(tmp_path, "p.jsonl", rows)
    result = run("generate", "--file", file, "--json", "--max-tokens", "7", "--seed", "3")
    own = SamplingParams(max_tokens=9, seed=3, stop=("END",)), SamplingParams(max_tokens=7, seed=3, temperature=0.5)
    assert tuple(calls.params) == own
    first, second = (json.loads(line) for line in result.out.splitlines())
    assert [*first][:5] == ["file", "line", "id", "max_tokens", "stop"]
    assert [first[key] for key in ("file", "line", "id", "max_tokens", "stop")] == [file, 1, "a", 9, "END"]
    assert (second["line"], second["id"], second["temperature"]) == (3, None, 0.5)
    assert "max_tokens" not in second


def test_a_text_file_from_windows_and_its_lines_are_told(run: Run, calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(b"\xef\xbb\xbfone\r\n\r\ntwo\r\n")
    result = run("generate", "--file", str(tmp_path / "p.txt"), "--json")
    assert calls.prompts == ["one", "two"]
    assert [json.loads(line)["line"] for line in result.out.splitlines()] == [1, 3]


@pytest.mark.parametrize(
    ("arguments", "stdin", "prompts"),
    [
        (["Sum up."], "A text.\n", ["A text.\n\nSum up."]),
        (["Sum up.", "Translate."], "A text.", ["A text.\n\nSum up.", "A text.\n\nTranslate."]),
        (["Sum up."], "", ["Sum up."]),
        (["-"], "A text.\n", ["A text."]),
        (["-", "And now?"], "A text.\n", ["A text.", "And now?"]),
        (["--file", "-"], "one\ntwo\n", ["one", "two"]),
        (["--file", "-"], '{"prompt": "one"}\n', ["one"]),
    ],
)
def test_stdin_beside_prompts_and_as_one(
    run: Run, calls: Calls, arguments: list[str], stdin: str, prompts: list[str]
) -> None:
    """Stdin beside a prompt was read over."""
    assert run("generate", *arguments, stdin=stdin).code == 0
    assert calls.prompts == prompts


def test_all_of_stdin_is_one_prompt(run: Run, calls: Calls) -> None:
    assert run("generate", stdin="one\ntwo\n").code == 0
    assert calls.prompts == ["one\ntwo"]


def test_the_system_message_goes_first(run: Run, calls: Calls, tmp_path: Path) -> None:
    file = write(tmp_path, "p.jsonl", '{"prompt": "one"}\n{"messages": [{"role": "user", "content": "two"}]}\n')
    assert run("generate", "--file", file, "--system", "Be brief.").code == 0
    system = {"role": "system", "content": "Be brief."}
    assert calls.prompts == [[system, {"role": "user", "content": text}] for text in ("one", "two")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "line 1 is not JSON"),
        ("[]", 'either "prompt" or "messages"'),
        ('{"question": "x"}', 'either "prompt" or "messages"'),
        ('{"prompt": "x", "messages": []}', 'either "prompt" or "messages"'),
        ('{"prompt": 3}', '"prompt" must be a text'),
        ('{"messages": []}', '"messages" must be a list'),
        ('{"messages": [{"role": "user"}]}', '"messages" must be a list'),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "parts of the type text"),
        ('{"messages": [{"role": "user", "content": "x", "nam": "y"}]}', "line 1, a message: unknown field 'nam'"),
        ('{"prompt": "x", "max_token": 3}', "line 1: unknown field 'max_token'. Did you mean 'max_tokens'?"),
        ('{"prompt": "x", "max_tokens": 0}', "line 1: max_tokens is 0; it must be at least 1."),
        ('{"prompt": "x", "stop": [3]}', "line 1: stop is"),
        ('{"prompt": "x", "id": [1]}', '"id" must be a text or a whole number'),
        ('{"prompt": "x", "id": true}', '"id" must be a text or a whole number'),
        ('{"prompt": "x", "id": "\\ud800"}', "half a surrogate pair"),
        ('{"prompt": "x", "seed": ' + "9" * 5000 + "}", "line 1 is not JSON"),
        ("[" * 100_000, "line 1 is not JSON"),
        ("\n", "has no prompts"),
    ],
)
def test_broken_prompt_files(run: Run, calls: Calls, tmp_path: Path, row: str, message: str) -> None:
    result = run("generate", "--file", write(tmp_path, "p.jsonl", row))
    assert result.code == 2
    assert message in result.err
    assert not calls.loads


@pytest.mark.parametrize("flags", [("--raw",), ("--system", "Be brief.")])
def test_messages_that_do_not_fit_the_flags(run: Run, calls: Calls, tmp_path: Path, flags: tuple[str, ...]) -> None:
    file = write(tmp_path, "p.jsonl", '{"messages": [{"role": "system", "content": "Be long."}]}')
    result = run("generate", "--file", file, *flags)
    assert result.code == 2
    assert "messages" in result.err


def test_a_file_that_is_not_there_or_not_text(run: Run, calls: Calls, tmp_path: Path) -> None:
    assert "cannot be read" in run("generate", "--file", str(tmp_path / "none.txt")).err
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe\xff")
    assert "not UTF-8" in run("generate", "--file", str(tmp_path / "p.txt")).err


@pytest.mark.parametrize("stdin", [None, "", " \n"])
def test_no_prompt_at_all(run: Run, calls: Calls, stdin: str | None) -> None:
    result = run("generate", stdin=stdin)
    assert result.code == 2
    assert result.err.startswith("error: there is no prompt.")


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_stdin_that_is_not_text(monkeypatch: pytest.MonkeyPatch, errors: str) -> None:
    """A lenient locale reads broken bytes as half surrogate pairs, which failed much later, in the tokenizer."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one \xff two"), encoding="utf-8", errors=errors))
    with pytest.raises(DataError, match="stdin is not UTF-8 text"):
        read_entries([], GenerateSettings())


def test_stdin_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside a prompt nobody has asked for it."""

    class Unreadable(io.StringIO):
        def read(self, size: int | None = -1) -> str:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(sys, "stdin", Unreadable())
    assert [entry.prompt for entry in read_entries(["one"], GenerateSettings())] == ["one"]
    for arguments in ([], ["-"]):
        with pytest.raises(DataError, match="stdin cannot be read: Input/output error"):
            read_entries(arguments, GenerateSettings())


def test_arguments_and_a_file_are_too_much(run: Run, calls: Calls, tmp_path: Path) -> None:
    assert "Use one of the two" in run("generate", "x", "--file", write(tmp_path, "p.txt", "y")).err


def test_arguments_win_over_a_file_that_the_settings_name(run: Run, calls: Calls, tmp_path: Path) -> None:
    config = write(tmp_path, "settings.toml", f'file = "{write(tmp_path, "p.txt", "y")}"')
    assert run("generate", "x", "--config", config).code == 0
    assert run("generate", "--config", config).code == 0
    assert calls.prompts == ["x", "y"]

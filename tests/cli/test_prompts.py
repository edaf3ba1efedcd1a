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
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

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
    parts = [{"type": "text", "text": "three"}]
    assert calls.prompts == ["one", *([{"role": "user", "content": content}] for content in ("two", parts))]


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
    """Stdin beside a prompt was read over; then it took the rest of a shell's loop without a word."""
    result = run("generate", *arguments, "--quiet", stdin=stdin)
    assert (result.code, calls.prompts) == (0, prompts)
    beside = stdin and arguments[0].endswith(".")
    where = "the prompt" if len(arguments) == 1 else "each prompt"
    assert result.err == (f"warning: 7 characters from stdin were put before {where}\n" if beside else "")


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
        ("{", "it is not JSON"),
        ("[]", 'an object with "prompt" or "messages"'),
        ("{}", 'either "prompt" or "messages"'),
        ('{"question": "x"}', "unknown field 'question'. Known fields: prompt, messages, id"),
        ('{"prompt": "x", "messages": []}', 'either "prompt" or "messages"'),
        ('{"prompt": 3}', '"prompt" must be a text'),
        ('{"messages": []}', '"messages" must be a list'),
        ('{"messages": "x"}', '"messages" must be a list'),
        ('{"messages": ["x"]}', '"messages" must be a list'),
        ('{"messages": [{"role": "user"}]}', "chat message 1 has no text as its 'content'"),
        ('{"messages": [{"content": "x"}]}', "chat message 1 has no text as its 'role'"),
        ('{"messages": [{"role": "usr", "content": "x"}]}', "Did you mean 'user'?"),
        ('{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "parts of type 'text'"),
        ('{"messages": [{"role": "user", "content": "x", "nam": "y"}]}', "chat message 1: unknown field 'nam'"),
        ('{"prompt": "x", "max_token": 3}', "unknown field 'max_token'. Did you mean 'max_tokens'?"),
        ('{"prompt": "x", "max_tokens": 0}', "max_tokens is 0; it must be at least 1."),
        ('{"prompt": "x", "stop": [3]}', "stop is"),
        ('{"prompt": "x", "id": [1]}', '"id" must be a text or a whole number'),
        ('{"prompt": "x", "id": true}', '"id" must be a text or a whole number'),
        ('{"prompt": "x", "id": "\\ud800"}', "half a surrogate pair"),
        ('{"prompt": "x", "stop": "\\ud800"}', "half a surrogate pair"),
        ('{"prompt": "x", "\\ud800": 1}', "half a surrogate pair"),
        ('{"prompt": "x", "seed": ' + "9" * 5000 + "}", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_a_broken_line_leaves_the_others_alone(run: Run, calls: Calls, tmp_path: Path, row: str, message: str) -> None:
    """It ended the whole file."""
    calls.reader = ScriptedModel(Codec(byte_tokenizer()), "x")
    file, output = write(tmp_path, "p.jsonl", f'{{"prompt": "one"}}\n{row}\n{{"prompt": "two"}}\n'), tmp_path / "out"
    result = run("generate", "--file", file, "--json", "--output", str(output))
    assert (result.code, calls.prompts) == (1, ["one", "two"])
    assert result.err.startswith(f"error: {file} line 2: ")
    assert message in result.err
    assert result.err.count("\n") == 1
    first, second, third = (json.loads(line) for line in result.out.splitlines())
    assert (second["file"], second["line"], second["id"]) == (file, 2, None)
    assert message in second["error"]["message"]
    assert first["text"] == third["text"]
    assert [json.loads(line)["line"] for line in output.read_text().splitlines()] == [1, 2, 3]


def test_all_broken_lines_are_named_and_nothing_is_loaded_for_them(run: Run, calls: Calls, tmp_path: Path) -> None:
    file = write(tmp_path, "p.jsonl", '{\n{"prompt": "x", "id": 7, "top_k": 1}\n')
    result = run("generate", "--file", file, "--json")
    assert (result.code, calls.loads) == (2, [])
    assert [line.partition(": ")[2][: len(file) + 7] for line in result.err.splitlines()] == [
        f"{file} line 1",
        f"{file} line 2",
    ]
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert [(row["line"], row["id"]) for row in rows] == [(1, None), (2, 7)]
    assert [row["error"]["type"] for row in rows] == ["DataError"] * 2


def test_a_line_that_was_mended_is_asked_when_the_file_is_gone_on_with(run: Run, calls: Calls, tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    file = write(tmp_path, "p.jsonl", '{"prompt": "one"}\n{"prompt": "two"\n')
    assert run("generate", "--file", file, "--output", output).code == 1
    write(tmp_path, "p.jsonl", '{"prompt": "one"}\n{"prompt": "two"}\n')
    assert run("generate", "--file", file, "--output", output).code == 0
    assert calls.prompts == ["one", "two"]


def test_a_file_without_prompts(run: Run, calls: Calls, tmp_path: Path) -> None:
    result = run("generate", "--file", write(tmp_path, "p.jsonl", "\n"))
    assert (result.code, calls.loads) == (2, [])
    assert "has no prompts" in result.err


@pytest.mark.parametrize("flags", [("--raw",), ("--system", "Be brief.")])
def test_messages_that_do_not_fit_the_flags(run: Run, calls: Calls, tmp_path: Path, flags: tuple[str, ...]) -> None:
    rows = '{"messages": [{"role": "system", "content": "Be long."}]}\n{"prompt": "two"}\n'
    file = write(tmp_path, "p.jsonl", rows)
    result = run("generate", "--file", file, *flags)
    assert (result.code, len(calls.prompts)) == (1, 1)
    assert result.err.startswith(f"error: {file} line 1: ")
    assert f"Drop {flags[0]}" in result.err


def test_a_content_in_parts_is_shown_as_its_text(run: Run, calls: Calls, tmp_path: Path) -> None:
    """A list of Python's stood on the page."""
    parts = '[{"type": "text", "text": "Is it"}, {"type": "text", "text": "so?"}]'
    file = write(tmp_path, "p.jsonl", f'{{"messages": [{{"role": "user", "content": {parts}}}]}}')
    calls.target = "embedded-target"  # which looks at what is asked
    assert run("generate", "--file", file, "--html", str(tmp_path / "page.html")).code == 0
    page = (tmp_path / "page.html").read_text()
    assert "Is it\nso?" in page
    assert "&#39;type&#39;" not in page


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

"""Whatever a user does wrong is one clear line on stderr and exit code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.calibration.profiles import make_profile

from .conftest import Calls, Result

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["generate", "x", "--treshold", "0.5"], "Did you mean '--threshold'?"),
        (["generate", "x", "--zzzz"], "No such option: --zzzz"),
        (["generat", "x"], "Did you mean 'generate'?"),
        (["generate", "x", "--threshold", "1.5"], "threshold is 1.5; it must be in [0, 1]."),
        (["generate", "x", "--threshold", "high"], "--threshold"),
        (["generate", "x", "--max-tokens", "0"], "max_tokens is 0"),
        (["generate", "x", "--method", "parsec"], "method is 'parsec'; it must be 'target' or 'draft' or 'parse'."),
        (["generate", "x", "--judge", "vibes"], "judge is 'vibes'"),
        (["generate", "x", "--stop"], "--stop"),
        (["generate", "x", "--raw", "--system", "y"], "no system message"),
        (["generate", "x", "--raw", "--thinking"], "no thinking"),
        (["generate", "x", "--raw", "--no-thinking"], "no thinking"),
        (["generate", "x", "--html", "no/such/folder/page.html"], "there is no folder"),
        (["generate", ""], "the prompt is empty"),
        (["pull"], "NAME"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run: Run, calls: Calls, args: list[str], message: str) -> None:
    result = run(*args)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert message in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("threshold = ", "not valid TOML"),
        ("treshold = 0.5", "unknown setting 'treshold'. Did you mean 'threshold'?"),
        ("threshold = 2", "threshold is 2; it must be in [0, 1]."),
        ('threshold = "0.5"', "it must be a number"),
        ("[generate]\nthreshold = 0.5", "unknown setting 'generate'"),
    ],
)
def test_a_bad_config_file_is_named(run: Run, calls: Calls, tmp_path: Path, toml: str, message: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(toml)
    result = run("generate", "x", "--config", str(file))
    assert result.code == 2
    assert "settings.toml" in result.err
    assert message in result.err
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ("--output a --html ./a", "output and html"),
        ("--file p --html link", "file and html"),
        ("--file p --output p", "file and output"),
        ("x --config c --html c", "config and html"),
        ("x --profile own.profile --output own.profile", "profile and output"),
    ],
)
def test_a_file_with_two_uses(
    run: Run, calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, names: str
) -> None:
    """A page and answers in one file: the page was lost without a word."""
    monkeypatch.chdir(tmp_path)
    Path("p").write_text("one\n")
    Path("link").symlink_to("p")
    Path("c").write_text("")
    make_profile().save(Path("own.profile"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for command in ("generate", "check"):
        result = run(command, *(["one"] if flags.startswith("--output") else []), *flags.split())
        assert (result.code, result.err.count("\n"), calls.loads) == (2, 1, [])
        assert f"error: {names} are the same file, " in result.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert run("generate", "one", "--output", "a", "--html", "b").code == 0


def test_a_page_that_cannot_be_written(run: Run, calls: Calls, tmp_path: Path) -> None:
    result = run("generate", "x", "--html", str(tmp_path))
    assert result.code == 2
    assert "cannot be written" in result.err

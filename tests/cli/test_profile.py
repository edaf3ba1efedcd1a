from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.calibration.profiles import make_profile, tried

from .conftest import Result

Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.profile"
    make_profile().save(path)
    return path


def test_it_is_shown_in_words_and_tables(run: Run, file: Path) -> None:
    result = run("profile", "show", str(file))
    assert result.code == 0
    lines = [line.rstrip() for line in result.out.splitlines()]
    assert "target big, drafter small, hf, float32" in lines
    assert (
        "Promised with 95% confidence: at most 2.5% of such questions are right with the target and wrong with PARSE."
    ) in lines
    assert "It lost 1 and won 2 of the 200 (p = 0.01)." in lines
    assert ["prompt", "0.810", "[0.750,", "0.860]", "all", "alike"] in [line.split() for line in lines]
    assert result.out.count("chosen") == 1
    assert result.err == ""


def test_nothing_promised_is_said(run: Run, file: Path) -> None:
    make_profile(tried=make_profile().tried[:2]).save(file)
    result = run("profile", "show", str(file))
    assert "Nothing is promised. It could be shown of no setting faster than the target that" in result.out
    assert "With this profile the target answers alone." in result.out
    assert "chosen" not in result.out


def test_what_is_safe_but_slower_is_no_promise_anywhere(run: Run, file: Path, tmp_path: Path) -> None:
    """A setting was called promised under a headline that said that nothing was."""
    slow = [tried(losses=0, speed=0.9, promised=True), tried(losses=0, speed=1.0, promised=True)]
    make_profile(tried=[*slow, tried(losses=4, speed=1.9)]).save(file)
    html = tmp_path / "a.html"
    result = run("profile", "show", str(file), "--html", str(html))
    assert "Nothing is promised." in result.out
    assert sum("no gain" in line and "fused" in line for line in result.out.splitlines()) == 2
    assert "no gain: lost few enough as well" in " ".join(result.out.split())
    assert html.read_text().count("<td>no gain</td>") == 2
    for shown in (result.out.replace("Nothing is promised.", ""), *re.findall("<td>.*?</td>", html.read_text())):
        assert "promised" not in shown


def test_that_nothing_is_faster_is_said_without_an_empty_table(run: Run, file: Path) -> None:
    make_profile(tried=[]).save(file)
    result = run("profile", "show", str(file))
    assert "Nothing is promised: with 4 in flight no setting is faster than the target alone." in result.out
    assert "costs with 4 in flight: 20 ms a token of the target, 4 ms of the drafter; 3 ms a pass" in result.out
    assert "settings, for each judge" not in result.out


def test_names_are_no_markup(run: Run, file: Path) -> None:
    """Square brackets in a name were taken for a style."""
    make_profile(target="big[bold]", draft="[/]small").save(file)
    result = run("profile", "show", str(file))
    assert result.code == 0
    assert "target big[bold], drafter [/]small" in result.out


def test_json_is_one_object_without_the_weights(run: Run, file: Path) -> None:
    result = run("profile", "show", str(file), "--json")
    assert result.code == 0
    shown = json.loads(result.out)
    assert (shown["target"], shown["max_loss"], len(shown["tried"])) == ("big", 0.025, 7)
    assert shown["fits"]["fused"]["full"] == {"names": ["verdict", "segment.mean", "place.share"], "bias": 0.5}


def test_the_page_is_written_beside_what_is_printed(run: Run, file: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = run("profile", "show", str(file), "--html", str(page), "--json")
    assert result.code == 0
    assert result.err == f"written: {page}\n"
    assert json.loads(result.out)["draft"] == "small"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_what_is_wrong_is_one_line(run: Run, file: Path, tmp_path: Path) -> None:
    for args, message in (
        ([str(tmp_path / "none")], "no profile at"),
        ([__file__], "is not a profile"),
        ([str(file), "--html", str(tmp_path)], "cannot be written"),
        ([str(file), "--html", str(file)], "the profile and the page are the same file"),
    ):
        result = run("profile", "show", *args)
        assert result.code == 2
        assert result.err.startswith("error: ")
        assert message in result.err
        assert result.err.count("\n") == 1


def test_a_page_without_matplotlib_is_one_clear_line(file: Path, tmp_path: Path) -> None:
    """A plain installation has none, and it ended in a traceback."""
    code = "import sys\nsys.modules['matplotlib'] = None\nfrom parse_engine.cli import main\nmain(sys.argv[1:])"
    page = tmp_path / "a.html"
    command = [sys.executable, "-c", code, "profile", "show", str(file)]
    done = subprocess.run([*command, "--html", str(page)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: the page {page} cannot be written: plots need matplotlib. Install it: pip install "
        "'parse-engine[bench]'.\n"
    )
    assert not page.exists()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0  # the tables need none

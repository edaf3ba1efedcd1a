"""Streams that are closed, full or read by nobody: one clear line or none, and a status that tells."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Its words are the command's; `say` prints lines on stdout and loads nothing.
PROGRAM = """
from pathlib import Path
import parse_engine.cli as cli
import typer

@cli.app.command("say")
def say(rich: bool = False, times: int = 1, read: Path | None = None, own_pipe: bool = False) -> None:
    from rich.console import Console
    if read:
        read.read_text()
    if own_pipe:
        raise BrokenPipeError(32, "Broken pipe")
    for _ in range(times):
        Console().print("one") if rich else typer.echo("one")

cli.main()
"""


def shell(words: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of the shell in which $RUN is the command line."""
    environment = {**os.environ, "PROGRAM": PROGRAM, "RUN": f'{sys.executable} -c "$PROGRAM"'}
    line = f"set -o pipefail; {words.replace('$RUN', environment['RUN'])}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment, check=False)


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"], autouse=True)
def buffering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stream could not write it keeps for later, or not."""
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)


@pytest.mark.parametrize("flags", ["", "--rich"])
def test_a_full_disk_behind_stdout(flags: str) -> None:
    done = shell(f"$RUN say {flags} >/dev/full")
    message = "error: cannot read or write the output: No space left on device. Give another place.\n"
    assert (done.returncode, done.stderr) == (2, message)


@pytest.mark.parametrize("flags", ["", "--rich"])
def test_a_pipe_that_nobody_reads(flags: str) -> None:
    done = shell(f"$RUN say {flags} --times 20000 | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (141, "one\n", "")


def test_streams_that_are_closed() -> None:
    done = shell("$RUN generate <&-")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: there is no prompt.")
    done = shell("$RUN say >&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert shell("$RUN generate <&- 2>&-").returncode == 2
    assert shell("$RUN generate <&- 2>/dev/full").returncode == 2


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    done = shell(f"$RUN say --read {tmp_path}")
    message = f"error: cannot read or write {tmp_path}: Is a directory. Give another place.\n"
    assert (done.returncode, done.stderr) == (2, message)


def test_an_error_of_another_pipe_is_not_hidden() -> None:
    done = shell("$RUN say --own-pipe")
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import parse_engine
from parse_engine.cli import app
from parse_engine.cli.helptext import field_docs
from parse_engine.cli.settings import GenerateSettings
from parse_engine.config import ParseConfig, SamplingParams


@pytest.mark.parametrize(
    "args", [["--help"], ["--version"], ["generate", "--help"], ["bench", "--help"], ["models", "-h"]]
)
def test_help_imports_no_torch(args: list[str]) -> None:
    code = (
        "import sys\n"
        "from parse_engine.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as stopped:\n    assert not stopped.code\n"
        "heavy = {'torch', 'transformers', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.stdout == f"parse-engine {parse_engine.__version__}\n"


def test_the_package_runs_like_the_command() -> None:
    command = [sys.executable, "-m", "parse_engine", "generate", "--treshold", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: No such option: --treshold")


def test_without_a_subcommand_the_help_is_shown() -> None:
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 0
    assert all(name in result.stdout for name in ("generate", "pull", "models", "bench"))


@pytest.mark.parametrize("width", ["80", "120"])
def test_help_fits_the_width_and_names_every_option(width: str) -> None:
    result = CliRunner().invoke(app, ["generate", "--help"], env={"COLUMNS": width, "TERM": "dumb"})
    assert max(map(len, result.stdout.splitlines())) <= int(width)
    hidden = {"judge_prompt", "min_label_mass", "falls_back"}
    for name in set(field_docs(GenerateSettings)) - hidden:
        assert f"--{name.replace('_', '-')}" in result.stdout


def test_the_sentence_on_the_exit_status_stands_on_a_line_of_its_own() -> None:
    """It broke off in the middle of a line."""
    result = CliRunner().invoke(app, ["generate", "--help"], env={"COLUMNS": "80", "TERM": "dumb"})
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "Exit status: 0 when all were answered, 1 when some were, 2 when none was." in lines


def test_the_help_of_bench_run_can_be_read_at_80_columns() -> None:
    """Help texts stood in a column of 16 characters, on 212 lines."""
    result = CliRunner().invoke(app, ["bench", "run", "--help"], env={"COLUMNS": "80", "TERM": "dumb"})
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 70
    assert "…" not in result.stdout
    shared = (SamplingParams, ParseConfig)
    hidden = {"judge_prompt", "judge_suffix", "min_label_mass", "keep_agreeing"}
    for name in {field for settings in shared for field in settings.__dataclass_fields__} - hidden:
        assert f"--{name.replace('_', '-')} " in result.stdout


def test_help_texts_are_the_docstrings_of_the_fields() -> None:
    docs = field_docs(GenerateSettings)
    for settings in (SamplingParams, ParseConfig, GenerateSettings):
        assert set(settings.__dataclass_fields__) <= set(docs)
    assert docs["temperature"] == "0 is greedy."

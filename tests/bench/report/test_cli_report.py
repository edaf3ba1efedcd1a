from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from parse_engine.bench.report.summary import summarize, to_plain
from parse_engine.cli.bench import report
from parse_engine.errors import ConfigError, DataError

from .samples import doubled, record, small_run, write_run

app = typer.Typer()
app.command("report")(report.report)
app.command("export")(report.export)


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", small_run())


def test_tables_go_to_stdout_and_files_into_the_run(run: Path) -> None:
    result = call("report", run)
    assert result.exit_code == 0
    assert "sums: 4 answers per method" in result.stdout
    assert "Drafts" in result.stdout
    assert (run / "report.md").read_text().startswith("# Bench of sums")
    assert (run / "report.html").read_text().startswith("<!doctype html>")
    assert "written:" in result.stderr
    assert "written:" not in result.stdout


def test_files_go_elsewhere_when_told(run: Path, tmp_path: Path) -> None:
    call("report", run, "--output", tmp_path / "new" / "place")
    assert {path.name for path in (tmp_path / "new" / "place").iterdir()} == {"report.md", "report.html"}
    assert not (run / "report.md").exists()


def test_json_is_one_object_of_figures(run: Path) -> None:
    assert json.loads(call("report", run, "--json").stdout) == json.loads(json.dumps(to_plain(summarize(small_run()))))


def test_a_killed_run_is_reported_with_a_warning(tmp_path: Path) -> None:
    result = call("report", write_run(tmp_path, small_run()[:6], figures=None))
    assert result.exit_code == 0
    assert "warning: This run is not finished: 6 of 12" in result.stderr


def test_two_runs_are_compared(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", doubled(small_run()), machine={"cpu": "Old", "cores": 2})
    result = call("report", run, other)
    assert "Compared with" in result.stdout
    assert "over questions alone" in " ".join(result.stdout.split())
    assert "warning: sums: fewer than 12 questions" in result.stderr
    assert "warning: the runs differ in machine.cpu: Old -> Abacus" in result.stderr
    page = (run / "report.html").read_text()
    assert "machine.cpu: Old -&gt; Abacus" in page
    assert "sums: fewer than 12 questions" in page
    assert not (other / "report.md").exists()
    changes = json.loads(call("report", run, other, "--json").stdout)
    assert list(changes["sums"]) == ["target", "draft", "parse"]
    assert changes["sums"]["parse"]["speed_ratio"] == pytest.approx(1.0)


def test_without_the_target_in_both_runs_speeds_are_not_compared(run: Path, tmp_path: Path) -> None:
    other = write_run(tmp_path / "other", [record(f"q/{n}", "parse") for n in range(4)])
    said = "sums: no speeds are compared. That takes the target's own answers to the same questions"
    assert f"warning: {said}" in call("report", run, other).stderr
    assert said in (run / "report.md").read_text()
    assert json.loads(call("report", run, other, "--json").stdout)["sums"]["parse"]["speed_ratio"] is None


def test_export_writes_the_file_and_its_records(run: Path, tmp_path: Path) -> None:
    call("export", run, tmp_path / "sums.json")
    assert json.loads((tmp_path / "sums.json").read_text())["figures"]["sums"]["parse"]["answers"] == 4
    assert len((tmp_path / "records" / "sums.jsonl").read_text().splitlines()) == 12


def test_mistakes_are_errors_of_ours(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Give the directory of a run"):
        call("report", tmp_path)
    with pytest.raises(ConfigError, match=r"must end in \.json"):
        call("export", run, tmp_path / "sums.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write to"):
        call("report", run, "--output", tmp_path / "file" / "sub")


def test_without_matplotlib_it_says_what_to_install(run: Path) -> None:
    code = (
        "import sys\nsys.modules['matplotlib'] = None\n"
        "from pathlib import Path\nfrom parse_engine.cli.bench.report import report\n"
        f"report(Path({str(run)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigError: the plots need matplotlib. Install it: pip install 'parse-engine[bench]'." in done.stderr


def test_help_is_fast() -> None:
    code = (
        "import sys\nfrom parse_engine.cli.bench import report\n"
        "assert not {'torch', 'numpy', 'matplotlib', 'jinja2', 'rich.table'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

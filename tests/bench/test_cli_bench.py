from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from parse_engine.backends import load
from parse_engine.bench import lineup, passes
from parse_engine.cli import bench
from parse_engine.errors import ConfigError, DataError

from .fakes import FakeLineup

RUNNER = CliRunner()
KEYS = (
    "answers accuracy accuracy_diff accuracy_diff_ci tokens_per_s seconds_per_answer speed_ratio speed_ratio_ci "
    "throughput_ratio kept_share verify_passes draft_seconds verify_seconds continue_seconds overhead"
)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put a fake in the line-up's place; holds what it was loaded with."""
    seen: dict[str, Any] = {}

    def load(methods: Any, target: str, draft: str | None, config: Any, concurrency: int, **more: Any) -> FakeLineup:
        seen.update(target=target, draft=draft, config=config, **more)
        return FakeLineup(dict.fromkeys(("target", "draft", "parse"), "The answer is 1."))

    monkeypatch.setattr(lineup, "load_lineup", load)
    return seen


def test_json_is_one_object_with_every_figure(loaded: dict[str, Any]) -> None:
    result = RUNNER.invoke(bench.app, ["run", "--limit", "2", "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    figures = json.loads(result.stdout)
    assert list(figures) == ["tiny"]
    assert list(figures["tiny"]) == ["target", "draft", "parse"]
    assert set(KEYS.split()) < set(figures["tiny"]["parse"])


def test_a_run_for_accuracy_alone_shares_and_says_so(loaded: dict[str, Any], tmp_path: Path) -> None:
    options = ["run", "--limit", "1", "--accuracy-only", "--json", "--output", str(tmp_path / "out")]
    result = RUNNER.invoke(bench.app, options, catch_exceptions=False)
    assert loaded["share"] is True
    assert json.loads(result.stdout)["tiny"]["parse"]["speed_ratio"] is None
    assert json.loads((tmp_path / "out" / "run.json").read_text())["settings"]["accuracy_only"] is True


def test_settings_reach_the_engine_and_the_record_of_the_run(loaded: dict[str, Any], tmp_path: Path) -> None:
    options = "run --limit 1 --methods target,parse --target big --draft small --max-tokens 9 --threshold 0.7 --delta 8"
    more = ["--seed", "5", "--boundary-rule", "last-success", "--output", str(tmp_path / "out")]
    result = RUNNER.invoke(bench.app, [*options.split(), *more], catch_exceptions=False)
    assert result.exit_code == 0
    assert "parse" in result.stdout
    assert (loaded["target"], loaded["draft"], loaded["config"].threshold) == ("big", "small", 0.7)
    kept = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (kept["settings"]["target"], kept["settings"]["draft"]) == ("big", "small")
    assert kept["settings"]["config"]["boundary_rule"] == "last-success"
    assert (kept["params"]["max_tokens"], kept["params"]["seed"]) == (9, 5)


def test_the_target_alone_is_loaded_without_a_drafter(loaded: dict[str, Any]) -> None:
    RUNNER.invoke(bench.app, ["run", "--limit", "1", "--methods", "target", "--target", "big"], catch_exceptions=False)
    assert loaded["draft"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tasks", "tinny"], "Did you mean 'tiny'"),
        (["--methods", "pars"], "Did you mean 'parse'"),
        (["--methods", ","], "no method given"),
        (["--tasks", ""], "no task given"),
        (["--limit", "0"], "limit is 0"),
        (["--threshold", "2"], "threshold is 2"),
        (["--target", "big"], "needs a drafter"),
    ],
)
def test_mistakes_are_errors_of_ours(loaded: dict[str, Any], options: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RUNNER.invoke(bench.app, ["run", *options], catch_exceptions=False)


def test_missing_data_is_told_before_the_models_are_loaded(
    loaded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PARSE_ENGINE_DATA", raising=False)
    with pytest.raises(DataError, match="humanevalplus"):
        RUNNER.invoke(bench.app, ["run", "--tasks", "humaneval+"], catch_exceptions=False)
    assert loaded == {}


def test_pass_prints_sizes_medians_and_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    figures = {"prompt_tokens": 150, "draft_tokens": 256, "prefixes": 16, "rows": 806}
    figures |= passes.pass_figures({"plain": 1, "prefill": 0.5, "packed": 2, "separate": 20, "sequential_cached": 6})

    def measure(model: Any, **options: Any) -> dict[str, float]:
        seen.update(options)
        return figures

    model = SimpleNamespace(name="big", fingerprint="of big")
    monkeypatch.setattr(load, "load_pair", lambda target, draft, **options: (model, None))
    monkeypatch.setattr(passes, "measure", measure)
    file = tmp_path / "pass.json"
    options = ["pass", "--repeats", "3", "--json", "--output", str(file)]
    result = RUNNER.invoke(bench.app, options, catch_exceptions=False)
    assert json.loads(result.stdout) == figures
    written = json.loads(file.read_text())
    assert written["figures"] == figures
    assert {"command", "time", "load", "versions", "machine"} < written.keys()
    assert written["models"] == {"target": {"name": "big", "fingerprint": "of big", "origin": None}}
    assert (seen["prompt_tokens"], seen["draft_tokens"], seen["prefixes"], seen["repeats"]) == (150, 256, 16, 3)
    table = RUNNER.invoke(bench.app, ["pass"], catch_exceptions=False).stdout
    assert "806 rows" in table
    assert re.search(r"from scratch\W+20\.0000\W+10\.00", table)


def test_an_output_that_cannot_be_written_is_refused_before_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "measure", lambda **options: pytest.fail("measured"))
    with pytest.raises(ConfigError, match=r"cannot write .*Give another place"):
        RUNNER.invoke(bench.app, ["pass", "--output", str(tmp_path / "none" / "pass.json")], catch_exceptions=False)


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom parse_engine.cli.bench import app\n"
        "for command in ([], ['run'], ['report'], ['export'], ['judge'], ['serve'], ['replay'], ['pass']):\n"
        "    assert CliRunner().invoke(app, [*command, '--help']).exit_code == 0\n"
        "assert not {'torch', 'transformers', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

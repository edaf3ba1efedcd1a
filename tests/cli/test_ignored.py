"""Nothing that is given is silently ignored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from parse_engine.cli.ignored import RULES
from parse_engine.cli.settings import GenerateSettings

from .conftest import Calls, Result

Run = Callable[..., Result]

SERVED = "--target-url http://x/v1 --draft-url http://y/v1"
ALONE = "--method target"


@pytest.mark.parametrize("method", ["target", "draft"])
@pytest.mark.parametrize(
    "given",
    [
        "--judge likelihood",
        "--threshold 0.5",  # the default, but somebody meant it
        "--full-threshold 0.9",
        "--delta 4",
        "--max-prefixes 4",
        "--boundary-rule last-success",
        "--keep-agreeing",
        "--no-keep-agreeing",
        "--judge-suffix x",
        "--draft-timeout 3",
        "--attention flex_attention",
    ],
)
def test_what_only_parse_reads(run: Run, calls: Calls, method: str, given: str) -> None:
    result = run("generate", "x", "--method", method, *given.split())
    name = given.split()[0].removeprefix("--").replace("no-keep", "keep").replace("-", "_")
    assert (result.code, calls.loads) == (2, [])
    assert result.err.startswith(f"error: {name} would be ignored: it needs method parse")
    assert run("generate", "x", *given.split()).code == 0


@pytest.mark.parametrize(
    ("flags", "name", "works"),
    [
        (f"{ALONE} --draft d", "draft", "--draft d"),
        (f"{ALONE} --draft-url http://x/v1", "draft_url", "--method draft --draft-url http://x/v1"),
        (f"{ALONE} --draft-option a=1", "draft_option", "--backend vllm --target t --draft d --draft-option a=1"),
        ("--judge likelihood --judge-suffix x", "judge_suffix", "--judge fused --judge-suffix x"),
        ("--temperature 1 --keep-agreeing", "keep_agreeing", "--temperature 1 --no-keep-agreeing"),
        ("--seed 3", "seed", "--temperature 1 --seed 3"),
        ("--temperature 0 --top-p 0.9", "top_p", "--temperature 1 --top-p 0.9"),
        ("--max-prefixes 1 --delta 8", "delta", "--max-prefixes 2 --delta 8"),
        ("--max-prefixes 1 --boundary-rule last-success", "boundary_rule", "--max-prefixes 1 --threshold 0.9"),
        (f"{SERVED} --backend vllm", "backend", f"{SERVED} --backend http"),
        (f"{SERVED} --backend hf", "backend", "--target-url http://x/v1 --draft d --backend vllm"),
        (f"{SERVED} --device cpu", "device", "--target-url http://x/v1 --draft d --device cpu"),
        ("--backend vllm --device cpu", "device", "--backend hf --device cpu"),
        (f"{SERVED} --backend http --dtype float32", "dtype", "--backend vllm --target t --draft d --dtype float32"),
        ("--backend vllm --attention sdpa", "attention", "--attention sdpa"),
        ("--target-url http://x/v1 --draft d --attention sdpa", "attention", "--attention flex_attention"),
        ("--timeout 9", "timeout", "--draft-url http://x/v1 --timeout 9"),
        ("--no-label-ids", "label_ids", f"{SERVED} --no-label-ids"),
        ("--draft-url http://x/v1 --label-ids", "label_ids", f"{SERVED} --label-ids"),
        (f"{ALONE} --target-url http://x/v1 --label-ids", "label_ids", f"{SERVED} --label-ids"),
    ],
)
def test_what_only_some_back_ends_and_models_read(run: Run, calls: Calls, flags: str, name: str, works: str) -> None:
    for command in ("generate", "check"):
        result = run(command, "x", *flags.split())
        assert (result.code, calls.loads) == (2, [])
        assert result.err.startswith(f"error: {name} would be ignored: it needs ")
        assert result.err.count("\n") == 1
    assert run("generate", "x", *works.split()).code == 0


def test_several_are_named_together(run: Run, calls: Calls) -> None:
    result = run("generate", "x", "--method", "target", "--threshold", "0.9", "--delta", "4")
    assert result.err == (
        "error: delta, threshold would be ignored: they need method parse, the only one that judges. Drop them, or "
        "change the rest.\n"
    )


def test_a_file_is_refused_for_what_it_says_itself_and_not_for_what_a_flag_overrides(
    run: Run, calls: Calls, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("threshold = 0.9\n")
    assert run("generate", "x", "--config", str(file), "--method", "target").code == 0
    file.write_text('threshold = 0.9\nmethod = "target"\n')
    result = run("generate", "x", "--config", str(file))
    assert result.code == 2
    assert "settings.toml: threshold would be ignored" in result.err
    file.write_text('method = "target"\n')
    assert run("generate", "x", "--config", str(file), "--threshold", "0.9").code == 2


@pytest.mark.parametrize(
    ("setting", "flags"),
    [("seed = 3", "--temperature 1"), ("timeout = 9", SERVED), ("delta = 8\nmax_prefixes = 1", "--max-prefixes 4")],
)
def test_what_a_file_says_may_have_its_effect_by_a_flag(
    run: Run, calls: Calls, tmp_path: Path, setting: str, flags: str
) -> None:
    """Such a file was refused whatever stood beside it."""
    file = tmp_path / "settings.toml"
    file.write_text(setting)
    assert run("generate", "x", "--config", str(file), *flags.split()).code == 0
    result = run("generate", "x", "--config", str(file))
    assert (result.code, "would be ignored" in result.err) == (2, True)


@pytest.mark.parametrize(
    ("lines", "refused"), [('judge = "likelihood"', True), ('judge = "fused"', False), ('judge = "prompt"', False)]
)
def test_what_only_a_judge_that_asks_reads(run: Run, calls: Calls, tmp_path: Path, lines: str, refused: bool) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"{lines}\nmin_label_mass = 0.2")
    result = run("generate", "x", "--config", str(file))
    assert ("min_label_mass would be ignored" in result.err) == refused
    assert (result.code == 2) == refused


def test_sampling_that_a_line_may_need_and_one_that_it_does_not(run: Run, calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "one", "temperature": 1}\n{"prompt": "two", "seed": 4}\n')
    result = run("generate", "--file", str(file), "--seed", "3")
    assert (result.code, calls.prompts) == (1, ["one"])
    assert f"{file} line 2: seed would be ignored: it needs sampling (temperature above 0)" in result.err
    (tmp_path / "p.txt").write_text("one\n")
    assert "seed would be ignored" in run("generate", "--file", str(tmp_path / "p.txt"), "--seed", "3").err


def test_rules_are_of_settings_that_there_are() -> None:
    known = {field.name for field in fields(GenerateSettings)}
    assert all(rule.names <= known for rule in RULES)

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from parse_engine.config import ParseConfig, SamplingParams
from parse_engine.errors import BackendError
from tests.calibration.profiles import make_profile
from tests.render.samples import KEPT, REWRITTEN

from .conftest import Calls, Result

Run = Callable[..., Result]


def test_the_text_goes_to_stdout_and_nothing_to_stderr(run: Run, calls: Calls) -> None:
    result = run("generate", "How many rolls?")
    assert (result.code, result.out, result.err) == (0, KEPT + REWRITTEN + "\n", "")
    assert calls.prompts == ["How many rolls?"]
    assert calls.loads == [
        {
            "target": "embedded-target",
            "draft": "embedded-drafter",
            "config": ParseConfig(),
            "profile": None,
            "concurrency": None,
            "draft_timeout": None,
            "backend": "hf",
            "target_url": None,
            "draft_url": None,
            "device": "auto",
            "dtype": "auto",
            "attention": "sdpa",
            "target_options": {},
            "draft_options": {},
        }
    ]
    assert calls.params == [SamplingParams()]
    assert calls.options == [{"method": "parse", "raw": False, "thinking": None}]


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("What is the capital of France?", 1),
        ("How many people live in Rome?", 1),
        ("Ada has 3 cups. In May Ada finds 2 cups. How many cups does Ada have at the end?", 0),
    ],
)
def test_the_embedded_pair_says_what_it_can_do(run: Run, calls: Calls, prompt: str, told: int) -> None:
    """Asked anything else it told confident nonsense, and nobody knew why."""
    calls.target = "embedded-target"
    result = run("generate", prompt)
    assert (result.code, result.err.count("\n")) == (0, told)
    assert ("can only do short word problems about counts" in result.err) == bool(told)


def test_answers_of_several_prompts_are_parted_by_an_empty_line(run: Run, calls: Calls) -> None:
    result = run("generate", "one", "two", "--method", "target")
    assert result.out == "The answer is 27.\n\nThe answer is 27.\n"
    assert len(calls.loads) == 1


def test_json_is_one_object_per_prompt_and_nothing_else(run: Run, calls: Calls) -> None:
    calls.warnings = ("the labels got little.",)
    result = run("generate", "one", "two", "--json")
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert len(rows) == 2
    assert rows[0]["text"] == KEPT + REWRITTEN
    assert set(rows[0]) == {"prompt", "text", "thinking", "finish_reason", "usage", "trace"}
    assert [row["prompt"] for row in rows] == [1, 2]
    assert "prompt" not in json.loads(run("generate", "one", "--json").out)
    assert rows[0]["usage"] == {"prompt_tokens": 29, "completion_tokens": 45}
    assert rows[0]["trace"]["boundaries"][3] == {"end": 32, "p": 0.21, "label_mass": 0.97, "accepted": False}
    assert result.err == "warning: prompt 1: the labels got little.\nwarning: prompt 2: the labels got little.\n"


def test_every_flag_arrives(run: Run, calls: Calls) -> None:
    flags = "--max-tokens 9 --temperature 0.7 --top-p 0.9 --seed 3 --stop A --stop B --judge fused"
    flags += " --threshold 0.6 --full-threshold 0.7 --delta 4 --max-prefixes 5 --boundary-rule last-success"
    flags += " --judge-suffix ok? --device cpu --dtype float32 --no-thinking --target t --draft d"
    assert run("generate", "x", *flags.split()).code == 0
    assert calls.params == [SamplingParams(max_tokens=9, temperature=0.7, top_p=0.9, seed=3, stop=("A", "B"))]
    load = calls.loads[0]
    assert load["config"] == ParseConfig(
        judge="fused",
        threshold=0.6,
        full_threshold=0.7,
        delta=4,
        max_prefixes=5,
        boundary_rule="last-success",
        judge_suffix="ok?",
    )
    assert (load["target"], load["draft"], load["device"], load["dtype"]) == ("t", "d", "cpu", "float32")
    assert calls.options == [{"method": "parse", "raw": False, "thinking": False}]
    assert run("generate", "x", "--raw").code == 0
    assert calls.options[-1] == {"method": "parse", "raw": True, "thinking": None}


def test_engines_and_addresses_arrive(run: Run, calls: Calls) -> None:
    calls.concurrency = 8
    flags = "--backend vllm --target t --draft-url http://x/v1 --concurrency 8 --draft-timeout 2.5 --timeout 9"
    options = ["--target-option", "tensor_parallel_size=2", "--target-option", 'speculative-config={"method": "ngram"}']
    assert run("generate", "x", *flags.split(), *options, "--target-option", "quantization=fp8").code == 0
    load = calls.loads[0]
    assert (load["backend"], load["target"], load["draft"], load["draft_url"]) == ("vllm", "t", "auto", "http://x/v1")
    assert (load["concurrency"], load["draft_timeout"], load["timeout"]) == (8, 2.5, 9)
    assert load["target_options"] == {
        "tensor_parallel_size": 2,
        "speculative_config": {"method": "ngram"},
        "quantization": "fp8",
    }


def test_more_at_a_time_than_the_models_can_is_said(run: Run, calls: Calls) -> None:
    """`--concurrency` was ignored on transformers."""
    result = run("generate", "x", "--concurrency", "8")
    assert result.code == 0
    assert result.err == "warning: these models give one answer at a time, so concurrency 8 changes nothing\n"
    calls.concurrency = 8
    assert run("generate", "x", "--concurrency", "8").err == ""


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--backend vlm", "'hf' or 'vllm' or 'http'"),
        ("--target-option tensor", "KEY=VALUE"),
        ("--concurrency 0", "at least 1"),
        ("--draft-timeout 0", "above 0"),
        ("--target-url http://x/v1", "--draft-url URL"),
    ],
)
def test_engine_settings_that_cannot_be(run: Run, calls: Calls, flags: str, message: str) -> None:
    result = run("generate", "x", *flags.split())
    assert (result.code, calls.loads) == (2, [])
    assert message in result.err


def test_several_prompts_are_answered_together_where_the_models_can(run: Run, calls: Calls) -> None:
    calls.concurrency = 4
    calls.steps = {"one": 5}
    result = run("generate", "one", "two", "three", terminal=("stderr",))
    assert result.out == "\n".join([KEPT + REWRITTEN + "\n"] * 3)
    assert calls.prompts == ["two", "three", "one"]


def test_a_target_that_dies_leaves_the_text_and_names_the_phase(run: Run, calls: Calls) -> None:
    calls.error = error = BackendError("the engine stopped.")
    error.phase, error.text = "continue", "So far"
    result = run("generate", "one")
    assert (result.code, result.out) == (2, "So far\n")
    assert "the engine stopped. (phase: continue)" in result.err
    result = run("generate", "one", "--json")
    message = "the engine stopped. (phase: continue)"
    assert json.loads(result.out) == {
        "error": {"message": message, "type": "BackendError", "phase": "continue", "text": "So far"}
    }


def test_the_config_file_is_overridden_by_flags(run: Run, calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text('threshold = 0.9\nmax-tokens = 7\nmethod = "parse"\nstop = ["END"]\njudge_prompt = "v1"\n')
    assert run("generate", "x", "--config", str(file), "--threshold", "0.5").code == 0
    assert calls.loads[0]["config"].threshold == 0.5  # the default, but given by flag
    assert calls.params == [SamplingParams(max_tokens=7, stop=("END",))]


def test_the_embedded_drafter_belongs_to_the_embedded_target_alone(run: Run, calls: Calls) -> None:
    result = run("generate", "x", "--target", "big")
    assert result.code == 2
    assert "needs a drafter" in result.err
    assert "--draft NAME" in result.err
    assert "--method target" in result.err
    assert run("generate", "x", "--target", "big", "--method", "target").code == 0
    assert calls.loads[-1]["draft"] is None


def test_the_html_page_is_written(run: Run, calls: Calls, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    assert run("generate", "How <many>?", "--html", str(file)).code == 0
    html = file.read_text(encoding="utf-8")
    assert "How &lt;many&gt;?" in html
    assert "<dt>Target</dt><dd>embedded-target</dd>" in html
    served = "--target-url http://x/v1 --target t --draft d --threshold 0.9"
    assert run("generate", "x", "--html", str(file), *served.split()).code == 0
    html = file.read_text(encoding="utf-8")
    assert "<dt>Target</dt><dd>t at http://x/v1</dd>" in html
    assert "<dt>Drafter</dt><dd>d</dd>" in html
    assert "0.9: a prefix passes" in html
    assert "<dt>Profile</dt>" not in html
    assert run("generate", "x", "--html", str(file), "--target-url", "http://x/v1", "--draft", "d").code == 0
    assert "<dt>Target</dt><dd>the model at http://x/v1</dd>" in file.read_text(encoding="utf-8")
    make_profile().save(own := tmp_path / "own.profile")
    assert run("generate", "x", "--html", str(file), "--profile", str(own)).code == 0
    assert f"<dt>Profile</dt><dd>{own}</dd>" in file.read_text(encoding="utf-8")


def test_on_a_terminal_the_text_stands_on_stdout_once_and_the_summary_on_stderr(run: Run, calls: Calls) -> None:
    result = run("generate", "x", terminal=("stdout", "stderr"))
    assert result.out.count("27 rolls") == 1
    assert result.err.rstrip().splitlines()[-1].count("kept 24 of 44 tokens") == 1


def test_with_stdout_redirected_the_view_stays_on_the_terminal(run: Run, calls: Calls) -> None:
    result = run("generate", "x", terminal=("stderr",))
    assert result.out == KEPT + REWRITTEN + "\n"
    assert "0.21✗" in result.err


@pytest.mark.parametrize("flags", [("--quiet",), ("--quiet", "--json")])
def test_quiet_shows_only_warnings(run: Run, calls: Calls, flags: tuple[str, ...]) -> None:
    calls.warnings = ("beware.",)
    result = run("generate", "x", *flags, terminal=("stderr",))
    assert result.err.replace("\x1b[0m", "") == "warning: beware.\n"


def test_control_c_ends_quietly(run: Run, calls: Calls) -> None:
    calls.error = KeyboardInterrupt()
    result = run("generate", "x")
    assert (result.code, result.out, result.err) == (130, "", "")

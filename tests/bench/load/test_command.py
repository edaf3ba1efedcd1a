"""`bench serve` against a scripted server: what it prints, refuses and keeps; and its figures against vLLM's own."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from parse_engine.cli.bench.serve import serve
from parse_engine.errors import BackendError, ConfigError
from tests.bench.load.scripted import Script
from tests.servers import Front, VLLMServer, free_port, refusal

APP = typer.Typer()
APP.command()(serve)


def command(server: Front | str, *arguments: str) -> Result:
    url = server if isinstance(server, str) else server.url
    base = ["--base-url", url, "--dataset-name", "tiny", "--num-prompts", "3", "--disable-tqdm"]
    return CliRunner().invoke(APP, [*base, *arguments])


def test_json_has_the_keys_of_vllm(server: Front, tmp_path: Path) -> None:
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    options = ["--request-rate", "100", "--temperature", "0.5", "--ignore-eos", "--extra-body", json.dumps(extra)]
    where = ["--save-result", "--result-dir", str(tmp_path / "runs"), "--result-filename", "x.json"]
    result = command(server, *options, "--max-tokens", "11", "--model", "other", "--json", *where)
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert json.loads((tmp_path / "runs" / "x.json").read_text()) == values
    expected = {"completed": 3, "failed": 0, "total_input_tokens": 21, "total_output_tokens": 12, "num_prompts": 3}
    expected |= {"model_id": "other", "backend": "openai-chat", "request_rate": 100.0, "burstiness": 1.0, "seed": 0}
    assert expected.items() <= values.items()
    for metric in ("ttft", "tpot", "itl", "e2el"):
        assert all(values[f"{kind}_{metric}_ms"] >= 0 for kind in ("mean", "median", "std", "p99"))
    assert {"command", "versions", "machine", "dataset_sha256"} <= set(values)
    assert "itls" not in values
    body = server.bodies[0]
    assert (body["model"], body["max_completion_tokens"], body["temperature"]) == ("other", 11, 0.5)
    assert body["ignore_eos"] is True
    assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_tables_for_people_and_details_for_programs(server: Front) -> None:
    result = command(server, "--goodput", "ttft:60000", "--goodput", "e2el:60000", "--metric-percentiles", "50,99.9")
    assert result.exit_code == 0
    for text in ("requests completed", "good requests per second", "TTFT: time to first token", "p99.9"):
        assert text in result.stdout
    # Server and client share this process, so it may say that the client is short of processor time.
    assert [line for line in result.stderr.splitlines() if "processor core" not in line] == []
    detailed = json.loads(command(server, "--json", "--save-detailed").stdout)
    assert [len(gaps) for gaps in detailed["itls"]] == [3, 3, 3]
    assert detailed["generated_texts"] == ["word " * 4] * 3


def test_failures_are_told_with_the_first_error(server: Front) -> None:
    server.faults = iter([500])
    result = command(server, "--max-concurrency", "1")
    assert result.exit_code == 0
    assert "1 of 3 requests failed. The first error: the server answered 500" in result.stderr
    server.faults = repeat(500)
    result = command(server, "--json")
    assert result.exit_code == 1
    assert (json.loads(result.stdout)["completed"], json.loads(result.stdout)["mean_ttft_ms"]) == (0, None)


def test_a_server_that_does_not_count_is_named(server: Front, script: Script) -> None:
    script.usage = False
    result = command(server)
    assert "gave no token counts (usage) for 3 of 3 answers" in result.stderr
    assert "not known" in result.stdout


def test_a_dead_server_is_one_line() -> None:
    result = command(f"http://127.0.0.1:{free_port()}")
    assert isinstance(result.exception, BackendError)
    assert "cannot be reached" in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_server_without_a_list_of_models_needs_a_name(server: Front, script: Script) -> None:
    server.answer = lambda method, path, body: refusal("no", 404) if path.endswith("models") else script("", path, body)
    assert "answered 404" in str(command(server).exception)
    assert command(server, "--model", "m").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset-name", "tony"], "unknown dataset 'tony'. Did you mean 'tiny'?"),
        (["--dataset-name", "custom"], "needs --dataset-path"),
        (["--dataset-name", "random"], "random prompts need the tokenizer of scripted"),
        (["--result-dir", "x"], "result_dir and result_filename are of --save-result"),
        (["--extra-body", "[1]"], "extra_body is '[1]'; it must be a JSON object"),
        (["--request-rate", "0"], "request_rate is 0.0; it must be above 0"),
        (["--save-result", "--result-dir", "/proc/none"], "cannot make the folder /proc/none"),
    ],
)
def test_settings_that_will_not_do(server: Front, arguments: list[str], message: str) -> None:
    result = command(server, *arguments)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
    assert not server.bodies


@pytest.mark.slow
def test_ctrl_c_prints_what_was_measured(server: Front) -> None:
    server.faults = iter([None, None, *repeat("hang", 8)])
    code = "import typer\nfrom parse_engine.cli.bench.serve import serve\ntyper.run(serve)\n"
    options = f"--base-url {server.url} --dataset-name tiny --num-prompts 9 --max-concurrency 1 --json --disable-tqdm"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *options.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: len(server.bodies) == 3)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=600)
    assert process.returncode == 130
    values = json.loads(stdout)
    assert (values["completed"], values["failed"], values["interrupted"]) == (2, 0, True)
    assert "interrupted: the figures are of the 2 requests that had ended" in stderr


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# A real server


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of what vLLM imports
def test_the_figures_are_those_of_vllms_own_code() -> None:
    """A load on vLLM, and its figures computed by vLLM's benchmark from the same times."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    real = VLLMServer("embedded-target")
    try:
        real.wait()
        options = "--random-input-len 50 --random-output-len 16 --num-prompts 8 --request-rate 8 --temperature 0"
        result = command(real.url, "--dataset-name", "random", *options.split(), "--json", "--save-detailed")
    finally:
        real.kill()
    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert (values["completed"], values["total_output_tokens"]) == (8, 8 * 16)
    template = values["total_input_tokens"] / 8 - 50
    assert template == int(template) > 0

    from vllm.benchmarks.lib.endpoint_request_func import RequestFuncOutput
    from vllm.benchmarks.serve import calculate_metrics

    columns = zip(*(values[name] for name in COLUMNS.values()), strict=True)
    outputs = [RequestFuncOutput(success=True, **dict(zip(COLUMNS, row, strict=True))) for row in columns]
    theirs, _ = calculate_metrics([], outputs, values["duration"], None, [99.0], {})
    for name in SAME:
        assert values[name] == pytest.approx(getattr(theirs, name)), name
    for metric in ("ttft", "tpot", "itl", "e2el"):
        for kind in ("mean", "median", "std"):
            name = f"{kind}_{metric}_ms"
            assert values[name] == pytest.approx(getattr(theirs, name)), name
        assert values[f"p99_{metric}_ms"] == pytest.approx(getattr(theirs, f"percentiles_{metric}_ms")[0][1])


# Field of vLLM's record of a request -> key of our details
COLUMNS = {
    "prompt_len": "input_lens",
    "output_tokens": "output_lens",
    "ttft": "ttfts",
    "itl": "itls",
    "latency": "latencies",
    "start_time": "start_times",
}
SAME = ("completed", "request_throughput", "output_throughput", "total_token_throughput", "max_concurrent_requests")

"""Figures of a load against values computed by hand, its arrivals, and its prompts."""

from __future__ import annotations

import itertools
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import pytest

from parse_engine.bench.load import prompts
from parse_engine.bench.load.client import Outcome
from parse_engine.bench.load.metrics import Wanted, details, figures, most_at_once
from parse_engine.bench.load.report import warnings
from parse_engine.bench.load.run import Load, Run, arrivals
from parse_engine.errors import ConfigError, DataError
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer

ALL = ("ttft", "tpot", "itl", "e2el", "client_queue_time", "e2el_including_client_queue")


def outcome(start: float, chunks: Sequence[float], outputs: int | None = None, inputs: int | None = 10) -> Outcome:
    """Due 0.5 s before it was sent; `chunks` are seconds from then."""
    times = [start + after for after in chunks]
    count = len(chunks) if outputs is None else outputs
    return Outcome(start - 0.5, start - 0.4, start, times, "x" * len(times), inputs, count)


def test_every_figure_by_hand() -> None:
    # Chunks are not tokens: the second answer's three chunks bring five tokens, the third is one token long.
    done = [outcome(100.0, [0.1, 0.2, 0.4]), outcome(100.5, [0.2, 0.5, 1.0], 5), outcome(103.0, [0.3], inputs=30)]
    failed = Outcome(104.0, 104.0, 104.0, [104.1], "y", 10, 1, error="it broke")
    wanted = Wanted(ALL, (50.0, 99.9), (("ttft", 250.0), ("e2el", 500.0)))
    values = figures(Run([*done, failed], 4.0, False, cpu=1.0), wanted)
    expected = {
        "duration": 4.0,
        "completed": 3,
        "failed": 1,
        "total_input_tokens": 50,
        "total_output_tokens": 9,
        "request_throughput": 0.75,
        "request_goodput": 0.25,
        "output_throughput": 2.25,
        "total_token_throughput": 14.75,
        "max_concurrent_requests": 2,
        "max_client_lag_ms": 100.0,
        "client_cpu_share": 0.25,
        "mean_ttft_ms": 200.0,
        "median_ttft_ms": 200.0,
        "std_ttft_ms": 1000 * math.sqrt(0.02 / 3),
        "p50_ttft_ms": 200.0,
        "p99.9_ttft_ms": 299.8,
        # (0.4 - 0.1) / 2 and (1.0 - 0.2) / 4; one token has no time per token after the first
        "mean_tpot_ms": 175.0,
        "median_tpot_ms": 175.0,
        "std_tpot_ms": 25.0,
        "p50_tpot_ms": 175.0,
        "p99.9_tpot_ms": 199.95,
        # 0.1, 0.2, 0.3 and 0.5
        "mean_itl_ms": 275.0,
        "median_itl_ms": 250.0,
        "std_itl_ms": 1000 * math.sqrt(0.0875 / 4),
        "p50_itl_ms": 250.0,
        "p99.9_itl_ms": 499.4,
        "mean_e2el_ms": 1700 / 3,
        "median_e2el_ms": 400.0,
        "std_e2el_ms": 1000 * statistics.pstdev([0.4, 1.0, 0.3]),
        "p50_e2el_ms": 400.0,
        "p99.9_e2el_ms": 998.8,
        "mean_client_queue_time_ms": 500.0,
        "median_client_queue_time_ms": 500.0,
        "std_client_queue_time_ms": 0.0,
        "p50_client_queue_time_ms": 500.0,
        "p99.9_client_queue_time_ms": 500.0,
        "mean_e2el_including_client_queue_ms": 3200 / 3,
        "median_e2el_including_client_queue_ms": 900.0,
        "std_e2el_including_client_queue_ms": 1000 * statistics.pstdev([0.9, 1.5, 0.8]),
        "p50_e2el_including_client_queue_ms": 900.0,
        "p99.9_e2el_including_client_queue_ms": 1498.8,
    }
    assert list(values) == list(expected)
    assert values == pytest.approx(expected, abs=1e-6)


def test_seconds_of_the_most_requests_are_counted_from_the_first_start() -> None:
    # 0.9 to 1.1 reaches into two seconds, and meets one request in each.
    assert most_at_once([outcome(100.0, [0.5]), outcome(100.9, [0.2]), outcome(101.95, [0.01])]) == 2
    assert most_at_once([outcome(100.0, [0.5]), outcome(101.0, [0.5]), outcome(102.0, [0.5])]) == 1
    assert most_at_once([]) == 0


def test_what_is_not_known_is_none() -> None:
    """Counts that the server does not give are not made up, and a mean of nothing is not 0."""
    uncounted = Outcome(0.0, 0.0, 0.0, [0.1, 0.2], "hello", None, None)
    values = figures(Run([uncounted, outcome(1.0, [0.1, 0.2])], 2.0, False), Wanted(goodput=(("tpot", 1e6),)))
    names = ("total_input_tokens", "total_output_tokens", "output_throughput", "total_token_throughput")
    assert [values[name] for name in (*names, "request_goodput")] == [None] * 5
    assert (values["completed"], values["mean_tpot_ms"]) == (2, pytest.approx(100.0))
    nothing = figures(Run([], 1.0, True), Wanted())
    assert (nothing["completed"], nothing["request_throughput"], nothing["mean_ttft_ms"]) == (0, 0.0, None)
    assert json.dumps(nothing, allow_nan=False)


def test_a_client_that_does_not_keep_up_is_told() -> None:
    run = Run([outcome(0.0, [0.1])], 1.0, False, cpu=0.9)
    load = Load(request_rate=5.0)
    lag, busy = warnings(run, load, figures(run, Wanted()) | {"max_client_lag_ms": 250.0})
    assert "this client was up to 250 ms late to send" in lag
    assert "this client took 90% of a processor core" in busy
    assert warnings(run, load, {"max_client_lag_ms": 90.0, "client_cpu_share": 0.5}) == []


def test_details_of_a_request_that_never_began() -> None:
    run = Run([Outcome(1.0, 1.0, 1.0, error="no"), outcome(2.0, [0.25, 0.5])], 1.0, False)
    rows = details(run)
    assert (rows["ttfts"], rows["latencies"], rows["itls"]) == ([None, 0.25], [None, 0.5], [[], [0.25]])
    assert (rows["errors"], rows["queue_times"], rows["output_lens"]) == (["no", ""], [0.0, 0.5], [None, 2])


def test_a_goal_is_met_by_its_exact_value() -> None:
    run = Run([outcome(0.0, [0.25, 0.5])], 1.0, False)
    assert figures(run, Wanted(goodput=(("ttft", 250.0), ("tpot", 250.0))))["request_goodput"] == 1.0
    assert figures(run, Wanted(goodput=(("ttft", 250.0), ("tpot", 249.0))))["request_goodput"] == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ttft,tpt", "99", ()), r"percentile_metrics has 'tpt'\. Did you mean 'tpot'\?"),
        (("ttft", "50,x", ()), "metric_percentiles has 'x', where a number is due"),
        (("ttft", "101", ()), "metric_percentiles has 101; percentiles are from 0 to 100"),
        (("ttft", "99", ("itl:5",)), r"goodput has 'itl'\..* It takes ttft, tpot, e2el"),
        (("ttft", "99", ("ttft",)), "goodput has '', where a number is due"),
        (("ttft", "99", ("ttft:-1",)), "goodput has '-1', where a number is due"),
    ],
)
def test_figures_that_cannot_be_had(arguments: tuple[str, str, Sequence[str]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Wanted.parse(*arguments)


@pytest.mark.parametrize("burstiness", [0.25, 1.0, 4.0])
def test_gaps_are_of_a_gamma_distribution(burstiness: float) -> None:
    times = arrivals(Load(request_rate=8.0, burstiness=burstiness, seed=3), 20_000)
    gaps = [after - before for before, after in itertools.pairwise([0.0, *times])]
    assert times[-1] == pytest.approx(20_000 / 8)
    assert statistics.fmean(gaps) == pytest.approx(1 / 8)
    assert statistics.pstdev(gaps) * 8 == pytest.approx(1 / math.sqrt(burstiness), rel=0.05)
    # Of a Poisson process, 1 - 1/e of the gaps are shorter than the mean.
    if burstiness == 1.0:
        assert sum(gap < 1 / 8 for gap in gaps) / len(gaps) == pytest.approx(1 - 1 / math.e, abs=0.01)


def test_arrivals_are_by_seed_and_even_or_at_once_where_asked() -> None:
    assert arrivals(Load(request_rate=2.0, seed=1), 5) == arrivals(Load(request_rate=2.0, seed=1), 5)
    assert arrivals(Load(request_rate=2.0, seed=1), 5) != arrivals(Load(request_rate=2.0, seed=2), 5)
    assert arrivals(Load(request_rate=4.0, burstiness=math.inf), 3) == pytest.approx([0.25, 0.5, 0.75])
    assert arrivals(Load(), 3) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("bad", [{"request_rate": 0.0}, {"burstiness": -1.0}, {"request_rate": math.nan}])
def test_a_rate_or_a_shape_that_is_none(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be above 0"):
        Load(**bad)  # type: ignore[arg-type]


def test_prompts_are_drawn_by_seed_and_again_where_there_are_too_few() -> None:
    known = [f"prompt {number}" for number in range(6)]
    drawn = prompts.draw(known, 4, seed=1)
    assert drawn == prompts.draw(known, 4, seed=1)
    assert drawn != prompts.draw(known, 4, seed=2)
    assert prompts.draw(known, 4, seed=1, shuffle=False) == known[:4]
    more = prompts.draw(known, 9, seed=1)
    assert (len(more), set(more)) == (9, set(known))
    assert len(prompts.draw(known, 9, seed=1, oversample=False)) == 6


def test_datasets_are_known_by_either_dash() -> None:
    assert prompts.check_dataset("humaneval+", None) == "humaneval+"
    assert prompts.check_dataset("spec_bench", None) == prompts.check_dataset("spec-bench", None) == "spec-bench"
    assert prompts.check_dataset("custom", Path("x.jsonl")) == "custom"
    assert prompts.known_prompts("tiny", None)[0]
    for name, path, message in (
        ("randon", None, "Did you mean 'random'"),
        ("custom", None, "needs --dataset-path"),
        ("tiny", Path("x"), "takes no --dataset-path"),
    ):
        with pytest.raises(ConfigError, match=message):
            prompts.check_dataset(name, path)


def test_prompts_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    # A line separator inside a text, which str.splitlines would cut at, and an empty line.
    path.write_text('{"prompt": "a\u2028b"}\n\n{"prompt": "c", "more": 1}\n', encoding="utf-8")
    assert prompts.known_prompts("custom", path) == ["a\u2028b", "c"]
    for content, message in (
        ('{"prompt": "a"}\n{"text": "b"}\n', "row 2 of .* has no prompt"),
        ("nonsense\n", "is not JSONL"),
        ("\n", "has no rows"),
    ):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(DataError, match=message):
            prompts.known_prompts("custom", path)
    with pytest.raises(DataError, match="No such file"):
        prompts.known_prompts("custom", tmp_path / "absent")


@pytest.mark.parametrize("merged", [(), (" apple", " pear", " plum")])
def test_random_prompts_have_the_tokens_that_were_asked_for(merged: tuple[str, ...]) -> None:
    codec = Codec(byte_tokenizer(merged))
    texts = prompts.random_prompts(codec, 5, 40, seed=0)
    assert [len(codec.encode(text)) for text in texts] == [40] * 5
    assert len(set(texts)) == 5
    assert texts == prompts.random_prompts(codec, 5, 40, seed=0)
    if merged:
        assert set("".join(texts).split()) == {"apple", "pear", "plum"}

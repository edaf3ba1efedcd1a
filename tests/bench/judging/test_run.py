from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from parse_engine import ParseConfig
from parse_engine.bench.judging.processbench import Solution, load_solutions
from parse_engine.bench.judging.run import Panel, judge_solutions, step_ends
from parse_engine.bench.provenance import hold
from parse_engine.cli import bench
from parse_engine.errors import BackendError, ConfigError, DataError, UnsupportedModelError
from parse_engine.prefix.judges import Fit, Weights
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

SOLUTIONS = [
    Solution("a", "How many?", ("Two and two are four.", "So it is four."), 2),
    Solution("b", "How many?", ("Two and two are five.", "So it is five.", "Done."), 0),
]


def panel(target: ScriptedModel, *judges: str) -> Panel:
    return Panel.of(judges, ParseConfig(), target)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


def test_every_prefix_of_steps_is_judged_in_one_pass(codec: Codec, tmp_path: Path) -> None:
    target = ScriptedModel(codec, "", lambda prefix: 0.1 if "five" in prefix else 0.9)
    file = tmp_path / "judged.jsonl"
    judged = asyncio.run(judge_solutions(panel(target, "prompt", "likelihood"), SOLUTIONS, file))
    assert len(target.verified) == 2
    texts = [codec.decode(target.verified[0].draft[:end]) for end in target.verified[0].boundaries]
    assert texts == ["Two and two are four.", "Two and two are four.\n\nSo it is four."]
    assert [each.truth for each in judged] == [[True, True], [False] * 3]
    assert [each.confidences["prompt"] for each in judged] == [[0.9, 0.9], pytest.approx([0.1] * 3)]
    assert judged[0].confidences["likelihood"] == [1.0, 1.0]
    assert judged[0].suffix_tokens == sum(map(len, target.verified[0].suffixes)) > 0
    # Going on asks nothing again.
    again = asyncio.run(judge_solutions(panel(target, "prompt", "likelihood"), SOLUTIONS, file))
    assert len(target.verified) == 2
    assert [each.confidences for each in again] == [each.confidences for each in judged]
    with file.open("a") as lines:
        lines.write('{"id": "c')  # a line that was being written
    asyncio.run(judge_solutions(panel(target, "prompt", "likelihood"), SOLUTIONS, file))
    assert len(file.read_text().splitlines()) == 2
    with pytest.raises(DataError, match="has other judges than prompt"):
        asyncio.run(judge_solutions(panel(target, "prompt"), SOLUTIONS, file))


def test_the_likelihood_judge_adds_no_tokens(codec: Codec) -> None:
    target = ScriptedModel(codec, "")
    judged = asyncio.run(judge_solutions(panel(target, "likelihood"), SOLUTIONS))
    assert target.verified[0].suffixes == ()
    assert (judged[0].suffix_tokens, judged[0].label_mass) == (0, ())


def test_a_fitted_judge_reads_what_the_drafter_thinks_of_a_solution(codec: Codec) -> None:
    """It has not written the solution, so it is asked for its log-probabilities of it in a pass of its own."""
    target, drafter = ScriptedModel(codec, ""), ScriptedModel(codec, "")
    weights = Weights(("prefix.gap",), np.array([1.0]), 2.0)
    own = Panel.of(["prompt", "fused"], ParseConfig(), target, drafter, {"fused": Fit(weights, weights)})
    [judged] = asyncio.run(judge_solutions(own, SOLUTIONS[:1]))
    assert [request.signals for request in drafter.verified] == [{"logprobs"}]
    assert len(target.verified) == 1
    assert judged.confidences["fused"] == pytest.approx([1 / (1 + np.exp(-2.0))] * 2)  # scripted models are sure
    with pytest.raises(ConfigError, match="reads the drafter's own probabilities"):
        Panel.of(["fused"], ParseConfig(), target, None, {"fused": Fit(weights, weights)})


def test_what_a_back_end_does_not_tell_is_found_out_before_anything_is_judged(codec: Codec) -> None:
    """The first solution came to an AssertionError or a KeyError instead."""
    target, drafter = ScriptedModel(codec, ""), ScriptedModel(codec, "")
    hidden, drafted = (Weights((name,), np.array([1.0]), 0.0) for name in ("hidden.mean", "prefix.gap"))
    with pytest.raises(UnsupportedModelError, match="judge 'head' reads hidden of scripted, which its back end does"):
        Panel.of(["prompt", "head"], ParseConfig(), target, None, {"head": Fit(hidden, hidden)})
    fused = {"fused": Fit(drafted, drafted)}
    drafter.signals = frozenset({"sampled"})
    with pytest.raises(UnsupportedModelError, match=r"judge 'fused' reads logprobs of scripted.* It tells sampled"):
        Panel.of(["fused"], ParseConfig(), target, drafter, fused)
    target.signals, drafter.signals = frozenset(), frozenset({"logprobs"})
    with pytest.raises(UnsupportedModelError, match=r"judge 'likelihood' reads logprobs.* nothing but verdicts"):
        panel(target, "likelihood")
    target.signals = frozenset({"logprobs"})
    assert [*Panel.of(["fused"], ParseConfig(), target, drafter, fused).judges] == ["fused"]


def test_ends_of_steps_are_ends_of_tokens(codec: Codec) -> None:
    tokens, ends = step_ends(codec, ["né", "b", "c\n"])
    assert [codec.decode(tokens[:end]) for end in ends] == ["né", "né\n\nb", "né\n\nb\n\nc\n"]


def test_data_of_processbench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARSE_ENGINE_DATA", str(tmp_path))
    rows = [
        {"id": "x-0", "problem": "How many?", "steps": ["a", "b"], "label": -1},
        {"id": "x-1", "problem": "How many?", "steps": ["a", "b"], "label": 1},
    ]
    (tmp_path / "processbench_gsm8k.json").write_text(json.dumps(rows))
    solutions = load_solutions("processbench-gsm8k")
    assert {solution.id: (solution.valid, solution.right) for solution in solutions} == {
        "x-0": (2, True),
        "x-1": (1, False),
    }
    (tmp_path / "processbench_gsm8k.json").write_text("[{}]")
    with pytest.raises(DataError, match="cannot be read: KeyError"):
        load_solutions("processbench-gsm8k")
    with pytest.raises(ConfigError, match="Did you mean 'processbench-math'"):
        load_solutions("processbench-maths")


def test_the_command_judges_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded target knows sums of its own kind only; what counts here is the way from data to figures."""
    monkeypatch.setenv("PARSE_ENGINE_DATA", str(tmp_path))
    rows = [
        {
            "id": f"x-{n}",
            "problem": "Ada has 12 apples.",
            "steps": ["Ada has 12 apples.", f"{n} apples."],
            "label": n % 3 - 1,
        }
        for n in range(6)
    ]
    (tmp_path / "processbench_gsm8k.json").write_text(json.dumps(rows))
    out = tmp_path / "out"
    result = CliRunner().invoke(bench.app, ["judge", "--output", str(out), "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    plain = json.loads(result.stdout)
    assert list(plain) == ["prompt", "likelihood"]
    assert plain["prompt"]["solutions"] == 6
    assert plain["likelihood"]["suffix_tokens"] == 0 < plain["prompt"]["suffix_tokens"]
    assert json.loads((out / "judge.json").read_text())["figures"] == plain
    assert (out / "judge.svg").read_text().startswith("<?xml")
    assert len((out / "judged.jsonl").read_text().splitlines()) == 6
    table = CliRunner().invoke(bench.app, ["judge", "--output", str(out)], catch_exceptions=False).stdout
    options = ["judge", "--limit", "5", "--output", str(out), "--json"]
    some = json.loads(CliRunner().invoke(bench.app, options, catch_exceptions=False).stdout)
    assert some["prompt"]["solutions"] == 5  # of those that are judged already
    models = json.loads((out / "judge.json").read_text())["models"]
    assert models["target"].keys() == {"name", "fingerprint", "origin"}
    with pytest.raises(ConfigError, match="other settings: dtype is 'auto' there and 'bfloat16' here"):
        CliRunner().invoke(bench.app, ["judge", "--dtype", "bfloat16", "--output", str(out)], catch_exceptions=False)
    with pytest.raises(ConfigError, match=r"judges is \['likelihood', 'prompt'\] there and \['prompt'\] here"):
        CliRunner().invoke(bench.app, ["judge", "--judges", "prompt", "--output", str(out)], catch_exceptions=False)
    with hold(out), pytest.raises(ConfigError, match="another command is writing to"):
        CliRunner().invoke(bench.app, ["judge", "--output", str(out)], catch_exceptions=False)
    with pytest.raises(ConfigError, match="cannot write to"):
        CliRunner().invoke(bench.app, ["judge", "--output", str(out / "judge.svg")], catch_exceptions=False)
    assert "6 solutions, 12 prefixes" in table
    with pytest.raises(ConfigError, match=r"unknown judge 'promt'\. Did you mean 'prompt'"):
        CliRunner().invoke(bench.app, ["judge", "--judges", "promt"], catch_exceptions=False)
    with pytest.raises(ConfigError, match="draft options are vLLM's own"):
        CliRunner().invoke(bench.app, ["judge", "--draft", "auto", "--draft-option", "a=1"], catch_exceptions=False)
    with pytest.raises(BackendError, match="the drafter at"):
        CliRunner().invoke(bench.app, ["judge", "--draft-url", "http://127.0.0.1:9/v1"], catch_exceptions=False)
    with monkeypatch.context() as plain:
        plain.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ConfigError, match=r"judge\.svg cannot be written: plots need matplotlib\. Install it"):
            CliRunner().invoke(bench.app, ["judge", "--output", str(out / "new")], catch_exceptions=False)
    assert not (out / "new").exists()

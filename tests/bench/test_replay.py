"""The replay follows a recorded profile to the token, on models of any shape with random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from parse_engine.bench.provenance import hold
from parse_engine.bench.records import Record, read_records
from parse_engine.bench.replay.load import Pair, estimate
from parse_engine.bench.replay.methods import METHODS
from parse_engine.bench.replay.profile import PROFILES, Judged, Profile, Recorded, Step, of_records, read_profile
from parse_engine.bench.replay.run import replay
from parse_engine.bench.replay.shapes import Shape, find_shape, pair_shapes
from parse_engine.cli import main
from parse_engine.cli.bench.replay import replay as command
from parse_engine.config import ParseConfig
from parse_engine.errors import ConfigError, DataError, DeviceError, UnsupportedModelError

NUMBERS = {
    "model_type": "llama",
    "vocab_size": 600,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "dtype": "float32",
}
TARGET, DRAFTER = Shape("large", NUMBERS), Shape("small", {**NUMBERS, "num_hidden_layers": 1})
HF: Any = {"backend": "hf", "device": "cpu"}

KEPT = Recorded("kept", 12, 30, Judged((8, 20, 25), 25, 25, 0), Judged((25,), 25, 25, 0), (Step(10), Step(15)))
REPAIRED = Recorded(
    "repaired",
    9,
    28,
    Judged((6, 14, 22), 6, 8, 19),
    Judged((22,), 0, 0, 28),
    (Step(5), Step(6, 4), Step(9), Step(7, 8)),
)
REJECTED = Recorded("rejected", 7, 11, Judged((4, 9), 0, 0, 13), Judged((9,), 0, 0, 11), (Step(9, 12),))
PROFILE = Profile("for this test", (KEPT, REPAIRED, REJECTED))
ONE = Profile("for this test", (KEPT,))


def run(tmp_path: Path, pair: Pair | None = None, **options: Any) -> dict[tuple[str, str], Record]:
    replay(pair or Pair(TARGET, DRAFTER, HF), PROFILE, output=tmp_path / "run", **options)
    return {(r.question.split("#")[0], r.method): r for r in read_records(tmp_path / "run" / "answers.jsonl")}


def check_lengths(records: dict[tuple[str, str], Record]) -> None:
    """What every back end must make of PROFILE."""
    assert set(records) == {(answer.question, method) for answer in PROFILE.answers for method in METHODS}
    for recorded in PROFILE.answers:
        by_method = {method: records[recorded.question, method].answer for method in METHODS}
        assert {answer.prompt_tokens for answer in by_method.values()} == {recorded.prompt}
        assert {answer.finish_reason for answer in by_method.values()} == {"stop"}
        assert by_method["target"].completion_tokens == recorded.target
        assert by_method["draft"].completion_tokens == recorded.parse.draft
        for method, judged in (("parse", recorded.parse), ("cascade", recorded.cascade)):
            trace = by_method[method].trace
            assert tuple(boundary.end for boundary in trace.boundaries) == judged.ends
            assert (trace.draft_tokens, trace.verify_passes) == (judged.draft, 1)
            assert (trace.committed_tokens, trace.target_tokens) == (judged.committed, judged.written)
            assert sum(boundary.accepted for boundary in trace.boundaries) == sum(
                end <= judged.accepted for end in judged.ends
            )
        stepwise = by_method["specreason"].trace
        assert stepwise.verify_passes == len(recorded.steps)
        assert [boundary.accepted for boundary in stepwise.boundaries] == [not step.written for step in recorded.steps]
        assert stepwise.draft_tokens == sum(step.draft for step in recorded.steps)
        assert stepwise.committed_tokens == sum(step.draft for step in recorded.steps if not step.written)
        assert stepwise.target_tokens == sum(step.written for step in recorded.steps)


def test_lengths_and_verdicts_are_those_of_the_profile(tmp_path: Path) -> None:
    check_lengths(run(tmp_path))


def test_the_target_computes_what_the_methods_cost(tmp_path: Path) -> None:
    """With the likelihood judge a pass has no suffixes, so every row is known."""
    records = run(tmp_path, config=ParseConfig(judge="likelihood"), methods=["target", "parse", "cascade"])
    computed = {key: record.answer.trace.computed_tokens for key, record in records.items()}
    for recorded in PROFILE.answers:
        # The end of turn is read behind the last token, which is therefore a row as well.
        assert computed[recorded.question, "target"] == recorded.prompt + recorded.target
        for method, judged in (("parse", recorded.parse), ("cascade", recorded.cascade)):
            assert computed[recorded.question, method] == recorded.prompt + judged.draft + judged.written


def test_suffixes_are_computed_with_the_judge_that_asks(tmp_path: Path) -> None:
    records = run(tmp_path, methods=["parse"])
    rows = [records[one.question, "parse"].answer.trace.computed_tokens for one in PROFILE.answers]
    suffixes = [rows[i] - one.prompt - one.parse.draft - one.parse.written for i, one in enumerate(PROFILE.answers)]
    per_prefix = [tokens / len(one.parse.ends) for tokens, one in zip(suffixes, PROFILE.answers, strict=True)]
    assert all(10 <= tokens <= 45 for tokens in per_prefix)


def test_vocabularies_may_differ(tmp_path: Path) -> None:
    for draft, target in ((700, 600), (600, 700)):
        pair = Pair(Shape("t", {**NUMBERS, "vocab_size": target}), Shape("d", {**NUMBERS, "vocab_size": draft}), HF)
        check_lengths(run(tmp_path / str(draft), pair))


def test_what_is_written_beside_the_records(tmp_path: Path) -> None:
    run(tmp_path, methods=["target", "parse"], repeats=2)
    records = read_records(tmp_path / "run" / "answers.jsonl")
    assert [record.turn for record in records] == [0] * 6 + [1] * 6
    assert [record.method for record in records[:4]] == ["target", "parse", "parse", "target"]
    assert not any(record.answer.text or record.answer.trace.draft_text for record in records)
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["settings"]["shapes"]["target"] == NUMBERS
    assert told["settings"]["needs"][0]["parameters"] > 0
    assert told["profile"] == "for this test"
    assert told["figures"]["replay"]["parse"]["speed_ratio"] > 0
    assert told["figures"]["replay"]["parse"]["accuracy"] is None
    assert read_profile(str(tmp_path / "run" / "profile.json")) == PROFILE


def test_a_replay_can_be_replayed(tmp_path: Path) -> None:
    records = list(run(tmp_path).values())
    again = of_records("again", records)
    assert [answer.parse for answer in again.answers] == [answer.parse for answer in PROFILE.answers]
    assert [answer.cascade for answer in again.answers] == [answer.cascade for answer in PROFILE.answers]
    assert again.answers[0].steps == KEPT.steps
    assert [step.written for step in again.answers[1].steps] == [0, 6, 0, 6]  # 12 tokens, equally shared
    assert read_profile(str(tmp_path / "run")).answers == again.answers
    alone = of_records("again", [record for record in records if record.method in ("target", "parse")])
    assert [answer.cascade for answer in alone.answers] == [answer.cascade for answer in PROFILE.answers]
    assert not alone.has_steps
    with pytest.raises(DataError, match="no question with a draft has records of the methods target and parse"):
        of_records("again", [record for record in records if record.method == "target"])


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_of_the_package(name: str) -> None:
    profile = read_profile(name)
    assert len(profile.answers) >= 20
    assert profile.has_steps
    assert "recorded" in profile.about


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("0.6b", 0.596e9), ("1.7b", 1.721e9), ("8b", 8.191e9), ("32b", 32.76e9), ("llama-8b", 8.03e9), ("70b", 70.55e9)],
)
def test_shapes_have_the_published_sizes(name: str, parameters: float) -> None:
    from parse_engine.bench.replay import memory

    shape = find_shape(name)
    counted = memory.need("target", name, shape.config, shape.config.dtype, tokens=1, rows=1)
    assert counted.parameters == pytest.approx(parameters, rel=1e-3)
    assert counted.weights == 2 * counted.parameters


def test_the_embedded_shapes_are_those_of_the_embedded_pair() -> None:
    from parse_engine.backends.folder import read_config
    from parse_engine.models.resolve import resolve

    for name, shape in zip(("embedded-target", "embedded-drafter"), pair_shapes("embedded"), strict=True):
        real, ours = read_config(resolve(name)), find_shape(shape).numbers
        assert {key: getattr(real, key) for key in ours if key not in ("dtype", "rope_parameters")} == {
            key: value for key, value in ours.items() if key not in ("dtype", "rope_parameters")
        }


def test_what_cannot_fit_is_refused_before_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parse_engine.bench.replay.memory.free_bytes", lambda device: 10 * 2**30)
    pair = Pair(*map(find_shape, pair_shapes("0.6b+8b")), HF)
    with pytest.raises(
        DeviceError, match=r"needs 1\d\.\d GiB at least, and cpu has 10\.0 free .*8,190\.7 million"
    ) as e:
        estimate(pair, ONE)
    assert "\n" not in str(e.value)


def test_what_is_refused(tmp_path: Path) -> None:
    def refused(match: str, pair: Pair | None = None, profile: Profile = ONE, **options: Any) -> None:
        with pytest.raises(ConfigError, match=match):
            replay(pair or Pair(TARGET, DRAFTER, HF), profile, output=tmp_path / "out", **options)

    refused(r"unknown method 'pares'\. Did you mean 'parse'", methods=["pares"])
    refused("name at least one, and each one once", methods=["parse", "parse"])
    stepless = Profile("", (Recorded("q", 5, 5, KEPT.parse, KEPT.cascade),))
    refused("no steps for 'specreason'", profile=stepless, methods=["specreason"])
    refused("hf takes 1 answer at a time", Pair(TARGET, DRAFTER, HF, concurrency=2))
    refused("dtype is 'int3'", Pair(TARGET, DRAFTER, {**HF, "dtype": "int3"}))
    refused("run on hf or vllm", Pair(TARGET, DRAFTER, {**HF, "backend": "http"}))
    refused("the context of large is 512", profile=Profile("", (Recorded("q", 500, 5, KEPT.parse, KEPT.cascade),)))
    refused("no usable configuration", Pair(Shape("x", {"model_type": "zork", "vocab_size": 600}), DRAFTER, HF))
    sliding = Shape("x", {**NUMBERS, "model_type": "mistral", "sliding_window": 64})
    with pytest.raises(UnsupportedModelError, match="sliding"):
        replay(Pair(sliding, DRAFTER, HF), ONE)
    run(tmp_path, methods=["target"])
    assert json.loads((tmp_path / "run" / "run.json").read_text())["models"]["drafter"]["name"] == "random small"
    with pytest.raises(ConfigError, match="holds a run already"):
        run(tmp_path, methods=["target"])
    with hold(tmp_path / "run"), pytest.raises(ConfigError, match="another command is writing to"):
        run(tmp_path, methods=["target"])


def test_names_that_mean_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown pair '0\.6b\+8'\. Did you mean '0\.6b\+8b'"):
        pair_shapes("0.6b+8")
    with pytest.raises(ConfigError, match=r"unknown shape '9b'.* or give a config\.json"):
        find_shape("9b")
    with pytest.raises(ConfigError, match="cannot be read"):
        find_shape(str(tmp_path / "config.json"))
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ConfigError, match="no 'model_type' and 'vocab_size'"):
        find_shape(str(tmp_path / "config.json"))
    with pytest.raises(DataError, match=r"no profile 'embeded'\. Did you mean 'embedded'"):
        read_profile("embeded")
    broken = PROFILE.to_dict()
    broken["answers"][0]["parse"]["accepted"] = 7
    (tmp_path / "p.json").write_text(json.dumps(broken))
    with pytest.raises(DataError, match=r"broken \(ValueError: boundaries \[8, 20, 25\] with 7 accepted"):
        read_profile(str(tmp_path / "p.json"))


def test_the_command(tmp_path: Path) -> None:
    shape = tmp_path / "shape.json"
    shape.write_text(json.dumps(NUMBERS))
    app = typer.Typer()
    app.command()(command)
    shapes = ["--target-shape", str(shape), "--draft-shape", str(shape), "--device", "cpu", "--profile", "embedded"]
    shown = CliRunner().invoke(app, [*shapes, "--limit", "1"], catch_exceptions=False)
    assert "target" in shown.stderr
    assert "million parameters" in shown.stderr
    for method in METHODS:
        assert method in shown.stdout
    given = CliRunner().invoke(app, [*shapes, "--limit", "2", "--methods", "target,parse", "--json"])
    figures = json.loads(given.stdout)
    assert [figures[method]["answers"] for method in ("target", "parse")] == [2, 2]


@pytest.mark.slow
@pytest.mark.xdist_group("vllm")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("concurrency", [1, 3])
def test_vllm_follows_the_profile_too(tmp_path: Path, concurrency: int) -> None:
    pytest.importorskip("vllm")
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32}
    pair = Pair(
        Shape("t", {**NUMBERS, **heads}),
        Shape("d", {**NUMBERS, **heads, "num_hidden_layers": 1}),
        {"backend": "vllm", "target_options": {"max_num_seqs": 64}, "draft_options": {"max_num_seqs": 64}},
        concurrency,
    )
    check_lengths(run(tmp_path, pair))


@pytest.mark.parametrize("judge", ["head", "fused"])
def test_a_judge_that_has_to_be_fitted_is_not_offered(judge: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It was, and then asked for a profile of calibrate with an option that takes another kind of profile here."""
    with pytest.raises(SystemExit) as stopped:
        main(["bench", "replay", "--judge", judge])
    said = capsys.readouterr().err
    assert (stopped.value.code, said.count("\n")) == (2, 1)
    assert f"'{judge}' is not one of 'prompt', 'likelihood'" in said

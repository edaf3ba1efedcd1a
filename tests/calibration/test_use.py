"""What engine, bench and command line make of a profile."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parse_engine import AsyncEngine, Engine, ParseConfig, Profile, SamplingParams
from parse_engine.bench.lineup import assemble
from parse_engine.bench.methods import parse_method
from parse_engine.cli import main
from parse_engine.cli.settings import merge
from parse_engine.engine import NO_PROMISE
from parse_engine.errors import ConfigError, PromptError, UnsupportedModelError
from parse_engine.prefix.judges import Fit, Weights
from parse_engine.prompt import Prompt
from parse_engine.text import Codec
from tests.calibration.profiles import make_profile, tried
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

DRAFT, TARGET = "Two and two are 5.\nSo 5.\n", "Two and two are 4.\nSo 4.\n"
OURS = {"target_fingerprint": "scripted", "draft_fingerprint": "scripted"}
PARAMS = SamplingParams(max_tokens=60)


def always(yes: bool) -> Fit:
    """Reads the drafter's probabilities, and is sure whatever they are."""
    weights = Weights(("prefix.gap",), np.zeros(1), 30.0 if yes else -30.0)
    return Fit(weights, weights)


def profile(**changes: Any) -> Profile:
    sampling = {"max_tokens": PARAMS.max_tokens, "temperature": 0.0, "top_p": 1.0, "seed": None, "stop": []}
    return make_profile(
        **{**OURS, "sampling": sampling, "fits": {"prompt": always(False), "fused": always(True)}, **changes}
    )


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(byte_tokenizer())


def models(codec: Codec) -> tuple[ScriptedModel, ScriptedModel]:
    return ScriptedModel(codec, TARGET), ScriptedModel(codec, DRAFT)


def test_an_engine_takes_judge_and_thresholds_from_the_profile(codec: Codec) -> None:
    engine = AsyncEngine(*models(codec), profile=profile())
    assert engine.config.judge == "fused"
    assert (engine.config.delta, engine.config.threshold, engine.config.full_threshold) == (16, 0.9745, 0.9692)
    answer = asyncio.run(engine.generate("How many?", PARAMS))
    assert (answer.text, answer.trace.warnings) == (DRAFT, ())
    assert isinstance(engine.target, ScriptedModel)
    assert engine.target.verified[0].suffixes == ()
    assert engine.target.verified[0].signals == {"logprobs"}


def test_without_a_promise_the_target_answers_alone(codec: Codec) -> None:
    engine = Engine(*models(codec), profile=profile(tried=[tried(losses=4, speed=2.0)]))
    answer = engine.generate("How many?", PARAMS)
    assert (answer.text, answer.trace.method, answer.trace.warnings) == (TARGET, "target", (NO_PROMISE,))
    engine.close()


def test_given_settings_win_over_the_profile(codec: Codec) -> None:
    engine = AsyncEngine(
        *models(codec), ParseConfig(judge="fused", full_threshold=1.0, threshold=1.0), profile=profile()
    )
    answer = asyncio.run(engine.generate("How many?", PARAMS))
    assert answer.text == TARGET
    assert answer.trace.warnings == ("the profile promises nothing for these settings.",)


@pytest.mark.parametrize("changes", [{"min_label_mass": 0.0}, {"judge_suffix": "x"}])
def test_what_no_setting_has_was_at_its_default(changes: dict[str, Any]) -> None:
    made = profile()
    assert made.config is not None
    config, params = dataclasses.replace(made.config, **changes), SamplingParams(max_tokens=60)
    assert made.departures(config, params, "How many?", raw=False, thinking=None) == ["these settings"]


def test_answers_that_are_drawn_are_not_what_was_promised(codec: Codec) -> None:
    engine = AsyncEngine(*models(codec), profile=profile())
    answer = asyncio.run(engine.generate("How many?", SamplingParams(max_tokens=60, temperature=0.7)))
    assert answer.trace.warnings == ("the profile promises nothing for another temperature than 0.",)


def test_answers_that_end_elsewhere_are_not_what_was_promised(codec: Codec) -> None:
    engine = AsyncEngine(*models(codec), profile=profile())
    answer = asyncio.run(engine.generate("How many?", SamplingParams(max_tokens=60, stop=("So",))))
    assert answer.trace.warnings == ("the profile promises nothing for other stop texts.",)


USER = {"role": "user", "content": "How many?"}
AGAIN = [USER, {"role": "assistant", "content": "4."}, USER]


@pytest.mark.parametrize(
    ("prompt", "params", "options", "departures"),
    [
        ("How many?", {}, {}, []),
        ([USER], {}, {}, []),
        (AGAIN, {}, {}, []),
        ([{"role": "system", "content": "Be brief."}, USER], {}, {}, ["prompts with a system message"]),
        ([{"role": "developer", "content": "Be brief."}, USER], {}, {}, ["prompts with a developer message"]),
        ("How many?", {}, {"raw": True}, ["raw prompts"]),
        ("How many?", {}, {"thinking": True}, ["prompts that ask for thinking or for none"]),
        ("How many?", {}, {"thinking": False}, ["prompts that ask for thinking or for none"]),
        ("How many?", {"max_tokens": 61}, {}, ["another max_tokens than 60"]),
        (
            "How many?",
            {"max_tokens": 59, "temperature": 0.7},
            {"raw": True},
            ["another max_tokens than 60", "another temperature than 0", "raw prompts"],
        ),
    ],
)
def test_a_promise_is_for_prompts_and_budgets_like_those_of_calibration(
    prompt: Prompt, params: dict[str, Any], options: dict[str, Any], departures: list[str]
) -> None:
    """A system message and another max_tokens were taken as covered."""
    asked = dataclasses.replace(PARAMS, **params)
    settings = {"raw": False, "thinking": None, **options}
    made = profile()
    assert made.config is not None
    assert made.departures(made.config, asked, prompt, **settings) == departures


def test_the_engine_says_what_is_not_promised_of_an_answer(codec: Codec) -> None:
    engine = AsyncEngine(*models(codec), profile=profile())
    messages = [{"role": "system", "content": "Be brief."}, USER]
    answer = asyncio.run(engine.generate(messages, SamplingParams(max_tokens=70)))
    assert answer.trace.warnings == (
        "the profile promises nothing for another max_tokens than 60.",
        "the profile promises nothing for prompts with a system message.",
    )
    with pytest.raises(PromptError, match="chat message 1 has no text as its 'role'"):
        asyncio.run(engine.generate([{"content": "How many?"}], PARAMS))


@pytest.mark.parametrize("changes", [{"target_fingerprint": "x"}, {"draft_fingerprint": "x"}])
def test_a_profile_of_other_models_is_refused(codec: Codec, changes: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="scripted is another one or has changed"):
        AsyncEngine(*models(codec), profile=profile(**changes))


def test_a_judge_that_was_not_fitted_is_refused(codec: Codec) -> None:
    with pytest.raises(ConfigError, match="judge 'fused' has to be fitted"):
        AsyncEngine(*models(codec), ParseConfig(judge="fused"))
    with pytest.raises(ConfigError, match=r"the profile has no judge 'head'\. It has prompt, fused"):
        profile().only("head")


def test_a_judge_that_reads_what_the_back_end_does_not_tell_is_refused(codec: Codec) -> None:
    target, drafter = models(codec)
    hidden = Weights(("hidden.mean",), np.zeros(3), 0.0)
    with pytest.raises(UnsupportedModelError, match="reads hidden of scripted, which its back end does not tell"):
        AsyncEngine(target, drafter, profile=profile(fits={"fused": Fit(hidden, hidden)}))
    drafter.signals = frozenset()
    with pytest.raises(UnsupportedModelError, match="reads the log-probabilities of the drafter"):
        AsyncEngine(target, drafter, profile=profile())


def bench(
    codec: Codec, methods: Sequence[str], known: Profile | None, given: dict[str, Any] | None = None
) -> dict[str, tuple[str, str]]:
    target, drafter = models(codec)
    chosen = [parse_method(name) for name in methods]
    config = ParseConfig(**(given or {}))
    lineup = assemble(chosen, {"plain": target}, drafter, config, 1, known, given)
    messages = [{"role": "user", "content": "How many?"}]

    async def run() -> dict[str, tuple[str, str]]:
        answers = {name: await lineup.answer(name, messages, PARAMS) for name in methods}
        return {name: (answer.text, answer.trace.method) for name, answer in answers.items()}

    return asyncio.run(run())


def test_the_bench_gives_the_profile_to_parse_and_leaves_its_rivals_alone(codec: Codec) -> None:
    explicit = "parse:judge=prompt:threshold=0.0:full_threshold=0.0"
    plain = "parse:calibrated=false"
    methods = ["target", "draft", "cascade", "cascade:calibrated=true", "parse", "parse:judge=prompt", explicit, plain]
    said = bench(codec, methods, profile())
    assert said["parse"] == (DRAFT, "parse")
    assert said["parse:judge=prompt"] == (TARGET, "target")  # of the prompt judge nothing was promised
    assert said[explicit] == (DRAFT, "parse")
    assert said["cascade"] == said[plain] == (DRAFT, "parse")  # the scripted target believes everything
    assert said["cascade:calibrated=true"] == (DRAFT, "parse")
    unsure = profile(fits={"prompt": always(False), "fused": always(False)})
    said = bench(codec, methods, unsure)
    assert [said[method][0] for method in ("cascade", plain)] == [DRAFT, DRAFT]
    assert [said[method][0] for method in ("cascade:calibrated=true", "parse")] == [TARGET, TARGET]


def test_what_is_given_for_a_run_wins_over_the_profile_and_what_a_method_has_over_both(codec: Codec) -> None:
    methods = ["parse", "parse:threshold=0.5", "cascade"]
    said = bench(codec, methods, profile(), {"threshold": 1.0, "full_threshold": 1.0})
    assert [said[method][0] for method in methods] == [TARGET, DRAFT[: DRAFT.index("\n") + 1] + "So 4.\n", DRAFT]


def test_the_command_line_takes_the_profiles_settings_unless_some_are_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "own.profile"
    profile().save(file)
    settings = merge({"profile": str(file)}, None)
    assert (settings.judge, settings.threshold, settings.falls_back) == ("fused", 0.9745, False)
    assert settings.config == profile().config
    assert capsys.readouterr().err == ""
    settings = merge({"profile": str(file), "threshold": 0.5}, None)
    assert settings.config is not None
    assert (settings.config.judge, settings.config.threshold, settings.config.full_threshold) == ("fused", 0.5, 0.9692)
    assert (settings.target, settings.draft) == ("big", "small")
    assert settings.sampling == PARAMS  # what the promise was made with, unless another is given
    assert merge({"profile": str(file), "max_tokens": 7}, None).max_tokens == 7
    assert merge({"profile": str(file), "target": "other"}, None).target == "other"
    assert capsys.readouterr().err == ""
    merge({"profile": str(file), "backend": "vllm"}, None)
    assert capsys.readouterr().err == "warning: the profile was made on the back end hf\n"
    config = tmp_path / "own.toml"
    config.write_text(f'profile = "{file}"\ndelta = 99\n')
    settings = merge({}, config)
    assert (settings.judge, settings.delta) == ("fused", 99)
    profile(tried=[]).save(file)
    assert merge({"profile": str(file)}, None).config is None
    assert merge({"profile": str(file), "judge": "fused"}, None).config is not None


def test_errors_of_the_command_line_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def error(*words: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2
        heard = capsys.readouterr().err
        assert heard.count("\n") == 1
        return heard

    assert "no profile at" in error("generate", "--profile", str(tmp_path / "none"), "Hello")
    assert "unknown judge 'fuzed'. Did you mean 'fused'?" in error("calibrate", "--judges", "fuzed")
    assert "max_loss is 1; it must be between 0 and 1" in error("calibrate", "--max-loss", "1")
    assert "deltas is '16,x'" in error("calibrate", "--deltas", "16,x")
    assert "cannot write" in error("calibrate", "--output", str(tmp_path / "none" / "a.profile"))


def test_settings_of_a_profile_are_those_of_a_config() -> None:
    """So that a choice can be handed to the engine as it stands."""
    setting = profile().tried[0].setting
    config = dataclasses.asdict(setting.config)
    assert dataclasses.asdict(setting).items() <= config.items()

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from parse_engine import ParseConfig, SamplingParams
from parse_engine.bench.lineup import Lineup, assemble, check_methods, load_lineup
from parse_engine.bench.methods import Method, parse_method
from parse_engine.bench.specreason import SpecReason
from parse_engine.config import Judge
from parse_engine.errors import ConfigError
from parse_engine.text import Codec
from tests.calibration.profiles import make_profile, tried
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("target", Method("target", "target")),
        ("ngram", Method("ngram", "target", "ngram")),
        ("draft-model", Method("draft-model", "target", "draft-model")),
        ("parse+ngram", Method("parse+ngram", "parse", "ngram", calibrated=True)),
        ("parse:calibrated=false", Method("parse:calibrated=false", "parse")),
        ("cascade", Method("cascade", "parse", settings={"max_prefixes": 1, "keep_agreeing": False})),
        (
            "parse:delta=32:rule=last-success:threshold=0.8",
            Method(
                "parse:delta=32:rule=last-success:threshold=0.8",
                "parse",
                settings={"delta": 32, "boundary_rule": "last-success", "threshold": 0.8},
                calibrated=True,
            ),
        ),
        ("specreason:step=line", Method("specreason:step=line", "specreason", settings={"step": "line"})),
    ],
)
def test_names_of_methods(name: str, method: Method) -> None:
    assert parse_method(name) == method


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pars", "unknown method 'pars'. Did you mean 'parse'"),
        ("parse+medusa", "A target can decode with \\+ngram or \\+draft-model"),
        ("parse+", "A target can decode with"),
        ("draft+ngram", "A target can decode with"),
        ("cascade:max-prefixes=4", "max_prefixes is what makes it the cascade"),
        ("parse:delta", "'delta' must be KEY=VALUE"),
        ("parse:delta=few", "method 'parse:delta=few': delta is 'few'; it must be"),
        ("parse:threshold=2", "threshold is 2.0; it must be in"),
        ("parse:dleta=3", "unknown setting 'dleta'. Did you mean 'delta'"),
        ("target:delta=3", "target takes no settings"),
        ("specreason:step=word", "specreason takes step=blank-line, step=line, score=digit, score=labels"),
    ],
)
def test_mistakes_in_names(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_method(name)


@pytest.mark.parametrize(
    ("name", "draft", "options", "message"),
    [
        ("parse", None, {}, "method 'parse' needs a drafter"),
        ("ngram", "small", {"backend": "hf"}, "method 'ngram' speculates inside vLLM"),
        ("ngram", "small", {"backend": "vllm", "target_url": "http://x"}, "speculates inside vLLM"),
        ("draft-model", "small", {"backend": "vllm", "draft_url": "http://x"}, "needs the drafter's weights"),
        ("draft-model", None, {"backend": "vllm"}, "method 'draft-model' needs a drafter"),
    ],
)
def test_what_the_models_do_not_allow_is_refused(name: str, draft: str | None, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_methods([parse_method(name)], draft, options)


def test_a_rejected_cascade_keeps_nothing() -> None:
    """Tokens that equal the target's own choice were kept, and the cascade does not do that."""
    codec = Codec(byte_tokenizer())
    target = ScriptedModel(codec, "It is six.", lambda prefix: 0.1, agrees=True)
    drafter = ScriptedModel(codec, "It is seven.")
    lineup = assemble([parse_method("cascade"), parse_method("parse")], {"plain": target}, drafter, ParseConfig(), 1)
    messages = [{"role": "user", "content": "How many?"}]

    async def kept(method: str) -> int:
        return (await lineup.answer(method, messages, SamplingParams())).trace.committed_tokens

    assert asyncio.run(kept("cascade")) == 0
    assert asyncio.run(kept("parse")) == len("It is s")


def test_similarity_is_the_targets_likelihood_of_the_text() -> None:
    lineup = load_lineup([parse_method("target")], "embedded-target", None, ParseConfig(), 1)
    question = "Ada has 12 apples. In May Ada buys 5 more apples. How many apples does Ada have at the end?"
    messages = [{"role": "user", "content": question}]

    async def measure() -> list[float | None]:
        own = await lineup.answer("target", messages, SamplingParams())
        return [await lineup.similarity(messages, text) for text in (own.text, "apples apples apples", "")]

    own, nonsense, nothing = asyncio.run(measure())
    assert own is not None
    assert nonsense is not None
    assert nonsense < own <= 0
    assert own > -0.5
    assert nothing is None


def test_more_answers_in_flight_than_the_models_take_are_refused() -> None:
    with pytest.raises(ConfigError, match="concurrency is 2, and embedded-target takes 1 answer at a time"):
        load_lineup([parse_method("target")], "embedded-target", None, ParseConfig(), 2)


def test_a_line_up_shares_its_models() -> None:
    codec = Codec(byte_tokenizer())
    plain, fast, drafter = (ScriptedModel(codec, text) for text in ("plain", "fast", "draft"))
    names = ["target", "parse", "ngram", "parse+ngram:delta=5", "specreason:score=labels", "cascade"]
    lineup = assemble(
        [parse_method(name) for name in names], {"plain": plain, "ngram": fast}, drafter, ParseConfig(threshold=0.7), 2
    )
    engines = {name: engine for name, (engine, _) in lineup.engines.items()}
    assert [engines[name].target for name in names] == [plain, plain, fast, fast, plain, plain]
    assert [engines[name].drafter for name in names] == [None, drafter, None, drafter, drafter, drafter]
    assert (engines["parse+ngram:delta=5"].config.delta, engines["parse"].config.delta) == (5, 16)
    assert engines["cascade"].config == ParseConfig(threshold=0.7, max_prefixes=1, keep_agreeing=False)
    assert isinstance(engines["specreason:score=labels"], SpecReason)
    assert list(lineup.models) == [plain, fast, drafter]
    assert (lineup.target, lineup.drafter) == (plain, drafter)


EVERY = ["target", "draft", "cascade", "specreason", "specreason:score=labels", "parse", "parse:calibrated=false"]


def lineup_of(methods: Sequence[str], judge: Judge, **changes: Any) -> Lineup:
    """Of a run with `--judge` and `--profile`."""
    codec = Codec(byte_tokenizer())
    models = ScriptedModel(codec, "It is six."), ScriptedModel(codec, "It is seven.")
    profile = make_profile(target_fingerprint="scripted", draft_fingerprint="scripted", **changes)
    config, chosen = ParseConfig(judge=judge), [parse_method(name) for name in methods]
    return assemble(chosen, {"plain": models[0]}, models[1], config, 1, profile, {"judge": judge})


@pytest.mark.parametrize("methods", [["draft", "parse"], ["parse", "draft"], EVERY, *([each] for each in EVERY)])
def test_a_judge_of_the_profile_serves_every_method(methods: list[str]) -> None:
    """Beside PARSE the drafter alone, for instance, asked for the profile that was given."""
    lineup = lineup_of(methods, "fused")
    messages = [{"role": "user", "content": "How many?"}]
    for name in methods:
        answer = asyncio.run(lineup.answer(name, messages, SamplingParams()))
        assert answer.trace.method == parse_method(name).loop
    for name in {"parse", "cascade", "parse:calibrated=false"} & {*methods}:
        engine, _ = lineup.engines[name]
        assert (engine.config.judge, engine.profile is not None) == ("fused", True)
        assert (engine.config.threshold == ParseConfig.threshold) == (name != "parse")  # which PARSE takes from it


def test_a_judge_for_the_run_is_as_one_of_the_method() -> None:
    """It was put beside the thresholds of another judge."""
    best = [tried("prompt", losses=1, speed=9.0, promised=True), tried(losses=1, speed=1.5, promised=True)]
    best[0] = replace(best[0], setting=replace(best[0].setting, threshold=0.1))
    lineup = lineup_of(["parse", "parse:judge=fused"], "fused", tried=best)
    ours, theirs = (engine.config for engine, _ in lineup.engines.values())
    assert ours == theirs == best[1].setting.config


@pytest.mark.parametrize("methods", [["parse"], ["draft"], ["cascade"], ["specreason"]])
def test_a_judge_that_the_profile_lacks_is_said_to_be_lacking(methods: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"the profile has no judge 'head'\. It has prompt, fused"):
        lineup_of(methods, "head")


def test_methods_that_are_not_calibrated_ask_as_without_a_profile() -> None:
    lineup = lineup_of(["cascade", "parse:calibrated=false", "draft"], "prompt")
    assert [engine.profile for engine, _ in lineup.engines.values()] == [None] * 3


def test_engine_arguments_are_no_settings_of_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a profile and a decoder of its own the target's options were taken for settings of PARSE."""
    codec, asked = Codec(byte_tokenizer()), []

    def load_pair(target: str, draft: str | None, **options: Any) -> tuple[ScriptedModel, ScriptedModel]:
        asked.append(options["target_options"])
        return ScriptedModel(codec, "It is six."), ScriptedModel(codec, "It is seven.")

    monkeypatch.setattr("parse_engine.bench.lineup.load_pair", load_pair)
    profile = make_profile(target_fingerprint="scripted", draft_fingerprint="scripted")
    method = parse_method("parse+ngram:judge=prompt:delta=5")
    given, options = {"threshold": 0.7}, {"max_model_len": 64}
    lineup = load_lineup([method], "big", "small", ParseConfig(), 1, profile, given, target_options=options)
    engine, _ = lineup.engines[method.name]
    assert (engine.config.delta, engine.config.threshold) == (5, 0.7)
    plain, fast = asked
    assert plain == options
    assert fast.items() > options.items()
    assert fast["speculative_config"]["method"] == "ngram"

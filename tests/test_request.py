"""How a prompt may be asked for, and what is refused in one line."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from parse_engine import Engine, SamplingParams
from parse_engine.errors import ConfigError
from parse_engine.request import Request, Sampling
from parse_engine.text import Codec
from parse_engine.trace import Done
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

TEXT = "Two plus two is four.\n"


@pytest.fixture(scope="module")
def engine() -> Engine:
    codec = Codec(byte_tokenizer())
    return Engine(ScriptedModel(codec, TEXT), ScriptedModel(codec, TEXT))


def test_every_sampling_field_has_its_name() -> None:
    assert list(Sampling.__annotations__) == [field.name for field in fields(SamplingParams)]


@pytest.mark.parametrize(
    ("params", "named", "expected"),
    [
        (None, {"max_tokens": 3}, TEXT[:3]),
        ({"max_tokens": 3}, {}, TEXT[:3]),
        ({"max-tokens": 3, "stop": "lus"}, {}, TEXT[:3]),
        (SamplingParams(max_tokens=3), {"max_tokens": 5}, TEXT[:5]),
        (SamplingParams(stop=("two",)), {"max_tokens": 30}, "Two plus "),
        ({"max_tokens": 3}, {"stop": ["w"]}, "T"),
    ],
)
def test_sampling_by_name_goes_before_params(engine: Engine, params: Any, named: Any, expected: str) -> None:
    assert engine.generate("How many?", params, **named).text == expected
    [answer] = engine.map(["How many?"], params, **named)
    *_, done = engine.stream("How many?", params, **named)
    assert isinstance(done, Done)
    assert str(answer) == done.answer.text == expected


@pytest.mark.parametrize(
    ("params", "options", "message"),
    [
        (None, {"max_token": 3}, "unknown option 'max_token'. Did you mean 'max_tokens'"),
        (None, {"max_tokens": 0}, "at least 1"),
        (None, {"method": "pars"}, "'target' or 'draft' or 'parse'"),
        (None, {"raw": "yes"}, "raw is 'yes'; it must be true or false"),
        (None, {"raw": True, "thinking": False}, "raw prompts go without a chat template"),
        (None, {"thinking": "on"}, "thinking is 'on'"),
        ({"temprature": 1}, {}, "Did you mean 'temperature'"),
        ({1: 2}, {}, "unknown setting '1'"),
        (64, {}, "64 was given where SamplingParams or a mapping"),
        ("target", {}, "'target' was given where"),
    ],
)
def test_what_makes_no_sense_is_refused(engine: Engine, params: Any, options: Any, message: str) -> None:
    """Unknown methods were answered by the target; other things ended in tracebacks."""
    with pytest.raises(ConfigError) as caught:
        engine.generate("How many?", params, **options)
    assert message in str(caught.value)
    for call in (engine.stream, engine.check):
        with pytest.raises(ConfigError):
            list(call("How many?", params, **options) or ())  # type: ignore[operator]
    with pytest.raises(ConfigError):  # it is wrong with all prompts alike
        engine.generate(["one", "two"], params, **options)


def test_thinking_is_a_setting_of_a_request() -> None:
    template = (
        "{{ 'ON' if enable_thinking else 'OFF' }}{% for m in messages %}{{ m['content'] }}{% endfor %}<|assistant|>"
    )
    codec = Codec(byte_tokenizer(template=template))
    target, drafter = ScriptedModel(codec, TEXT), ScriptedModel(codec, TEXT)
    engine = Engine(target, drafter)
    for thinking, word in ((True, "ON"), (False, "OFF"), (None, "OFF")):
        engine.generate("x", method="draft", thinking=thinking)
        engine.generate("x", thinking=thinking)
        assert [codec.decode(tokens) for tokens in drafter.decoded[-2:]] == [f"{word}x"] * 2
        assert codec.decode(target.verified[-1].prompt) == f"{word}x"
    with pytest.raises(ConfigError, match="unknown option 'thinking'"):
        Engine.load(thinking=True)  # type: ignore[call-arg]


def test_a_request_says_all_that_it_was_asked_for() -> None:
    request = Request.of("x", {"seed": 3}, {"raw": True, "method": "target", "max_tokens": 5})
    assert request == Request("x", SamplingParams(seed=3, max_tokens=5), "target", raw=True)

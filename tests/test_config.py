from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parse_engine import ParseConfig, SamplingParams
from parse_engine.config import load_config
from parse_engine.errors import ConfigError


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (ParseConfig, {"threshold": 1.5}, r"in \[0, 1\]"),
        (ParseConfig, {"full_threshold": -0.1}, r"in \[0, 1\]"),
        (ParseConfig, {"threshold": float("nan")}, r"in \[0, 1\]"),
        (ParseConfig, {"treshold": 0.5}, "Did you mean 'threshold'"),
        (ParseConfig, {"judge": "oracle"}, "'prompt' or 'likelihood'"),
        (ParseConfig, {"delta": 0}, "at least 1"),
        (ParseConfig, {"delta": 1.5}, "whole number"),
        (ParseConfig, {"judge_suffix": ""}, "empty"),
        (SamplingParams, {"temperature": float("nan")}, "a finite number, at least 0"),
        (SamplingParams, {"temperature": float("inf")}, "a finite number, at least 0"),
        (SamplingParams, {"temperature": 10**400}, "a finite number, at least 0"),
        (SamplingParams, {"max_tokens": 10**400}, "a finite number, at least 1"),
        (SamplingParams, {"stop": [3]}, "a list of texts"),
        (SamplingParams, {"temperature": "hot"}, "a number"),
        (SamplingParams, {"top_p": 0.0}, "above 0"),
        (SamplingParams, {"seed": 2**64}, "seed"),
        (SamplingParams, {"seed": -1}, "seed"),
        (SamplingParams, {"stop": 5}, "list of"),
        (SamplingParams, {"stop": ["a", ""]}, "empty text"),
        (SamplingParams, {"max_tokens": True}, "whole number"),
    ],
)
def test_bad_settings_get_a_clear_error(kind: type[Any], values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        kind.from_mapping(values)


def test_dashes_and_single_stops_are_understood() -> None:
    assert ParseConfig.from_mapping({"full-threshold": 0.7}).full_threshold == 0.7
    assert SamplingParams.from_mapping({"stop": "END"}).stop == ("END",)


def test_broken_config_files(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("threshold = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(broken)
    with pytest.raises(ConfigError, match="no config file"):
        load_config(tmp_path / "none.toml")

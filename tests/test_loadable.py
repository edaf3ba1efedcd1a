"""What engines take, and what they refuse before a model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parse_engine import AsyncEngine, Engine, ParseConfig
from parse_engine.errors import ConfigError
from parse_engine.text import Codec
from tests.calibration.profiles import make_profile
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel

URL = "http://127.0.0.1:9/v1"


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((3,), {}, "target is 3; it must be the name, the hub id or the folder of a model"),
        ((None,), {}, "target is None"),
        (("embedded-target", 3), {}, "draft is 3"),
        ((), {"profile": 3}, "profile is 3; it must be"),
        ((), {"profile": "nowhere"}, "no profile at nowhere"),
        ((), {"config": 3}, "3 was given where ParseConfig or a mapping"),
        ((), {"config": {"treshold": 0.5}}, "Did you mean 'threshold'"),
        ((), {"concurrency": 0}, "concurrency is 0; it must be at least 1"),
        ((), {"concurrency": "many"}, "concurrency is 'many'"),
        ((), {"max_waiting": -1}, "max_waiting is -1"),
        ((), {"draft_timeout": 0}, "draft_timeout is 0; it must be above 0"),
        ((), {"concurency": 2}, "unknown option 'concurency'. Did you mean 'concurrency'"),
        ((), {"backend": "vlm"}, "backend is 'vlm'"),
        ((), {"target_options": 5}, "target_options is 5; it must be a mapping"),
        ((), {"timeout": -1}, "timeout is -1; it must be above 0"),
        ((), {"timeout": 9}, "timeout would be ignored: it needs a model behind an address"),
        ((), {"label_ids": False}, "label_ids would be ignored: it needs a drafter and a target behind an address"),
        (("auto", None), {"target_url": URL, "label_ids": False}, "label_ids would be ignored"),
        (("auto", None), {"draft_url": URL}, "draft_url would be ignored: it needs a drafter"),
        (("auto", None), {"attention": "flex_attention"}, "attention would be ignored: it needs a drafter and"),
        ((), {"backend": "vllm", "device": "cuda"}, "device would be ignored: it needs a model that runs here on"),
        ((), {"target_url": URL, "dtype": "float32"}, "dtype would be ignored: it needs a model that runs here"),
        ((), {"target_url": URL, "backend": "vllm"}, "backend would be ignored: it needs a model without an address"),
    ],
)
@pytest.mark.parametrize("kind", [Engine, AsyncEngine])
def test_bad_options_get_one_line_before_anything_is_loaded(
    kind: type[Engine] | type[AsyncEngine], args: Any, options: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parse_engine.loadable.load_pair", lambda *_, **__: pytest.fail("a model was loaded"))
    with pytest.raises(ConfigError) as caught:
        kind.load(*args, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_profile_may_be_named_by_its_file(kind: type[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended in a traceback."""
    codec = Codec(byte_tokenizer())
    models = ScriptedModel(codec, "x"), ScriptedModel(codec, "x")
    profile = make_profile(target_fingerprint="scripted", draft_fingerprint="scripted", fits={})
    profile.save(tmp_path / "own.profile")
    monkeypatch.setattr("parse_engine.loadable.load_pair", lambda *_, **__: models)
    given = kind(tmp_path / "own.profile")
    config = {"threshold": 0.7, "judge": "prompt"}
    for engine in (AsyncEngine.load(profile=given, config=config), AsyncEngine(*models, config, profile=given)):
        assert engine.profile is not None
        assert engine.profile.digest == profile.digest
        assert engine.config == ParseConfig(threshold=0.7, judge="prompt")

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from parse_engine import ParseConfig, profile
from parse_engine.errors import ConfigError
from parse_engine.profile import Profile, to_plain

from .profiles import make_profile, tried

ROOT = Path(__file__).parents[2]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "a.profile"
    made = make_profile()
    made.save(file)
    again = Profile.load(file)
    assert dataclasses.replace(again, fits={}) == dataclasses.replace(made, fits={})
    assert to_plain(again) == to_plain(made)
    for judge, fit in made.fits.items():
        for part in ("full", "prefix"):
            before, after = getattr(fit, part), getattr(again.fits[judge], part)
            assert (after.names, after.bias) == (before.names, before.bias)
            assert after.values.dtype == np.float64
            assert after.values.tolist() == before.values.tolist()


def test_a_missing_profile(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no profile at .*none\.profile\. Make one with parse-engine calibrate\."):
        Profile.load(tmp_path / "none.profile")


@pytest.mark.parametrize("content", [b"", b"threshold = 0.5\n", b"\xff" * 64])
def test_another_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"settings\.toml is not a profile \(.*Make one"):
        Profile.load(file)


def test_weights_of_a_model_are_no_profile(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"lm_head": np.zeros(3)}, file)
    with pytest.raises(ConfigError, match="is not a profile"):
        Profile.load(file)


def test_a_profile_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.profile"
    with monkeypatch.context() as later:
        later.setattr(profile, "VERSION", profile.VERSION + 1)
        make_profile().save(file)
    versions = f"a profile of version {profile.VERSION + 1}, this is {profile.VERSION}"
    with pytest.raises(ConfigError, match=rf"{versions}\. Calibrate again\."):
        Profile.load(file)


def test_a_changed_byte_is_refused_wherever_it_is(tmp_path: Path) -> None:
    """A bit of a weight, a digit of a threshold, a space behind the header: the promise would be of another profile."""
    file = tmp_path / "a.profile"
    make_profile().save(file)
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ConfigError, match=r"changed or damaged|is not a profile|is a profile of version"):
            Profile.load(file)
    threshold = content.index(b"0.9745") + 5
    for place in (threshold, len(content) - 1):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ConfigError, match=r"a\.profile was changed or damaged since it was made\. Copy it again"):
            Profile.load(file)


@pytest.mark.parametrize("file", sorted((ROOT / "results" / "records").glob("*.profile")), ids=lambda file: file.stem)
def test_the_published_profiles_can_be_read(file: Path) -> None:
    assert Profile.load(file).tried


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write .* Give another place"):
        make_profile().save(tmp_path)


def test_the_choice_is_the_fastest_promised_one_that_is_faster_than_the_target() -> None:
    made = make_profile()
    assert made.choice == made.tried[4]
    assert made.config == ParseConfig(
        judge="fused", threshold=0.9745, full_threshold=0.9692, boundary_rule="last-success"
    )
    slow = make_profile(tried=[tried(losses=0, speed=1.0, promised=True)])
    assert (slow.choice, slow.config) == (None, None)


def test_a_profile_can_be_narrowed_to_one_judge() -> None:
    assert make_profile().only("fused").choice == make_profile().choice
    assert make_profile().only("prompt").choice is None
    with pytest.raises(ConfigError, match=r"no judge 'head'\. It has prompt, fused\."):
        make_profile().only("head")


def test_other_models_are_refused() -> None:
    big: Any = SimpleNamespace(name="big", fingerprint="b16")
    small: Any = SimpleNamespace(name="small", fingerprint="5ma11")
    other: Any = SimpleNamespace(name="small", fingerprint="retrained")
    make_profile().check(big, small)
    make_profile().check(big, None)
    with pytest.raises(ConfigError, match="made for the drafter small, and small is another one or has changed"):
        make_profile().check(big, other)
    with pytest.raises(ConfigError, match="made for the target big"):
        make_profile().check(other, small)

"""A profile: the judges fitted to a pair of models, and what was promised of which settings on which data.

`parse-engine calibrate` makes it; the engine, `generate` and `bench` take it. It is one safetensors file: the weights
of the judges, and everything else as JSON in its metadata, with a checksum over the whole file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from parse_engine.config import BoundaryRule, Judge, ParseConfig, SamplingParams
from parse_engine.errors import ConfigError
from parse_engine.files import write_atomically
from parse_engine.prefix.judges import Fit, Weights

if TYPE_CHECKING:
    from parse_engine.backends.base import Model
    from parse_engine.prompt import Prompt

VERSION = 3
_METADATA, _CHECKSUM = "profile", "checksum"
_NO_CHECKSUM = "0" * 64
"""What stands in the file where the checksum goes, when it is taken."""


@dataclass(frozen=True)
class Setting:
    """What is calibrated of the engine; the fields are those of `ParseConfig`."""

    judge: Judge
    threshold: float
    full_threshold: float
    delta: int
    max_prefixes: int
    boundary_rule: BoundaryRule
    judge_prompt: str = "v1"

    @property
    def config(self) -> ParseConfig:
        return ParseConfig(**asdict(self))


@dataclass(frozen=True)
class Tried:
    """One setting on the questions that were kept for testing."""

    setting: Setting
    losses: int
    """Questions that the target has right and PARSE wrong."""
    gains: int
    """The other way round."""
    p_value: float
    """How likely so few losses are, were the risk above the limit."""
    promised: bool
    """Whether the risk is shown to be within the limit; of use is only what is faster than the target as well."""
    speed: float
    """Seconds of the plain target over those of PARSE, by the costs below."""
    kept: float
    """Share of the answers' tokens that come from the drafter."""
    accepted: float
    """Share of the drafts that are kept whole."""


@dataclass(frozen=True)
class Ranking:
    """How well a judge tells right full drafts from wrong, and safe prefixes from others, on questions held out."""

    full: float | None
    """Area under the ROC curve; None where all are right or all wrong."""
    full_ci: tuple[float, float] | None
    """95 %, bootstrap by question."""
    prefix: float | None
    prefix_ci: tuple[float, float] | None


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All that a profile says."""

    target: str
    """Name, for people. What is checked is the fingerprint."""
    draft: str
    """Name of the drafter."""
    target_fingerprint: str
    """Tells the target from any other model."""
    draft_fingerprint: str
    """Tells the drafter from any other model."""
    backend: str
    """Where the models ran: hf, vllm or http."""
    dtype: str
    """Number type of the weights, as it was asked for."""
    tasks: Mapping[str, Mapping[str, Any]]
    """Task -> version, number of questions and hash of what was asked."""
    sampling: Mapping[str, Any]
    """The SamplingParams of all answers."""
    max_loss: float
    """Most questions, as a share, that the target has right and PARSE wrong: the promise."""
    confidence: float
    """Probability, over the draw of the questions, that the promise holds."""
    fitted_on: int
    """Questions that judges were fitted to and settings put in order by; not tested on."""
    tested_on: int
    """Questions that settings were tested on."""
    target_right: float
    """Share of the tested questions that the plain target has right."""
    draft_right: float
    """Share of the tested questions that the drafter has right."""
    concurrency: int
    """Most answers in flight while costs were measured."""
    costs: Mapping[str, float]
    """Seconds by token and pass on this device; see calibration/costs.py."""
    rankings: Mapping[str, Ranking]
    """By judge."""
    tried: Sequence[Tried]
    """In the order of testing, judge by judge."""
    disagreement: float
    """Share of answers of the chosen setting that differ in their final answer from the target's, at most, at the same
    confidence; what an audit without a key can watch."""
    provenance: Mapping[str, Any]
    """Command, versions and hardware."""
    fits: Mapping[str, Fit] = field(default_factory=dict)
    """By judge."""

    @property
    def digest(self) -> str:
        """Tells this profile from any other."""
        content = [json.dumps(to_plain(self), sort_keys=True).encode()]
        content += [getattr(fit, part).values.tobytes() for fit in self.fits.values() for part in _PARTS]
        return hashlib.sha256(b"".join(content)).hexdigest()

    @property
    def choice(self) -> Tried | None:
        """The fastest setting that was promised; None where there is none."""
        return choose(self.tried)

    @property
    def config(self) -> ParseConfig | None:
        """The settings of the choice."""
        return self.choice.setting.config if self.choice else None

    def config_on(self, base: ParseConfig, given: Mapping[str, Any]) -> ParseConfig | None:
        """The settings for an engine: those of the choice, changed by what was `given`; all else is as in `base`.

        None where nothing was promised and nothing given: then the target answers alone.
        """
        chosen = asdict(self.choice.setting) if self.choice else {}
        return replace(base, **{**chosen, **given}) if chosen or given else None

    def departures(
        self, config: ParseConfig, params: SamplingParams, prompt: Prompt, *, raw: bool, thinking: bool | None
    ) -> list[str]:
        """In what an answer under way departs from what was promised, in words; empty where the promise holds.

        Calibration asks its questions by the chat template as it stands, without a system message. `prompt` is one that
        `encode` has taken.
        """
        promised = [each.setting for each in self.tried if each.promised]
        own = Setting(**{f.name: getattr(config, f.name) for f in fields(Setting)})
        # What is no part of a setting was at its default.
        as_made = config.judge_suffix is None and config.min_label_mass == ParseConfig.min_label_mass
        said = [] if own in promised and as_made else ["these settings"]
        for name in ("max_tokens", "temperature", "top_p"):
            if getattr(params, name) != self.sampling[name]:
                said.append(f"another {name} than {self.sampling[name]:g}")
        if sorted(params.stop) != sorted(self.sampling["stop"]):
            said.append("other stop texts")
        if raw:
            said.append("raw prompts")
        roles = [] if isinstance(prompt, str) else dict.fromkeys(message["role"] for message in prompt)
        said += [f"prompts with a {role} message" for role in roles if role not in _ROLES]
        if thinking is not None:
            said.append("prompts that ask for thinking or for none")
        return said

    def only(self, judge: Judge) -> Self:
        """The same profile with the settings of one judge alone to choose from.

        Raises:
            ConfigError: it has no such judge.
        """
        if judge not in self.fits:
            raise ConfigError(f"the profile has no judge '{judge}'. It has {', '.join(self.fits)}.")
        return replace(self, tried=[tried for tried in self.tried if tried.setting.judge == judge])

    def check(self, target: Model, drafter: Model | None) -> None:
        """Refuse other models.

        Raises:
            ConfigError: the profile was made for another target, drafter, or version of one of them.
        """
        for role, own, name, model in (
            ("target", self.target_fingerprint, self.target, target),
            ("drafter", self.draft_fingerprint, self.draft, drafter),
        ):
            if model is not None and model.fingerprint != own:
                raise ConfigError(
                    f"the profile was made for the {role} {name}, and {model.name} is another one or has changed: its "
                    "promise does not hold. Make a profile for it with parse-engine calibrate."
                )

    def save(self, path: Path) -> None:
        """Write one file.

        Raises:
            ConfigError: it cannot be written.
        """
        tensors = {f"{judge}.{part}": getattr(fit, part).values for judge, fit in self.fits.items() for part in _PARTS}
        text = json.dumps({"version": VERSION, **to_plain(self)})
        content = save(tensors, {_METADATA: text, _CHECKSUM: _NO_CHECKSUM})
        try:
            write_atomically(path, _with_checksum(content, _NO_CHECKSUM, hashlib.sha256(content).hexdigest()))
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}. Give another place.") from None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a profile.

        Raises:
            ConfigError: it is missing, not a profile of this version, or not as it was written.
        """
        try:
            with safe_open(path, framework="np") as file:
                metadata = file.metadata() or {}
                values = json.loads(metadata[_METADATA])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if (version := values.pop("version")) != VERSION:
                raise ConfigError(f"{path} is a profile of version {version}, this is {VERSION}. Calibrate again.")
            checksum = metadata[_CHECKSUM]
            if hashlib.sha256(_with_checksum(path.read_bytes(), checksum, _NO_CHECKSUM)).hexdigest() != checksum:
                raise ConfigError(
                    f"{path} was changed or damaged since it was made. Copy it again, or calibrate again."
                )
            fits = {
                judge: Fit(*(_weights(fit[part], tensors[f"{judge}.{part}"]) for part in _PARTS))
                for judge, fit in values.pop("fits").items()
            }
            tried = [Tried(**{**each, "setting": Setting(**each["setting"])}) for each in values.pop("tried")]
            rankings = {judge: _ranking(each) for judge, each in values.pop("rankings").items()}
            return cls(**values, fits=fits, tried=tried, rankings=rankings)
        except FileNotFoundError:
            raise ConfigError(f"no profile at {path}. Make one with parse-engine calibrate.") from None
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path} is not a profile ({error}). Make one with parse-engine calibrate.") from None


def to_plain(profile: Profile) -> dict[str, Any]:
    """All that a profile says, as plain data; of the judges what they read, without the weights."""
    return {
        **asdict(replace(profile, fits={})),
        "fits": {judge: _plain_fit(fit) for judge, fit in profile.fits.items()},
    }


def choose(tried: Sequence[Tried]) -> Tried | None:
    """The fastest setting that was promised and is faster than the target alone; None where there is none."""
    fast = [each for each in tried if each.promised and each.speed > 1]
    return max(fast, key=lambda each: each.speed, default=None)


_PARTS = ("full", "prefix")
_ROLES = ("user", "assistant")


def _with_checksum(content: bytes, old: str, new: str) -> bytes:
    """A file with another checksum in its place."""
    before, after = (f'"{_CHECKSUM}":"{each}"'.encode() for each in (old, new))
    return content.replace(before, after, 1)


def _plain_fit(fit: Fit) -> dict[str, Any]:
    return {part: {"names": getattr(fit, part).names, "bias": getattr(fit, part).bias} for part in _PARTS}


def _weights(plain: Mapping[str, Any], values: Any) -> Weights:
    return Weights(tuple(plain["names"]), np.asarray(values, dtype=np.float64), plain["bias"])


def _ranking(plain: Mapping[str, Any]) -> Ranking:
    def pair(name: str) -> tuple[float, float] | None:
        return None if plain[name] is None else (plain[name][0], plain[name][1])

    return Ranking(plain["full"], pair("full_ci"), plain["prefix"], pair("prefix_ci"))

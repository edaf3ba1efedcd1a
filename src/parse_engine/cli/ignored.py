"""Settings that would be read and then have no effect: they are refused, because somebody meant something by them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from parse_engine.config import ParseConfig
from parse_engine.errors import ConfigError

if TYPE_CHECKING:
    from parse_engine.cli.settings import GenerateSettings


@dataclass(frozen=True)
class Rule:
    """When some settings have an effect."""

    names: frozenset[str]
    has_effect: Callable[[GenerateSettings], bool]
    need: str
    """What they need, in words."""


def _runs_here(settings: GenerateSettings) -> bool:
    """Whether a model runs in this process, and not behind an address."""
    return settings.target_url is None or (settings.draft_url is None and settings.method != "target")


def _is_served(settings: GenerateSettings) -> bool:
    """Whether a model that is used has an address."""
    return settings.target_url is not None or (settings.draft_url is not None and settings.method != "target")


def _rule(names: str, has_effect: Callable[[GenerateSettings], bool], need: str) -> Rule:
    return Rule(frozenset(names.split()), has_effect, need)


JUDGING = " ".join(field.name for field in fields(ParseConfig))

RULES = (
    _rule(JUDGING, lambda s: s.method == "parse", "method parse, the only one that judges"),
    _rule("draft_timeout", lambda s: s.method == "parse", "method parse, the only one that can do without its draft"),
    _rule("draft draft_url draft_option", lambda s: s.method != "target", "a method with a drafter (parse or draft)"),
    _rule(
        "delta boundary_rule", lambda s: s.max_prefixes > 1, "prefixes before the whole draft (max_prefixes above 1)"
    ),
    _rule("judge_suffix judge_prompt", lambda s: s.judge in ("prompt", "fused"), "a judge that asks"),
    _rule(
        "min_label_mass",
        lambda s: s.judge == "prompt" and s.profile is None,
        "judge prompt as it is without a profile, the only one that reads verdicts alone",
    ),
    _rule(
        "keep_agreeing",
        lambda s: s.greedy or s.may_have_objects or not s.keep_agreeing,
        "greedy decoding (temperature 0)",
    ),
    _rule("top_p seed", lambda s: not s.greedy or s.may_have_objects, "sampling (temperature above 0)"),
    _rule("backend", lambda s: s.backend == "http" or _runs_here(s), "a model without an address"),
    _rule("device", lambda s: s.backend == "hf" and _runs_here(s), "a model that runs here on the back end hf"),
    _rule("dtype", lambda s: s.backend != "http" and _runs_here(s), "a model that runs here"),
    _rule(
        "attention",
        lambda s: s.backend == "hf" and s.target_url is None and s.method == "parse",
        "method parse with a target that runs here on the back end hf",
    ),
    _rule("timeout", _is_served, "a model behind an address (target_url, draft_url)"),
    _rule(
        "label_ids",
        lambda s: s.target_url is not None and s.method == "parse",
        "method parse with a target behind an address (target_url)",
    ),
)


def refuse_ignored(given: Collection[str], *among: GenerateSettings) -> None:
    """Refuse what was given and has no effect beside the others of any of these settings.

    Raises:
        ConfigError: there is something of the kind.
    """
    for rule in RULES:
        if (names := sorted(rule.names & set(given))) and not any(map(rule.has_effect, among)):
            they, need, them = ("it", "needs", "it") if len(names) == 1 else ("they", "need", "them")
            raise ConfigError(
                f"{', '.join(names)} would be ignored: {they} {need} {rule.need}. Drop {them}, or change the rest."
            )

"""Settings that would be read and then have no effect: they are refused, because somebody meant something by them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from parse_engine.backends.load import NEEDS, Need, Places
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


def _rule(names: str, has_effect: Callable[[GenerateSettings], bool], need: str) -> Rule:
    return Rule(frozenset(names.split()), has_effect, need)


def _loading_rule(name: str, need: Need) -> Rule:
    """The rule of an option of loading, which Python callers have as well."""

    def has_effect(settings: GenerateSettings) -> bool:
        places = Places(settings.backend, settings.target_url, settings.draft_url, settings.method != "target")
        return need.is_met(places) and (settings.method == "parse" or not need.judges)

    return _rule(name, has_effect, f"method parse with {need.words}" if need.judges else need.words)


JUDGING = " ".join(field.name for field in fields(ParseConfig))

RULES = (
    _rule(JUDGING, lambda s: s.method == "parse", "method parse, the only one that judges"),
    _rule("draft_timeout", lambda s: s.method == "parse", "method parse, the only one that can do without its draft"),
    _rule("draft draft_url draft_option", lambda s: s.method != "target", "a method with a drafter (parse or draft)"),
    _rule(
        "delta boundary_rule", lambda s: s.max_prefixes > 1, "prefixes before the whole draft (max_prefixes above 1)"
    ),
    _rule("judge_suffix judge_prompt min_label_mass", lambda s: s.judge in ("prompt", "fused"), "a judge that asks"),
    _rule(
        "keep_agreeing",
        lambda s: s.greedy or s.may_have_objects or not s.keep_agreeing,
        "greedy decoding (temperature 0)",
    ),
    _rule("top_p seed", lambda s: not s.greedy or s.may_have_objects, "sampling (temperature above 0)"),
    *(_loading_rule(name, need) for name, need in NEEDS.items()),
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

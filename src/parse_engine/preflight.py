"""`parse-engine check`: whether the settings work together, found out before anything heavy is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from parse_engine.backends.base import Signal
from parse_engine.backends.folder import (
    Ends,
    check_here,
    check_target,
    context_length,
    longest_text,
    read_codec,
    read_config,
    read_ends,
    united,
)
from parse_engine.backends.load import LoadOptions, check_loading, connect, names_of, vllm_options
from parse_engine.config import ParseConfig
from parse_engine.errors import ParseEngineError
from parse_engine.models.fingerprint import fingerprint
from parse_engine.models.resolve import resolve
from parse_engine.prefix.judges import FittedJudge, Judge, PromptJudge
from parse_engine.prefix.suffix import judge_prompt
from parse_engine.prefix.verifier import check_told, make_judge
from parse_engine.profile import Profile
from parse_engine.text import Codec

T = TypeVar("T")
Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of the report. `advice` says what to change; empty where nothing is to be changed."""

    level: Level
    text: str
    advice: str = ""


@dataclass(frozen=True)
class CacheFacts:
    """What decides how the prefixes of a draft are shared; None where it cannot be found out."""

    prefix_caching: bool | None = None
    block_size: int | None = None
    step_tokens: int | None = None
    """Most rows of one scheduler step (`max_num_batched_tokens`)."""
    step_requests: int | None = None
    """Most requests of one scheduler step (`max_num_seqs`)."""


@dataclass(frozen=True)
class Seen:
    """A model as far as it is known before it is loaded."""

    name: str
    codec: Codec
    signals: frozenset[Signal]
    """What its back end will tell."""
    fingerprint: str
    ends: Ends
    facts: CacheFacts


def check(
    target: str | Path,
    draft: str | Path | None,
    config: ParseConfig,
    max_tokens: int,
    options: LoadOptions,
    profile: Profile | None = None,
) -> list[Finding]:
    """All findings about a target, a drafter, and how they are to be run.

    Args:
        profile: its judges are the ones that are looked at. Its choice is not taken over: `config` says what is used.
    """
    target, draft = names_of(target, draft, options.get("target_url"), options.get("draft_url"))
    findings: list[Finding] = []
    _attempt(findings, lambda: check_loading(target, draft, options))
    judge: Judge | None = None
    large = _look_at(findings, "target", target, options, alone=draft is None)
    if large is not None:
        fits = profile.fits if profile else None
        judge = _attempt(findings, lambda: make_judge(large.codec, config, fits))
    if large is not None and judge is not None:
        wanted = judge.signals
        findings += judge_findings(judge, large.codec, config)
        _attempt(findings, lambda: check_told(config.judge, wanted, large.name, large.signals))
        findings += sharing_findings(large.facts, config, max_tokens, judge.longest_suffix)
    small = _look_at(findings, "draft", draft, options, alone=False) if draft is not None else None
    if large is not None and small is not None:
        findings += pair_findings(large.codec, small.codec)
    if judge is not None and judge.wants_drafter and small is not None and "sampled" not in small.signals:
        text = f"judge '{config.judge}' reads the log-probabilities of the drafter, which its back end does not tell"
        findings.append(Finding("fail", text, "Use another judge or back end."))
    if profile is not None:
        findings += profile_findings(profile, large, small)
    return findings


def judge_findings(judge: Judge, codec: Codec, config: ParseConfig) -> Iterator[Finding]:
    """What the judge reads, and its labels and suffixes in the target's tokens."""
    asking = judge if isinstance(judge, PromptJudge) else None
    if isinstance(judge, FittedJudge):
        asking = judge.asking
        reads = ["verdicts"] if asking else []
        reads += [f"{signal} of the target" for signal in sorted(judge.signals)]
        reads += ["log-probabilities of the drafter"] if judge.wants_drafter else []
        costs = "" if asking else "; it asks for no verdicts and needs no suffix"
        read = ", ".join(reads) or "lengths alone"
        yield Finding("ok", f"judge '{config.judge}' is fitted, and reads {read}{costs}")
    elif asking is None:
        yield Finding("ok", f"the {config.judge} judge needs no labels and no suffix")
    if asking is None:
        return
    labels = " and ".join(repr(codec.decode(ids[:1])) for ids in (asking.correct, asking.incorrect))
    yield Finding("ok", f"the labels are tokens of the target: {labels}")
    where = "as given" if config.judge_suffix else "from the chat template" if codec.has_chat_template else "plain text"
    yield Finding("ok", f"the judge's suffix has {asking.longest_suffix} tokens ({where})")
    wording = judge_prompt(config.judge_prompt)
    for forms, ids in ((wording.correct, asking.correct), (wording.incorrect, asking.incorrect)):
        if all(len(codec.encode(form)) > 1 for form in forms):
            yield Finding(
                "warn",
                f"the label {forms[0]} is no single token of the target: it is read by its first token, "
                f"{codec.decode(ids[:1])!r}, with which other words begin as well",
                "Calibrate (parse-engine calibrate), or use --judge likelihood.",
            )
    if config.min_label_mass > 0:
        plain = where == "plain text"
        yield Finding(
            "warn" if plain else "ok",
            "whether the target answers with a label is known only when it runs: prefixes for which the labels have "
            f"less than {config.min_label_mass:.0%} of its probability are rejected, with a warning",
            "A model without a chat template may not answer; --judge likelihood asks for nothing." if plain else "",
        )


def profile_findings(profile: Profile, target: Seen | None, drafter: Seen | None) -> Iterator[Finding]:
    """Whether a profile is of these models, as far as they are known, and whether it promises anything."""
    for role, made_for, name, model in (
        ("target", profile.target_fingerprint, profile.target, target),
        ("drafter", profile.draft_fingerprint, profile.draft, drafter),
    ):
        if model is None:
            continue
        if model.fingerprint == made_for:
            yield Finding("ok", f"the profile was made for this {role}")
        else:
            yield Finding(
                "fail",
                f"the profile was made for the {role} {name}, and {model.name} is another one or has changed",
                "Calibrate again (parse-engine calibrate), or use the models that it was made for.",
            )
    if profile.choice is None:
        yield Finding(
            "warn",
            "the profile promises no setting that is faster than the target alone",
            "Calibrate with more questions or a larger --max-loss; until then use --method target.",
        )


def end_findings(role: str, codec: Codec, ends: Ends) -> Iterator[Finding]:
    """Whether those who name the end of an answer agree."""
    configured, own = (
        united({who: ends[who] for who in ends if ("config" in who) is is_config}) for is_config in (True, False)
    )
    if not configured and not own:
        text = f"{role}: nothing says which token ends an answer, so that all run to max_tokens"
        yield Finding("warn", text, "Name it in generation_config.json (eos_token_id), or give --stop.")
    elif not own <= configured:
        said = "; ".join(
            f"{who} {', '.join(codec.name_of(id) for id in sorted(ids)) or 'none'}" for who, ids in ends.items()
        )
        text = f"{role}: the end of an answer is named in several ways, and each of them ends it here ({said})"
        yield Finding("warn", text, "Put all of them into generation_config.json (eos_token_id) for other programs.")


def pair_findings(target: Codec, drafter: Codec) -> Iterator[Finding]:
    """What the two tokenizers mean for each other."""
    if target.same_tokens_as(drafter):
        yield Finding("ok", "target and drafter share their tokens: drafts are handed over as ids")
    else:
        yield Finding("ok", "target and drafter have different tokens: drafts are handed over as text")
    if target.has_chat_template != drafter.has_chat_template:
        which = "drafter" if target.has_chat_template else "target"
        yield Finding("warn", f"the {which} has no chat template", "Use an instruction-tuned model, or --raw for both.")


def sharing_findings(facts: CacheFacts, config: ParseConfig, max_tokens: int, suffix: int) -> Iterator[Finding]:
    """Whether the prefixes of a draft are computed once, in one step, and what is wasted.

    Args:
        max_tokens: most tokens of a draft.
        suffix: tokens of the judge's longest suffix.
    """
    count, block = config.max_prefixes, facts.block_size
    if facts.prefix_caching is False:
        yield Finding(
            "fail", "prefix caching is off: every prefix is computed in full", "Start with enable_prefix_caching=true."
        )
    elif facts.prefix_caching:
        yield Finding("ok", "prefix caching is on: prompt and draft are computed once")
    if facts.step_requests is not None:
        enough = facts.step_requests >= count + 1
        yield Finding(
            "ok" if enough else "fail",
            f"a step takes {facts.step_requests} requests, {count} prefixes and a likelihood need {count + 1}",
            "" if enough else f"Raise max_num_seqs to {count + 1}, or lower --max-prefixes.",
        )
    if facts.step_tokens is not None and block is not None:
        room = facts.step_tokens - max_tokens - count * (suffix + block)
        yield Finding(
            "ok" if room >= 1024 else "warn" if room > 0 else "fail",
            f"one step of {facts.step_tokens} rows verifies a draft of {max_tokens} tokens after prompts of up to "
            f"{max(room, 0)} tokens; longer ones take more steps",
            "" if room >= 1024 else "Raise max_num_batched_tokens, or lower --max-tokens or --max-prefixes.",
        )
    if block is not None and block > 1:
        wasted = count * (block - 1) // 2
        much = wasted > max_tokens // 2
        yield Finding(
            "warn" if much else "ok",
            f"blocks of {block} tokens: about {wasted} rows per verification are computed again",
            "Use a smaller block_size (16 on GPUs, 32 on CPUs), or lower --max-prefixes." if much else "",
        )


def _look_at(findings: list[Finding], role: str, name: str | Path, options: LoadOptions, *, alone: bool) -> Seen | None:
    """A model, and findings about it."""
    seen = _attempt(
        findings,
        lambda: _served(findings, role, name, options) or _here(findings, role, name, options, alone=alone),
    )
    if seen is None:
        return None
    findings += end_findings(role, seen.codec, seen.ends)
    if not seen.codec.has_chat_template:
        return seen
    if _attempt(findings, lambda: seen.codec.render([{"role": "user", "content": "Hello"}])) is not None:
        findings.append(Finding("ok", f"{role}: the chat template can be used"))
    return seen


def _served(findings: list[Finding], role: str, name: str | Path, options: LoadOptions) -> Seen | None:
    """A model behind an address, asked as it will be when it is loaded; None where it has no address."""
    model = connect(name, options, role)
    if model is None:
        return None
    url, length = options.get(f"{role}_url"), model.context_length
    findings.append(Finding("ok", f"{role}: {url} serves {model.name}, {length} tokens of context"))
    facts = CacheFacts(prefix_caching=model.prefix_caching, block_size=model.block_size)
    return Seen(model.name, model.codec, model.signals, model.fingerprint, model.ends, facts)


def _here(findings: list[Finding], role: str, name: str | Path, options: LoadOptions, *, alone: bool) -> Seen:
    folder = resolve(name)
    if role == "target":
        check_target(folder)
    codec, config = read_codec(folder), read_config(folder)
    text = "full attention in every layer" if role == "target" else f"{config.model_type} model"
    ends = read_ends(folder, codec)
    findings.append(Finding("ok", f"{role}: {name}, {text}"))
    if options.get("backend") != "vllm":
        from parse_engine.backends.hf import HFModel

        judges = role == "target"
        check_here(folder, judges=judges, attention=options.get("attention", "sdpa") if judges else "sdpa")
        used, named = context_length(config, str(name)), longest_text(config)
        if used != named:
            text = f"{role}: its rotary frequencies change behind {used} of {named} tokens; the context ends there"
            findings.append(
                Finding("warn", text, f"Keep prompt and answer within {used} tokens, or use another model.")
            )
        return Seen(str(name), codec, HFModel.signals, fingerprint(folder), ends, CacheFacts(block_size=1))
    from parse_engine.backends.vllm import VLLMModel, engine_config

    own = vllm_options(options, role, alone=alone)
    config = engine_config(folder, name=str(name), dtype=options.get("dtype", "auto"), options=own)
    facts = CacheFacts(
        prefix_caching=bool(config.cache_config.enable_prefix_caching),
        block_size=int(config.cache_config.block_size),
        step_tokens=int(config.scheduler_config.max_num_batched_tokens),
        step_requests=int(config.scheduler_config.max_num_seqs),
    )
    return Seen(str(name), codec, VLLMModel.signals, fingerprint(folder), ends, facts)


def _attempt(findings: list[Finding], step: Callable[[], T]) -> T | None:
    """The result of a step; its error becomes a finding."""
    try:
        return step()
    except ParseEngineError as error:
        findings.append(Finding("fail", str(error)))
        return None

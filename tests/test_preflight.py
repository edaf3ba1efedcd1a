"""What `parse-engine check` finds, and what it says to change."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from parse_engine.backends.hf import HFModel
from parse_engine.backends.http import HTTPModel
from parse_engine.backends.load import LoadOptions, load_pair
from parse_engine.config import ParseConfig
from parse_engine.errors import ConfigError
from parse_engine.models.fingerprint import fingerprint
from parse_engine.models.resolve import resolve
from parse_engine.prefix.verifier import prompt_judge
from parse_engine.preflight import CacheFacts, Finding, check, judge_findings, pair_findings, sharing_findings
from parse_engine.profile import Profile
from parse_engine.text import Codec
from tests.calibration.profiles import fit, make_profile
from tests.conftest import byte_tokenizer

CONFIG = ParseConfig(max_prefixes=16)
GOOD = CacheFacts(prefix_caching=True, block_size=32, step_tokens=8192, step_requests=128)


def levels(facts: CacheFacts, max_tokens: int = 512) -> dict[str, str]:
    """Level by what the finding is about."""
    about = {"caching": "prefix caching", "requests": "requests", "step": "one step", "blocks": "blocks of"}
    found = list(sharing_findings(facts, CONFIG, max_tokens, suffix=25))
    assert all(bool(finding.advice) == (finding.level != "ok") for finding in found)
    return {key: f.level for key, words in about.items() for f in found if words in f.text}


def test_good_settings_have_nothing_to_change() -> None:
    assert levels(GOOD) == {"caching": "ok", "requests": "ok", "step": "ok", "blocks": "ok"}


@pytest.mark.parametrize(
    ("facts", "key", "level"),
    [
        (CacheFacts(False, 32, 8192, 128), "caching", "fail"),
        (CacheFacts(True, 32, 8192, 16), "requests", "fail"),
        (CacheFacts(True, 32, 2048, 128), "step", "warn"),
        (CacheFacts(True, 32, 1024, 128), "step", "fail"),
        (CacheFacts(True, 128, 8192, 128), "blocks", "warn"),
    ],
)
def test_each_setting_that_costs_something_is_named(facts: CacheFacts, key: str, level: str) -> None:
    assert levels(facts)[key] == level


def test_what_is_not_known_is_not_judged() -> None:
    assert levels(CacheFacts()) == {}
    assert levels(CacheFacts(block_size=1)) == {}


def test_tokenizers_and_templates_are_compared() -> None:
    same, other = Codec(byte_tokenizer()), Codec(byte_tokenizer(merged=("and two",), template=None))
    assert [f.level for f in pair_findings(same, same)] == ["ok"]
    assert [f.level for f in pair_findings(same, other)] == ["ok", "warn"]


def test_servers_are_asked_as_they_will_be_when_the_models_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time limit and way of reading labels were those of nobody: a check could fail where `generate` did not."""
    asked: list[dict[str, Any]] = []

    def connect(url: str, **how: Any) -> SimpleNamespace:
        asked.append({"url": url, **how})
        known = {"prefix_caching": None, "block_size": 1, "context_length": 99, "signals": frozenset()}
        return SimpleNamespace(name="m", fingerprint="m", ends={}, codec=Codec(byte_tokenizer()), **known)

    monkeypatch.setattr(HTTPModel, "connect", connect)
    options: LoadOptions = {
        "backend": "http",
        "target_url": "http://x/v1",
        "draft_url": "http://y/v1",
        "timeout": 9.0,
        "label_ids": False,
    }
    check("auto", "auto", ParseConfig(), 512, options)
    checked = sorted(asked, key=lambda each: each["role"])
    asked.clear()
    load_pair("auto", "auto", **options)
    assert checked == sorted(asked, key=lambda each: each["role"])
    assert [(each["role"], each["read_timeout"], each["chosen_labels"]) for each in checked] == [
        ("draft", 9.0, False),
        ("target", 9.0, False),
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"backend": "http"}, "needs the target's address"),
        ({"backend": "http", "target_url": "http://127.0.0.1:1"}, "the drafter 'embedded-drafter' has no address"),
        ({"target_options": {"quantization": "fp8"}}, "target options are vLLM's own"),
    ],
)
def test_options_that_loading_refuses_are_findings(options: LoadOptions, text: str) -> None:
    """They were found right, and `generate` refused them."""
    [found] = [
        f.text for f in check("embedded-target", "embedded-drafter", ParseConfig(), 512, options) if text in f.text
    ]
    with pytest.raises(ConfigError, match=text) as refused:
        load_pair("embedded-target", "embedded-drafter", **options)
    assert str(refused.value) in found


def test_an_unknown_judge_prompt_is_a_finding() -> None:
    found = check("embedded-target", None, ParseConfig(judge_prompt="v0"), 512, {})
    assert [finding.level for finding in found if finding.level != "ok"] == ["fail"]
    assert isinstance(found[0], Finding)


PAIR = ("embedded-target", "embedded-drafter")
FUSED = ParseConfig(judge="fused")


def embedded_profile(*names: str, **changes: Any) -> Profile:
    """Of the embedded pair, with judges that read these features."""
    target, draft = (fingerprint(resolve(name)) for name in PAIR)
    own = {"target_fingerprint": target, "draft_fingerprint": draft, "fits": {"fused": fit(*names)}}
    return make_profile(**{**own, **changes})


def said(config: ParseConfig, profile: Profile | None) -> dict[str, str]:
    """Level by text."""
    return {finding.text: finding.level for finding in check(*PAIR, config, 512, {}, profile)}


def test_a_judge_that_has_to_be_fitted_needs_its_profile() -> None:
    """With a profile as without one it was said to have to be fitted."""
    [text] = [text for text, level in said(FUSED, None).items() if level == "fail"]
    assert "judge 'fused' has to be fitted" in text
    assert "fail" not in said(FUSED, embedded_profile("verdict")).values()


def test_what_is_known_only_at_run_time_is_said_beforehand() -> None:
    [(text, level)] = [(t, level) for t, level in said(ParseConfig(), None).items() if "rejected" in t]
    assert level == "ok"
    assert "less than 10% of its probability" in text
    assert not any("rejected" in t for t in said(ParseConfig(min_label_mass=0.0), None))
    assert any("rejected" in t for t in said(FUSED, embedded_profile("verdict")))
    assert not any("rejected" in t for t in said(FUSED, embedded_profile("segment.mean")))


def test_a_target_that_may_not_answer_is_a_warning() -> None:
    """A base model, whose labels are cut into several tokens."""
    codec = Codec(byte_tokenizer(template=None, labels=()))
    found = list(judge_findings(prompt_judge(codec, ParseConfig()), codec, ParseConfig()))
    cut = [finding.text for finding in found if "no single token" in finding.text]
    assert [text.split(" is no single token")[0] for text in cut] == ["the label Correct", "the label Incorrect"]
    assert "'C'" in cut[0]
    assert [finding.level for finding in found if "rejected" in finding.text] == ["warn"]
    assert all(finding.advice for finding in found if finding.level == "warn")


@pytest.mark.parametrize(
    ("names", "text", "suffix"),
    [
        (["verdict"], "judge 'fused' is fitted, and reads verdicts", True),
        (["verdict", "segment.mean"], "judge 'fused' is fitted, and reads verdicts, logprobs of the target", True),
        (
            ["hidden.last", "prefix.gap"],
            "judge 'fused' is fitted, and reads hidden of the target, logprobs of the target, log-probabilities of the "
            "drafter; it asks for no verdicts and needs no suffix",
            False,
        ),
        (
            ["place.share"],
            "judge 'fused' is fitted, and reads lengths alone; it asks for no verdicts and needs no suffix",
            False,
        ),
    ],
)
def test_a_fitted_judge_is_called_by_its_name_and_what_it_reads(names: list[str], text: str, suffix: bool) -> None:
    """Every judge but the one that asks was called the likelihood judge, which needs no suffix."""
    found = said(FUSED, embedded_profile(*names))
    assert found[text] == "ok"
    assert any("the judge's suffix has" in each for each in found) == suffix
    assert any("the labels are tokens" in each for each in found) == suffix
    assert not any("the likelihood judge" in each for each in found)


def test_what_the_back_end_does_not_tell_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = embedded_profile("hidden.last", "prefix.gap")
    assert "fail" not in said(FUSED, profile).values()
    monkeypatch.setattr(HFModel, "signals", frozenset({"logprobs"}))  # a back end that tells less
    hidden, drafted = [text for text, level in said(FUSED, profile).items() if level == "fail"]
    assert "judge 'fused' reads hidden of embedded-target, which its back end does not tell" in hidden
    assert "judge 'fused' reads the log-probabilities of the drafter" in drafted
    monkeypatch.setattr(HFModel, "signals", frozenset())
    [plain] = [text for text, level in said(ParseConfig(judge="likelihood"), None).items() if level == "fail"]
    assert "judge 'likelihood' reads logprobs of embedded-target" in plain


@pytest.mark.parametrize(("role", "field"), [("target", "target_fingerprint"), ("drafter", "draft_fingerprint")])
def test_a_profile_of_other_models_fails(role: str, field: str) -> None:
    found = check(*PAIR, FUSED, 512, {}, embedded_profile("verdict", **{field: "another"}))
    [failed] = [finding for finding in found if finding.level == "fail"]
    assert failed.text.startswith(f"the profile was made for the {role}")
    assert "parse-engine calibrate" in failed.advice
    assert sum(finding.text.startswith("the profile was made for this") for finding in found) == 1


def test_a_profile_without_a_promise_is_a_warning() -> None:
    profile = embedded_profile("verdict", tried=[])
    [text] = [text for text, level in said(FUSED, profile).items() if level == "warn"]
    assert "promises no setting" in text

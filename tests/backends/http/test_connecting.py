"""What is refused at connection, and who gets to see keys."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from parse_engine.backends.base import VerifyRequest
from parse_engine.backends.http import HTTPModel
from parse_engine.errors import BackendError
from tests.backends.http.common import KEY, decoded, one_line, refused, verified
from tests.servers import Front, TinyServer, free_port, refusal


def test_an_address_with_and_without_v1(front: Callable[..., Front]) -> None:
    server = front()
    for url in (server.url, server.url + "/", server.url.removesuffix("/v1"), server.url.removesuffix("v1")):
        model = HTTPModel.connect(url, role="draft")
        assert (model.name, model.context_length, model.block_size) == ("tiny", 2047, 1)


def test_nobody_there() -> None:
    assert "cannot be reached" in refused(f"http://127.0.0.1:{free_port()}/v1")


@pytest.mark.parametrize("url", ["127.0.0.1:8001", "http://", "ftp://here/v1", "http://here:port", "here"])
def test_no_address(url: str) -> None:
    assert "ConfigError" in refused(url)


def test_the_model_must_be_named_where_there_are_several(front: Callable[..., Front]) -> None:
    server = front(served=("one", "two"))
    assert "serves one, two. Name one of its models with --target" in refused(server.url)
    assert "serves one, two" in refused(server.url, name="three")
    assert HTTPModel.connect(server.url, name="two").name == "two"


def test_a_name_that_is_neither_served_nor_known(front: Callable[..., Front]) -> None:
    assert "serves tiny, and not 'large', and there is no such model here" in refused(front().url, name="large")


def test_the_old_name_of_a_quantised_model_leads_to_its_new_one(front: Callable[..., Front]) -> None:
    assert "'smollm2-135m-instruct-q4_1'" in refused(front().url, name="smollm2-135m-instruct")


def test_a_tokenizer_that_is_not_here(front: Callable[..., Front], folder: Path) -> None:
    server = front()
    assert isinstance(server.answer, TinyServer)
    server.answer.folder = Path("elsewhere")
    assert "its tokenizer is not on this machine. Name the same model with --draft" in refused(server.url, role="draft")
    assert HTTPModel.connect(server.url, name=str(folder)).name == "tiny"


def test_another_tokenizer(front: Callable[..., Front]) -> None:
    assert "cuts a text into other tokens" in refused(front(tokens_by_another=True).url)


def test_a_server_without_completions(front: Callable[..., Front]) -> None:
    assert "has no /completions" in refused(front(completions=False).url)


def test_a_target_needs_logprobs_and_a_drafter_does_not(front: Callable[..., Front]) -> None:
    server = front(top=0, chosen=False)
    assert "reports no probabilities of tokens" in refused(server.url)
    assert HTTPModel.connect(server.url, role="draft").name == "tiny"


def test_the_likelihood_judge_needs_the_prompts_logprobs(front: Callable[..., Front]) -> None:
    model = HTTPModel.connect(front().url)
    with pytest.raises(BackendError, match="Use --judge prompt"):
        verified(model, VerifyRequest((5,), (6, 7), (2,), signals=frozenset({"logprobs"})))


@pytest.mark.parametrize(("role", "variable"), [("target", "PARSE_ENGINE_TARGET_API_KEY"), ("draft", "OPENAI_API_KEY")])
def test_the_key_goes_to_the_server_and_nowhere_else(
    front: Callable[..., Front],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    role: str,
    variable: str,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv(variable, KEY)
    caplog.set_level(logging.DEBUG)
    server = front()
    model = HTTPModel.connect(server.url, role=role)
    decoded(model, [5, 6], 2)
    assert {headers["authorization"] for _, headers, _ in server.seen} == {f"Bearer {KEY}"}
    answer, server.answer = server.answer, lambda *_: refusal(f"the key {KEY} has no credit")
    with pytest.raises(BackendError, match=r"the key \*\*\* has no credit") as caught:
        decoded(model, [5, 6], 2)
    assert one_line(caught.value)
    server.answer = lambda *_: refusal(f"{KEY} is unknown", 401)
    assert f"Set PARSE_ENGINE_{role.upper()}_API_KEY" in refused(server.url, role=role)
    server.answer = answer
    assert KEY not in caplog.text
    assert KEY not in repr(vars(model))


def test_a_password_in_the_address_is_not_shown(front: Callable[..., Front], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    server = front()
    HTTPModel.connect(server.url.replace("//", f"//me:{KEY}@"), role="draft")
    assert all(headers["authorization"].startswith("Basic ") for _, headers, _ in server.seen)
    server.answer = lambda *_: refusal("no", 400)
    refused(server.url.replace("//", f"//me:{KEY}@"))
    assert KEY not in caplog.text

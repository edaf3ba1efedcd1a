"""Chat messages: roles, contents in parts, and what a template leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from parse_engine import Engine
from parse_engine.errors import PromptError
from parse_engine.prompt import ROLES, encode
from parse_engine.text import Codec
from tests.conftest import byte_tokenizer
from tests.scripted import ScriptedModel


def model(template: str | None = None) -> ScriptedModel:
    return ScriptedModel(Codec(byte_tokenizer(template=template) if template else byte_tokenizer()), "x")


def test_the_known_roles_are_carried() -> None:
    any_role = model()
    messages = [{"role": role, "content": f"I am {role}."} for role in ROLES]
    text = any_role.codec.decode(encode(any_role, messages))
    assert all(f"I am {role}." in text for role in ROLES)


@pytest.mark.parametrize(
    ("role", "said"), [("usr", "Did you mean 'user'"), ("robot", "assistant, tool"), ("", "role ''")]
)
def test_unknown_roles_are_refused_by_name(role: str, said: str) -> None:
    with pytest.raises(PromptError, match=f"chat message 2 has the role '{role}'") as caught:
        encode(model(), [{"role": "user", "content": "Hello"}, {"role": role, "content": "x"}])
    assert said in str(caught.value)


def test_what_a_template_leaves_out_is_refused() -> None:
    """Such messages were ignored without a word."""
    template = "{% for m in messages if m['role'] == 'user' %}{{ m['content'] }}{% endfor %}<|assistant|>"
    told = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    with pytest.raises(PromptError, match="template of scripted leaves out chat message 1, of the role 'system'"):
        encode(model(template), told)
    assert encode(model(template), told[1:])


def test_contents_may_be_in_parts_of_text() -> None:
    own = model()
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "2 + 2?"}]
    given, plain = ([{"role": "user", "content": content}] for content in (parts, "What is\n2 + 2?"))
    assert encode(own, given) == encode(own, plain)


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image_url", "image_url": {"url": "x"}}],
        [{"type": "text", "text": "x"}, {"type": "input_audio"}],
        [{"type": "text"}],
        ["x"],
        {"type": "text", "text": "x"},
        7,
        None,
    ],
)
def test_other_contents_are_refused(content: Any) -> None:
    with pytest.raises(
        PromptError, match=r"chat message 1 has no text as its 'content'.* of type 'text', and of no other"
    ):
        encode(model(), [{"role": "user", "content": content}])


PARTS = (
    "{% for m in messages %}<|{{ m['role'] }}|>{% for p in m['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ p['text'] }}{% endfor %}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
FIRST_PART = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'][0]['text'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
USERS_PARTS = PARTS.replace(
    "{% for p in", "{% if m['role'] != 'user' %}{{ m['content'] }}{% else %}{% for p in"
).replace("{% endfor %}<|end|>", "{% endfor %}{% endif %}<|end|>")
TOLD = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "2 + 2?"}]},
    {"role": "assistant", "content": "4"},
    {"role": "user", "content": "And 3 + 3?"},
]


@pytest.mark.parametrize("template", [PARTS, FIRST_PART, USERS_PARTS])
@pytest.mark.parametrize("prompt", ["How many?", TOLD])
def test_templates_that_take_contents_in_parts_get_parts(template: str, prompt: Any) -> None:
    """Given a text they left it out: the prompt was the same whatever was asked."""
    own, usual = model(template), model()
    assert encode(own, prompt) == encode(usual, prompt)
    assert own.codec.turn_end == usual.codec.turn_end
    with Engine(own, own) as engine:  # the judge's question too
        assert "answer" in engine.target.codec.decode(engine.inner.verifier._judge.full_suffix)  # type: ignore[union-attr]


@pytest.mark.parametrize("template", ["<|user|>What?<|end|><|assistant|>", "{{ messages[0]['text'] }}<|assistant|>"])
@pytest.mark.parametrize("options", [{"method": "target"}, {"method": "draft"}, {}])
def test_a_question_that_the_template_swallows_is_refused(template: str, options: Any) -> None:
    with Engine(model(template), model(template), {"judge": "likelihood"}) as engine:
        for prompt in ("How many?", [{"role": "user", "content": [{"type": "text", "text": "How many?"}]}]):
            with pytest.raises(PromptError, match="leaves out chat message 1, of the role 'user'"):
                engine.generate(prompt, **options)

"""From what a user asks to a model's tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from parse_engine.backends.base import Model
from parse_engine.errors import PromptError, did_you_mean
from parse_engine.text import SENTINEL, Message

Prompt = str | Sequence[Mapping[str, Any]]
"""A text, or chat messages: mappings with a `role` and a `content`, which is a text or a list of parts of type text."""

ROLES = ("system", "developer", "user", "assistant", "tool")


def encode(model: Model, prompt: Prompt, *, raw: bool = False, thinking: bool | None = None) -> list[int]:
    """The prompt in a model's tokens, in its chat template unless it is raw or the model has none.

    Raises:
        PromptError: the prompt is empty, is no text, or chat messages cannot be given to this model.
    """
    messages = None if isinstance(prompt, str) else _messages(prompt)
    text = prompt if isinstance(prompt, str) else "".join(message["content"] for message in messages or ())
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise PromptError("the prompt is not valid Unicode: it has half a surrogate pair. Give it as UTF-8 text.")
    if not text.strip():
        raise PromptError("the prompt is empty. Give a question, a list of messages, or a text to continue.")
    if raw or not model.codec.has_chat_template:
        if messages is None:
            return model.codec.encode(text, special=True)
        why = "raw was asked for" if raw else f"{model.name} has no chat template"
        raise PromptError(f"chat messages were given and {why}. Give the prompt as one text.")
    messages = messages or [{"role": "user", "content": text}]
    _check_carried(model, messages, thinking)
    return model.codec.encode(model.codec.render(messages, thinking=thinking))


def content_text(content: object) -> str | None:
    """The content of a chat message as text: parts of type text stand one below the other; None for anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return None
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
        if not isinstance(text, str):
            return None
        texts.append(text)
    return "\n".join(texts)


def _messages(prompt: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Chat messages as the templates take them: every content is one text.

    Raises:
        PromptError: what was given is no list of messages, a role is unknown, or a content is no text.
    """
    if isinstance(prompt, bytes) or not isinstance(prompt, Sequence):
        raise PromptError(f"the prompt is of type {type(prompt).__name__}. Give a text, or a list of chat messages.")
    messages = []
    for number, message in enumerate(prompt, start=1):
        role, content = (message.get("role"), message.get("content")) if isinstance(message, Mapping) else (None, None)
        text = content_text(content)
        for key, value in (("role", role), ("content", text)):
            if not isinstance(value, str):
                raise PromptError(
                    f"chat message {number} has no text as its '{key}'. Give every message as a mapping with the "
                    "texts 'role' and 'content'; a content may also be a list of parts of type 'text', and of no other."
                )
        if role not in ROLES:
            raise PromptError(
                f"chat message {number} has the role '{role}'.{did_you_mean(str(role), ROLES)} A role is one of "
                f"{', '.join(ROLES)}."
            )
        messages.append({**message, "content": text})
    return messages


def _check_carried(model: Model, messages: Sequence[Message], thinking: bool | None) -> None:
    """Refuse messages that a chat template would leave out without a word.

    Raises:
        PromptError: it does not show the content of one of them.
    """
    marks = [f"{SENTINEL}.{number}." for number in range(len(messages))]
    marked = [{**message, "content": mark} for message, mark in zip(messages, marks, strict=True)]
    text = model.codec.render(marked, thinking=thinking)
    for number, (message, mark) in enumerate(zip(messages, marks, strict=True), start=1):
        if mark not in text:
            raise PromptError(
                f"the chat template of {model.name} leaves out chat message {number}, of the role '{message['role']}'. "
                "Give what it says in a message of another role."
            )

"""From what a user asks to a model's tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parse_engine.backends.base import Model
from parse_engine.errors import PromptError
from parse_engine.text import Message

Prompt = str | Sequence[Message]


def encode(model: Model, prompt: Prompt, *, raw: bool = False, thinking: bool | None = None) -> list[int]:
    """The prompt in a model's tokens, in its chat template unless it is raw or the model has none.

    Raises:
        PromptError: the prompt is empty, is no text, or chat messages cannot be given to this model.
    """
    text = prompt if isinstance(prompt, str) else _contents(prompt)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise PromptError("the prompt is not valid Unicode: it has half a surrogate pair. Give it as UTF-8 text.")
    if not text.strip():
        raise PromptError("the prompt is empty. Give a question, a list of messages, or a text to continue.")
    if isinstance(prompt, str):
        if raw or not model.codec.has_chat_template:
            return model.codec.encode(prompt, special=True)
        prompt = [{"role": "user", "content": prompt}]
    if raw or not model.codec.has_chat_template:
        why = "raw was asked for" if raw else f"{model.name} has no chat template"
        raise PromptError(f"chat messages were given and {why}. Give the prompt as one text.")
    return model.codec.encode(model.codec.render(prompt, thinking=thinking))


def _contents(messages: Sequence[Message]) -> str:
    """The contents of chat messages, one after the other.

    Raises:
        PromptError: what was given is no list of messages, or a role or a content is no text.
    """
    if not isinstance(messages, Sequence):
        raise PromptError(f"the prompt is of type {type(messages).__name__}. Give a text, or a list of chat messages.")
    for number, message in enumerate(messages, start=1):
        for key in ("role", "content"):
            if not isinstance(message, Mapping) or not isinstance(message.get(key), str):
                raise PromptError(
                    f"chat message {number} has no text as its '{key}'. Give every message as a mapping with the "
                    "texts 'role' and 'content'."
                )
    return "".join(message["content"] for message in messages)

"""What can go wrong. Every message says what was given, what is allowed and what to do.

ParseEngineError
├── ConfigError             a setting is unknown, of the wrong type or out of range
├── PromptError             the prompt is empty or too long
├── ModelError              a model cannot be used as asked
│   ├── ModelNotFoundError      no such model, it has not been pulled, or its folder is broken
│   ├── UnsupportedModelError   sliding-window or state-space targets, missing label tokens, unusable templates
│   └── DownloadError           no space, checksum mismatch, interrupted or refused download
├── DeviceError             the device asked for is absent, or its memory does not suffice
├── BackendError            the engine or the server behind a model failed while it answered
├── OverloadedError         more answers were asked for than the queue takes
├── ClosedError             the engine was closed, before the answer was asked for or while it was under way
└── DataError               a task's data or a results file is missing or broken
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ParseEngineError(Exception):
    """Base of all errors that the user can act on. The command line prints the message and exits with 2."""

    prompt_number: int | None = None
    """Which of several prompts it is about, counted from 1."""

    def __str__(self) -> str:
        return super().__str__() if self.prompt_number is None else f"prompt {self.prompt_number}: {super().__str__()}"


class ConfigError(ParseEngineError):
    """A setting is unknown, of the wrong type or out of range."""


class PromptError(ParseEngineError):
    """The prompt is empty or too long."""


class ModelError(ParseEngineError):
    """A model cannot be used as asked."""


class ModelNotFoundError(ModelError):
    """No such model, it has not been pulled, or its folder is broken."""


class UnsupportedModelError(ModelError):
    """The model's architecture, tokenizer or template cannot do what was asked."""


class DownloadError(ModelError):
    """No space, checksum mismatch, interrupted or refused download."""


class DeviceError(ParseEngineError):
    """The device asked for is absent, or its memory does not suffice."""


class BackendError(ParseEngineError):
    """The engine or the server behind a model failed while it answered.

    `phase` (draft, verify or continue) is where; `text` is what of the answer was final by then.
    """

    phase: str | None = None
    text: str = ""

    def __str__(self) -> str:
        return super().__str__() + (f" (phase: {self.phase})" if self.phase else "")


class OverloadedError(ParseEngineError):
    """More answers were asked for than the queue takes; ask again later."""


class ClosedError(ParseEngineError):
    """The engine was closed, before the answer was asked for or while it was under way."""


class DataError(ParseEngineError):
    """A task's data or a results file is missing or broken."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""

"""Where prompts come from: arguments, a file, or stdin."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parse_engine.cli.settings import GenerateSettings
from parse_engine.errors import ConfigError, DataError, PromptError

if TYPE_CHECKING:
    from parse_engine.prompt import Prompt
    from parse_engine.text import Message


def read_prompts(arguments: Sequence[str], settings: GenerateSettings) -> list[Prompt]:
    """The prompts to answer, the system message included: arguments, else the file, else stdin if it is no terminal.

    Raises:
        PromptError: there is no prompt.
        DataError: the file is missing or broken.
        ConfigError: `raw` or `system` does not fit a prompt that is given as messages.
    """
    prompts: list[Prompt]
    if arguments:
        prompts = list(arguments)
    elif settings.file is not None:
        prompts = _from_file(Path(settings.file))
    else:
        prompts = _from_stdin()
    return [_with_system(prompt, settings) for prompt in prompts]


def shown(prompt: Prompt) -> str:
    """The prompt for people: the text, or what was said last in a conversation."""
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]


def _from_stdin() -> list[Prompt]:
    try:
        text = "" if sys.stdin.isatty() else sys.stdin.read().strip()
        text.encode("utf-8")  # a lenient locale reads broken bytes as lone surrogates
    except UnicodeError:
        raise DataError("the prompt on stdin is not UTF-8 text. Convert it.") from None
    if not text:
        raise PromptError(
            'there is no prompt. Give one as an argument (parse-engine generate "..."), with --file FILE, or on stdin.'
        )
    return [text]


def _from_file(path: Path) -> list[Prompt]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(f"the prompt file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"the prompt file {path} is not UTF-8 text. Convert it.") from None
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise PromptError(f"the prompt file {path} has no prompts. Put one prompt on each line.")
    if path.suffix == ".jsonl":
        return [_from_json(line, f"{path} line {number}") for number, line in numbered]
    return [line for _, line in numbered]


def _from_json(line: str, where: str) -> Prompt:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error.msg}.") from None
    if not isinstance(row, dict) or ("prompt" in row) == ("messages" in row):
        raise DataError(f'{where} must be an object with either "prompt" or "messages".')
    if "messages" in row:
        return _messages(row["messages"], where)
    if not isinstance(row["prompt"], str):
        raise DataError(f'{where}: "prompt" must be a text.')
    return row["prompt"]


def _messages(messages: Any, where: str) -> list[Message]:
    right = isinstance(messages, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in messages
    )
    if not right or not messages:
        raise DataError(f'{where}: "messages" must be a list of objects with the texts "role" and "content".')
    return [{"role": m["role"], "content": m["content"]} for m in messages]


def _with_system(prompt: Prompt, settings: GenerateSettings) -> Prompt:
    if settings.raw and not isinstance(prompt, str):
        raise ConfigError("a prompt given as messages needs the chat template. Drop raw, or give the prompt as a text.")
    if settings.system is None:
        return prompt
    system = {"role": "system", "content": settings.system}
    if isinstance(prompt, str):
        return [system, {"role": "user", "content": prompt}]
    if prompt[0]["role"] == "system":
        raise ConfigError("a prompt's messages begin with a system message of their own. Drop --system.")
    return [system, *prompt]

"""Where prompts come from: arguments, a file, or stdin."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parse_engine.cli.settings import GenerateSettings
from parse_engine.config import SamplingParams
from parse_engine.errors import ConfigError, DataError, PromptError, did_you_mean

if TYPE_CHECKING:
    from parse_engine.prompt import Prompt
    from parse_engine.text import Message

STDIN = "-"
SAMPLING = tuple(each.name for each in dataclasses.fields(SamplingParams))
FIELDS = ("prompt", "messages", "id", *SAMPLING)


@dataclass(frozen=True, eq=False)
class Entry:
    """One prompt to answer, and how. Two of them are never the same, whatever they ask."""

    prompt: Prompt
    sampling: SamplingParams
    where: str = ""
    """Its place, for people; empty for a prompt that is the only one."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """What is said of it beside its answer: of a prompt from a file `file`, `line`, `id`, and what its line sets."""

    @property
    def shown(self) -> str:
        """The prompt for people: the text, or what was said last in a conversation."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt[-1]["content"]


def read_entries(arguments: Sequence[str], settings: GenerateSettings) -> list[Entry]:
    """The prompts to answer, the system message included: arguments, else those of the file, else stdin.

    Stdin beside arguments is put before each of them; an argument `-` is stdin itself.

    Raises:
        PromptError: there is no prompt.
        DataError: the file is missing or broken.
        ConfigError: `raw` or `system` does not fit a prompt that is given as messages.
    """
    if settings.file is not None and not arguments:
        return list(_from_file(settings.file, settings))
    texts = _texts(arguments)
    prompts = [_with_system(text, settings, "the prompt") for text in texts]
    places = [f"prompt {number}" if len(texts) > 1 else "" for number in range(1, len(texts) + 1)]
    return [Entry(prompt, settings.sampling, where) for prompt, where in zip(prompts, places, strict=True)]


def _texts(arguments: Sequence[str]) -> list[str]:
    wanted = STDIN in arguments
    piped = _read_stdin(wanted=wanted or not arguments).strip() if wanted or not sys.stdin.isatty() else ""
    if wanted:
        return [piped if argument == STDIN else argument for argument in arguments]
    if not arguments and not piped:
        raise PromptError(
            'there is no prompt. Give one as an argument (parse-engine generate "..."), with --file FILE, or on stdin.'
        )
    return [f"{piped}\n\n{argument}" if piped else argument for argument in arguments] or [piped]


def _read_stdin(*, wanted: bool = True) -> str:
    """All of stdin. Where nobody asked for it, one that cannot be read has nothing to say."""
    try:
        text = sys.stdin.read()
        text.encode("utf-8")  # a lenient locale reads broken bytes as lone surrogates
    except UnicodeError:
        raise DataError("the prompt on stdin is not UTF-8 text. Convert it.") from None
    except OSError as error:
        if not wanted:
            return ""
        raise DataError(f"stdin cannot be read: {error.strerror or error}.") from None
    return text


def _from_file(name: str, settings: GenerateSettings) -> Iterator[Entry]:
    """Prompts from the lines of a file or of stdin, where JSON objects are known by how the first one begins."""
    text = _read_stdin() if name == STDIN else _read(Path(name))
    named = "stdin" if name == STDIN else name
    numbered = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not numbered:
        raise PromptError(f"the prompt file {named} has no prompts. Put one prompt on each line.")
    objects = numbered[0][1].lstrip().startswith("{") if name == STDIN else name.endswith(".jsonl")
    for number, line in numbered:
        where = f"{named} line {number}"
        row = _object(line, where) if objects else {"prompt": line}
        prompt = _messages(row["messages"], where) if "messages" in row else row["prompt"]
        own = {name: row[name] for name in SAMPLING if name in row}
        yield Entry(
            _with_system(prompt, settings, where),
            _sampling(settings.sampling, own, where),
            where,
            {"file": named, "line": number, "id": row.get("id"), **own},
        )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"the prompt file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"the prompt file {path} is not UTF-8 text. Convert it.") from None


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise DataError(f"{where} is not JSON: {why}.") from None
    if not isinstance(row, dict) or ("prompt" in row) == ("messages" in row):
        raise DataError(f'{where} must be an object with either "prompt" or "messages".')
    _refuse_unknown(row, FIELDS, where)
    if "messages" not in row and not isinstance(row["prompt"], str):
        raise DataError(f'{where}: "prompt" must be a text.')
    own = row.get("id")
    if isinstance(own, bool) or not isinstance(own, str | int | None):
        raise DataError(f'{where}: "id" must be a text or a whole number.')
    if isinstance(own, str) and any("\ud800" <= character <= "\udfff" for character in own):
        raise DataError(f'{where}: "id" has half a surrogate pair. Give valid Unicode.')
    return row


def _messages(messages: Any, where: str) -> list[Message]:
    from parse_engine.prompt import content_text

    given = messages if isinstance(messages, list) and all(isinstance(each, dict) for each in messages) else []
    read = [{"role": each.get("role"), "content": content_text(each.get("content"))} for each in given]
    if not read or not all(isinstance(value, str) for each in read for value in each.values()):
        raise DataError(
            f'{where}: "messages" must be a list of objects with the texts "role" and "content"; a content may also be '
            "a list of parts of the type text."
        )
    for message in given:
        _refuse_unknown(message, ("role", "content"), f"{where}, a message")
    return read


def _refuse_unknown(row: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for name in row:
        if name not in known:
            raise DataError(
                f"{where}: unknown field '{name}'.{did_you_mean(name, known)} Known fields: {', '.join(known)}."
            )


def _sampling(sampling: SamplingParams, own: Mapping[str, Any], where: str) -> SamplingParams:
    """How a prompt is decoded: as its line says, where it says it."""
    try:
        return SamplingParams.from_mapping({**vars(sampling), **own})
    except ConfigError as error:
        raise DataError(f"{where}: {error}") from None


def _with_system(prompt: Prompt, settings: GenerateSettings, where: str) -> Prompt:
    if settings.raw and not isinstance(prompt, str):
        raise ConfigError(f"{where} is given as messages and needs the chat template. Drop raw, or give it as a text.")
    if settings.system is None:
        return prompt
    system = {"role": "system", "content": settings.system}
    if isinstance(prompt, str):
        return [system, {"role": "user", "content": prompt}]
    if prompt[0]["role"] == "system":
        raise ConfigError(f"{where}: the messages begin with a system message of their own. Drop --system.")
    return [system, *prompt]

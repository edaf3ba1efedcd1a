"""Where prompts come from: arguments, a file, or stdin."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from parse_engine.cli.ignored import refuse_ignored
from parse_engine.cli.settings import STDIN, GenerateSettings
from parse_engine.config import SamplingParams
from parse_engine.errors import ConfigError, DataError, ParseEngineError, PromptError, did_you_mean

if TYPE_CHECKING:
    from parse_engine.prompt import Prompt

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
    error: ParseEngineError | None = None
    """Why it cannot be asked; None where it can, as far as is known without a model."""

    def named(self, said: object) -> str:
        """What is said of it, behind its place where it has one."""
        return f"{self.where}: {said}" if self.where else str(said)

    @property
    def shown(self) -> str:
        """The prompt for people: the text, or what was said last in a conversation."""
        from parse_engine.prompt import content_text

        return self.prompt if isinstance(self.prompt, str) else content_text(self.prompt[-1]["content"]) or ""


def read_entries(arguments: Sequence[str], settings: GenerateSettings) -> list[Entry]:
    """The prompts to answer, the system message included: arguments, else those of the file, else stdin.

    Stdin beside arguments is put before each of them; an argument `-` is stdin itself.

    Raises:
        PromptError: there is no prompt.
        DataError: the file, or stdin, cannot be read.
    """
    if settings.file is not None and not arguments:
        return list(_from_file(settings.file, settings))
    prompts = [_with_system(text, settings) for text in _texts(arguments)]
    if len(prompts) == 1:
        return [Entry(prompts[0], settings.sampling)]
    return [
        Entry(prompt, settings.sampling, f"prompt {number}", {"prompt": number})
        for number, prompt in enumerate(prompts, start=1)
    ]


def _texts(arguments: Sequence[str]) -> list[str]:
    wanted = STDIN in arguments
    piped = _read_stdin(wanted=wanted or not arguments).strip() if wanted or not sys.stdin.isatty() else ""
    if wanted:
        return [piped if argument == STDIN else argument for argument in arguments]
    if arguments and piped:
        where = "the prompt" if len(arguments) == 1 else "each prompt"
        typer.echo(f"warning: {len(piped)} characters from stdin were put before {where}", err=True)
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
        where, given = f"{named} line {number}", {"file": named, "line": number, "id": None}
        if objects:
            yield _from_object(line, settings, where, given)
        else:
            yield Entry(_with_system(line, settings), settings.sampling, where, given)


def _from_object(line: str, settings: GenerateSettings, where: str, given: Mapping[str, Any]) -> Entry:
    """The prompt of a JSON object; what is wrong with it leaves the other lines alone."""
    try:
        row = _object(line)
        given = {**given, "id": _id(row)}
        _refuse_unknown(row, FIELDS)
        own = {name: row[name] for name in SAMPLING if name in row}
        decoded = dataclasses.replace(settings, file=None, **own)  # as if it were the only prompt
        refuse_ignored(own, decoded)
        return Entry(_with_system(_prompt(row), settings), decoded.sampling, where, {**given, **own})
    except ParseEngineError as error:
        return Entry("", settings.sampling, where, given, error)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"the prompt file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"the prompt file {path} is not UTF-8 text. Convert it.") from None


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise DataError("it has half a surrogate pair. Give valid Unicode.") from None
    except (ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise DataError(f"it is not JSON: {why}.") from None
    if not isinstance(row, dict):
        raise DataError('it must be an object with "prompt" or "messages".')
    return row


def _id(row: Mapping[str, Any]) -> str | int | None:
    own = row.get("id")
    if isinstance(own, bool) or not isinstance(own, str | int | None):
        raise DataError('"id" must be a text or a whole number.')
    return own


def _prompt(row: Mapping[str, Any]) -> Prompt:
    """The text or the messages, whose roles and contents are the engine's to judge."""
    if ("prompt" in row) == ("messages" in row):
        raise DataError('it must have either "prompt" or "messages".')
    if "prompt" in row:
        if not isinstance(row["prompt"], str):
            raise DataError('"prompt" must be a text.')
        return str(row["prompt"])
    messages = row["messages"]
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise DataError('"messages" must be a list of objects with the texts "role" and "content".')
    for number, message in enumerate(messages, start=1):
        _refuse_unknown(message, ("role", "content"), f"chat message {number}: ")
    return messages


def _refuse_unknown(row: Mapping[str, Any], known: Sequence[str], where: str = "") -> None:
    for name in row:
        if name not in known:
            raise DataError(
                f"{where}unknown field '{name}'.{did_you_mean(name, known)} Known fields: {', '.join(known)}."
            )


def _with_system(prompt: Prompt, settings: GenerateSettings) -> Prompt:
    """The prompt behind the system message of the settings.

    Raises:
        ConfigError: `raw` or `system` does not fit a prompt that is given as messages.
    """
    if settings.raw and not isinstance(prompt, str):
        raise ConfigError("messages need the chat template. Drop --raw, or give the prompt as a text.")
    if settings.system is None:
        return prompt
    system = {"role": "system", "content": settings.system}
    if isinstance(prompt, str):
        return [system, {"role": "user", "content": prompt}]
    if prompt[0].get("role") == "system":
        raise ConfigError("the messages begin with a system message of their own. Drop --system.")
    return [system, *prompt]

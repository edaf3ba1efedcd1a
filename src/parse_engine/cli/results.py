"""What became of the prompts, for programs: objects, and a file of them that a later call goes on from."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict
from json import dumps, loads
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from parse_engine.cli.answers import Outcome
from parse_engine.cli.prompts import Entry
from parse_engine.cli.settings import GenerateSettings
from parse_engine.errors import BackendError, DataError
from parse_engine.files import write_atomically
from parse_engine.locks import locked
from parse_engine.trace import Answer

_START = b'{"digest": "'


def row(entry: Entry, outcome: Outcome) -> dict[str, Any]:
    """What programs read: what is said of the prompt, and its answer with the trace, or in its place an `error`."""
    if isinstance(outcome, Answer):
        return {**entry.given, **outcome.to_dict()}
    error: dict[str, Any] = {"message": str(outcome), "type": type(outcome).__name__}
    if isinstance(outcome, BackendError):
        error |= {"phase": outcome.phase, "text": outcome.text}
    return {**entry.given, "error": error}


def digest(entry: Entry, decisive: Mapping[str, Any]) -> str:
    """Tells apart what is asked: the prompt, and all settings that the words of its answer depend on."""
    asked = [entry.prompt, asdict(entry.sampling), decisive]
    return hashlib.sha256(dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


class AnswersFile:
    """A file of answers, one object a line, from which the same command goes on where it was stopped.

    Rows come as their prompts are answered; in the end they stand in the order of the prompts.
    """

    def __init__(self, path: Path, entries: Sequence[Entry], settings: GenerateSettings):
        """Open it; `answers` has what is in it already.

        Raises:
            DataError: it cannot be written, is in use, or has something else than answers to these prompts.
        """
        self._path = path
        decisive = settings.decisive
        self._digests = {entry: digest(entry, decisive) for entry in entries}
        self._lines: dict[Entry, bytes] = {}
        self.answers: dict[Entry, Answer] = {}
        with self._writing(), ExitStack() as opened:
            if path.is_file() or not path.exists():
                opened.enter_context(self._locked())
            self._file = opened.enter_context(path.open("ab", buffering=0))
            if path.is_file():  # of a pipe or a device nothing can be read back
                self._read()
            self._opened = opened.pop_all()

    def add(self, entry: Entry, outcome: Outcome) -> None:
        """Write what has become of a prompt."""
        content = {"digest": self._digests[entry], **row(entry, outcome)}
        line = self._lines[entry] = dumps(content, ensure_ascii=False).encode() + b"\n"
        with self._writing():
            while line:
                line = line[self._file.write(line) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._writing(), self._opened:
            if self._path.is_file():
                written = b"".join(self._lines[entry] for entry in self._digests if entry in self._lines)
                write_atomically(self._path, written)

    def _locked(self) -> AbstractContextManager[None]:
        """A lock beside the file and not on it, since in the end another file comes into its place."""
        place = self._path.resolve()
        refusal = DataError(
            f"{self._path} is being written by another process. Wait for it to end, or give another --output."
        )
        return locked(place.with_name(f".{place.name}.lock"), refusal)

    def _read(self) -> None:
        *lines, cut_off = self._path.read_bytes().split(b"\n")
        if cut_off and cut_off[: len(_START)] != _START[: len(cut_off)]:
            lines.append(cut_off)  # not the beginning of an answer: another file, which is refused
        asked: dict[tuple[Any, ...], list[Entry]] = defaultdict(list)
        for entry in reversed(self._digests):
            asked[_key(entry.given, self._digests[entry])].append(entry)
        for number, line in enumerate(lines, start=1):
            try:
                found = loads(line)
                key = _key(found, found["digest"])
                answer = None if "error" in found else Answer.from_dict(found)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise DataError(
                    f"{self._path} line {number} is not an answer of generate. Give another file."
                ) from None
            if answer is None:
                continue  # its prompt is asked again
            if not asked[key]:
                raise DataError(
                    f"{self._path} line {number} answers another prompt, or one with other settings. Give another "
                    "file, or the same command to go on."
                )
            entry = asked[key].pop()
            self.answers[entry], self._lines[entry] = answer, line + b"\n"
        if cut_off:
            self._file.truncate(self._path.stat().st_size - len(cut_off))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"cannot write {self._path}: {error.strerror}. Give another place.") from None


def _key(given: Mapping[str, Any], digest: str) -> tuple[Any, ...]:
    return given.get("file"), given.get("line"), given.get("id"), digest

"""A task of the user's own: a JSONL file with one question per line.

A row has `prompt`, or `turns` (texts), or `messages` (of the user). It may have `answer`, without which there is
nothing to grade; `grader`, one of `GRADERS`; `id` and `category`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from parse_engine.bench.graders import choice
from parse_engine.bench.graders.math import MathGrader, require_math_verify
from parse_engine.bench.graders.text import after_thinking, contains, is_exactly
from parse_engine.bench.tasks.base import Grade, Question, read_jsonl
from parse_engine.errors import DataError, did_you_mean

ASKED = ("prompt", "turns", "messages")
FIELDS = (*ASKED, "answer", "grader", "id", "category")
GRADERS = ("exact", "math", "choice", "contains")


class JsonlTask:
    """The questions of a file, in its order. The task's name is that of the file."""

    version = "1"

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._path = path
        self._math = MathGrader()

    def questions(self, limit: int | None = None) -> list[Question]:
        questions: dict[str, Question] = {}
        for number, row in enumerate(read_jsonl(self._path), start=1):
            try:
                question = self._question(number, row)
                if question.id in questions:
                    raise DataError(f"has the id '{question.id}' of another row; give each its own.")
            except DataError as error:
                raise DataError(f"row {number} of {self._path} {error}") from None
            questions[question.id] = question
        return list(questions.values())[:limit]

    def grade(self, question: Question, text: str) -> Grade:
        if question.reference is None:
            return Grade(None)
        grader, answer = question.reference
        match grader:
            case "math":
                return self._math.grade(answer, text)
            case "choice":
                return choice.grade(choice.Choice(answer, len(choice.LETTERS)), text)
            case "contains":
                return Grade(contains(answer, text), parsed=bool(after_thinking(text).strip()))
            case _:
                return Grade(is_exactly(answer, text), parsed=bool(after_thinking(text).strip()))

    def _question(self, number: int, row: dict[str, Any]) -> Question:
        unknown = [field for field in row if field not in FIELDS]
        if unknown:
            hint = did_you_mean(unknown[0], FIELDS)
            raise DataError(f"has an unknown field '{unknown[0]}'.{hint} Known fields: {', '.join(FIELDS)}.")
        return Question(
            id=_label(row, "id") or f"{self.name}/{number}",
            turns=_turns(row),
            reference=_reference(row),
            category=_label(row, "category"),
        )


def make_task(path: Path) -> JsonlTask:
    """The task of a file.

    Raises:
        DataError: the file is missing or has a mistake.
        ConfigError: a row wants math-verify, which is not installed.
    """
    task = JsonlTask(path)
    if any(question.reference and question.reference[0] == "math" for question in task.questions()):
        require_math_verify(task.name)
    return task


def _turns(row: dict[str, Any]) -> tuple[str, ...]:
    given = [field for field in ASKED if field in row]
    if len(given) != 1:
        raise DataError(f"has {' and '.join(given) or 'no question'}; give one of {', '.join(ASKED)}.")
    readers: dict[str, Callable[[Any], Any]] = {"prompt": lambda prompt: [prompt], "messages": _contents}
    turns = readers.get(given[0], lambda turns: turns)(row[given[0]])
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, str) and turn.strip() for turn in turns):
        raise DataError(f"has '{given[0]}' without a text, or with something else; it must be made of texts.")
    return tuple(turns)


def _contents(messages: Any) -> list[Any]:
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise DataError("has 'messages' that is not a list of objects with 'role' and 'content'.")
    for message in messages:
        if message.get("role") != "user":
            raise DataError(f"has a message of role '{message.get('role')}'; give those of 'user', the model answers.")
    return [message.get("content") for message in messages]


def _reference(row: dict[str, Any]) -> tuple[str, str] | None:
    """Grader and right answer."""
    grader, answer = row.get("grader", "exact"), row.get("answer")
    if grader not in GRADERS:
        hint = did_you_mean(str(grader), GRADERS)
        raise DataError(f"has an unknown grader '{grader}'.{hint} Known graders: {', '.join(GRADERS)}.")
    if answer is None:
        if "grader" in row:
            raise DataError(f"has the grader '{grader}' and no answer to grade by; give 'answer', or no grader.")
        return None
    if isinstance(answer, bool) or not isinstance(answer, str | int | float) or not str(answer).strip():
        raise DataError("has an 'answer' that is neither a text nor a number.")
    answer = str(answer).strip()
    if grader == "choice" and answer not in tuple(choice.LETTERS):
        raise DataError(f"has the answer '{answer}'; the grader 'choice' wants a letter of {choice.LETTERS}.")
    return grader, answer


def _label(row: dict[str, Any], field: str) -> str:
    """An id or a category; numbers become texts."""
    value = row.get(field, "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"has '{field}' that is neither a text nor a whole number.")
    return str(value)

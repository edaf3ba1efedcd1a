"""What the EvalPlus tasks have in common: their file format, prompt and grader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parse_engine.bench.graders.code import CodeGrader, Judge, Problem, prompt
from parse_engine.bench.tasks.base import Grade, Question, read_rows

FIELDS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")

Inputs = Callable[[str, list[Any]], list[Any]]
"""From a problem's id and the arguments of one call in JSON to the arguments."""


class EvalPlusTask:
    """Python functions, run on EvalPlus's base inputs, and where the name ends in + on its plus inputs as well.

    The prompts ask for a script in a code block, as EvalPlus's chat prompt does.
    """

    version = "2"

    def __init__(
        self,
        name: str,
        filename: str,
        judges: Mapping[str, Judge],
        arguments: Inputs = lambda id, given: given,
    ) -> None:
        self.name = name
        self._filename = filename
        self._parts: Sequence[str] = ("base_input", "plus_input") if name.endswith("+") else ("base_input",)
        self._arguments = arguments
        self._grader = CodeGrader(dict(judges))

    def questions(self, limit: int | None = None) -> list[Question]:
        return [
            Question(row["task_id"], (prompt(row["prompt"]),), self._problem(row))
            for row in read_rows(self._filename, FIELDS)[:limit]
        ]

    def grade(self, question: Question, text: str) -> Grade:
        return self._grader.grade(question.reference, text)

    def _problem(self, row: Mapping[str, Any]) -> Problem:
        return Problem(
            id=row["task_id"],
            entry_point=row["entry_point"],
            canonical=row["prompt"] + row["canonical_solution"],
            # One part may be an object where it should be a list, an empty one (Mbpp/793).
            inputs=[self._arguments(row["task_id"], given) for part in self._parts for given in row[part]],
            atol=row["atol"],
        )

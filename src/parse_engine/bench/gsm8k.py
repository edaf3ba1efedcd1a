"""The `gsm8k` task: grade-school mathematics, graded by math-verify."""

from __future__ import annotations

import importlib.util

from parse_engine.bench.math_grader import MathGrader
from parse_engine.bench.tasks import Question, read_rows
from parse_engine.errors import ConfigError

FILENAME = "gsm8k_test.jsonl"
INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."


class Gsm8kTask:
    """The test split. The gold answer is what follows the last `####` of a row's answer."""

    name = "gsm8k"
    version = "1"

    def __init__(self) -> None:
        self._grader = MathGrader()

    def questions(self, limit: int | None = None) -> list[Question]:
        rows = read_rows(FILENAME, ("question", "answer"))[:limit]
        return [
            Question(
                id=f"gsm8k/{number}",
                messages=({"role": "user", "content": f"{row['question']}\n{INSTRUCTION}"},),
                reference=row["answer"].rpartition("####")[2].strip(),
            )
            for number, row in enumerate(rows)
        ]

    def grade(self, question: Question, text: str) -> bool:
        return self._grader.grade(question.reference, text)


def make_task() -> Gsm8kTask:
    """The task.

    Raises:
        ConfigError: math-verify is not installed.
    """
    if importlib.util.find_spec("math_verify") is None:
        raise ConfigError("the task 'gsm8k' is graded by math-verify. Install it: pip install 'parse-engine[bench]'.")
    return Gsm8kTask()

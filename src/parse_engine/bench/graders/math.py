"""Grading of mathematical answers in a helper process, so that an answer that sends sympy astray can be cut off."""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path

from parse_engine.bench.graders.boxed import last_boxes
from parse_engine.bench.graders.final import stated
from parse_engine.bench.graders.notation import is_list, plain, readings
from parse_engine.bench.graders.text import after_thinking
from parse_engine.bench.tasks.base import Grade
from parse_engine.errors import ConfigError

INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."
WORKER = Path(__file__).with_name("_math_worker.py")
SECONDS = 10.0
START_SECONDS = 120.0  # importing sympy on a busy machine

_FORMULA = re.compile(r"\\[A-Za-z]|[\^_]|\A[A-Za-z]{2,}\.?\Z")  # or a word
_DELIMITER = re.compile(r"\$|\\[(\[]")


def final_answer(text: str) -> list[list[str]]:
    """The final answer as math-verify is given it: its parts, several where several boxes are joined, and the ways in
    which each may be read."""
    if boxes := last_boxes(after_thinking(text)):
        return [[_box(reading) for reading in readings(content)] for content in boxes.contents]
    answer = plain(stated(text))
    if "\n" in answer:
        return [[answer]]
    formula, *numbers = readings(answer)
    is_formula = is_list(answer) or (_FORMULA.search(answer) and not _DELIMITER.search(answer))
    return [[_box(formula) if is_formula else f"The answer is {answer}", *map(_box, numbers)]]


def _box(formula: str) -> str:
    return f"\\boxed{{{formula}}}"


def require_math_verify(task: str) -> None:
    """Raise ConfigError, before any model answers, where the task's grader is not installed."""
    if importlib.util.find_spec("math_verify") is None:
        raise ConfigError(f"the task '{task}' is graded by math-verify. Install it: pip install 'parse-engine[bench]'.")


class MathGrader:
    """Compares answers by math-verify. The helper process starts with the first answer and ends with the program."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._helper: _Helper | None = None
        atexit.register(self.close)

    def grade(self, gold: str, text: str) -> Grade:
        """Whether the answer `text` equals `gold`; one that takes longer than the time allowed is not parsed.

        Raises:
            ConfigError: math-verify cannot be imported.
        """
        parts = final_answer(text)
        reply = self._ask(gold, parts)
        if reply == "wrong" and len(parts) > 1:  # the parts of a list, rather than one answer in several forms
            reply = self._ask(gold, [[_box(", ".join(part[0][len("\\boxed{") : -1] for part in parts))]])
        return Grade(reply == "right", parsed=reply in ("right", "wrong"))

    def _ask(self, gold: str, parts: list[list[str]]) -> str | None:
        if self._helper is None:
            self._helper = _Helper()
        job = {"golds": [_box(reading) for reading in readings(gold)], "answers": parts}
        reply = self._helper.ask(json.dumps(job), self._seconds)
        if reply is None:
            self.close()
        return reply

    def close(self) -> None:
        """End the helper process; the next answer starts another."""
        if self._helper is not None:
            self._helper.close()
            self._helper = None


class _Helper:
    """The helper process. A thread reads its replies: waiting on a queue has a time limit on every platform."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-B", str(WORKER)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
        self._replies: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if self._wait(START_SECONDS) != "ready":
            self.close()
            raise ConfigError("math-verify cannot be imported. Install it: pip install 'parse-engine[bench]'.")

    def ask(self, line: str, seconds: float) -> str | None:
        """The reply to one line; None when there was none in time, after which the helper is of no more use."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._wait(seconds)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()
        with contextlib.suppress(BrokenPipeError):  # what was still to be written has no reader
            self._process.stdin.close()
        self._process.stdout.close()

    def _wait(self, seconds: float) -> str | None:
        try:
            return self._replies.get(timeout=seconds)
        except queue.Empty:
            return None

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._replies.put(line.strip())
        self._replies.put(None)

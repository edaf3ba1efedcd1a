"""What a task is, and where its data comes from: PARSE_ENGINE_DATA, or the public home of the file."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx

from parse_engine.errors import DataError
from parse_engine.files import write_atomically
from parse_engine.models.store import cache_dir

DATA_VARIABLE = "PARSE_ENGINE_DATA"
GITHUB = "https://github.com"
DOWNLOAD_SECONDS = 60
T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """One question of a task."""

    id: str
    turns: tuple[str, ...]
    """What the user says, in order; before each but the first stands the model's own answer to the one before."""
    reference: Any = None
    """What the task's grader needs to know the right answer."""
    category: str = ""
    """The part of the task that it belongs to, a subject for instance."""


@dataclass(frozen=True)
class Grade:
    """What a task's grader says of an answer."""

    right: bool | None
    """None where the task has no key."""
    parsed: bool = True
    """Whether a final answer was found in the text. One that was not found is wrong; nothing is guessed."""


class Task(Protocol):
    """A set of questions with a grader. Questions and their order never change within a version."""

    name: str
    version: str

    def questions(self, limit: int | None = None) -> list[Question]:
        """The first `limit` questions, or all.

        Raises:
            DataError: the task's data is missing or broken.
        """

    def grade(self, question: Question, text: str) -> Grade:
        """Judge the answer to the last turn. No answer, however hostile, makes this raise or hang."""


@dataclass(frozen=True)
class Public:
    """A file that anyone may download."""

    url: str
    sha256: str


# What the tasks' files are called here, and where they are published in the very same bytes.
PUBLIC = {
    "gsm8k_test.jsonl": Public(
        f"{GITHUB}/openai/grade-school-math/raw/master/grade_school_math/data/test.jsonl",
        "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14",
    ),
    "gsm8k_train.jsonl": Public(
        f"{GITHUB}/openai/grade-school-math/raw/master/grade_school_math/data/train.jsonl",
        "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465",
    ),
    "math500.jsonl": Public(
        "https://media.githubusercontent.com/media/openai/prm800k/main/prm800k/math_splits/test.jsonl",
        "35dc41080a3680858b27fa7e0533d2d547825316fc5dafe5d316f4ccc5a06132",
    ),
    "humanevalplus.jsonl.gz": Public(
        f"{GITHUB}/evalplus/humanevalplus_release/releases/download/v0.1.10/HumanEvalPlus.jsonl.gz",
        "272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101",
    ),
    "mbppplus.jsonl.gz": Public(
        f"{GITHUB}/evalplus/mbppplus_release/releases/download/v0.2.0/MbppPlus.jsonl.gz",
        "af43697e8791c4c149bdfd6b489d8b5412507551ac20e28a439f650b8225db63",
    ),
    "mt_bench.jsonl": Public(
        f"{GITHUB}/lm-sys/FastChat/raw/main/fastchat/llm_judge/data/mt_bench/question.jsonl",
        "119565adbab82227089cefdb44c8d7e2cf04dc0a0ec233634c82e7d4e2a944f7",
    ),
    "spec_bench.jsonl": Public(
        f"{GITHUB}/hemingkx/Spec-Bench/raw/main/data/spec_bench/question.jsonl",
        "4b6d33e79484f9841c487ee87d1cf6aa8c6066f61d5d482ff09e5a007fafdf04",
    ),
}


def read_rows(filename: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of a task's JSONL file, gzipped when its name says so.

    Raises:
        DataError: the file cannot be had or is empty, or a row lacks one of `fields`.
    """
    path = find(filename)
    rows = read_jsonl(path)
    for number, row in enumerate(rows, start=1):
        missing = [field for field in fields if field not in row]
        if missing:
            raise DataError(f"row {number} of {path} has no '{missing[0]}'. Fetch the file again.")
    return rows


def mixed(items: Iterable[T]) -> list[T]:
    """In a random order that never changes: the first few of a file that is sorted by category are of every one."""
    order = list(items)
    random.Random(0).shuffle(order)
    return order


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file; at least one.

    Raises:
        DataError: the file is missing, broken or empty.
    """
    try:
        packed = path.read_bytes()
        text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}. Check the file.") from None
    rows = []
    for number, line in enumerate((line for line in text.split("\n") if line.strip()), start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"row {number} of {path} is not JSON: {error}. Write one object per line.") from None
        if not isinstance(row, dict):
            raise DataError(f"row {number} of {path} is not a JSON object. Write one object per line.")
        rows.append(row)
    if not rows:
        raise DataError(f"{path} has no rows. Check the file.")
    return rows


def find(filename: str) -> Path:
    """Where a task's file is: in the directory that PARSE_ENGINE_DATA names, or else in the cache, after a download.

    Raises:
        DataError: it is not in that directory, is not published as it is, or cannot be downloaded.
    """
    folder = os.environ.get(DATA_VARIABLE)
    if folder:
        path = Path(folder) / filename
        if not path.is_file():
            raise DataError(f"no {filename} in {folder}. Set {DATA_VARIABLE} to the directory that holds it.")
        return path
    if filename not in PUBLIC:
        raise DataError(f"the file {filename} is needed. Set {DATA_VARIABLE} to the directory that holds it.")
    path = cache_dir() / "data" / filename
    if not path.is_file():
        _download(PUBLIC[filename], path)
    return path


def _download(public: Public, path: Path) -> None:
    """Put the file there, whole or not at all."""
    remedy = f"Try again, or set {DATA_VARIABLE} to a directory that holds it."
    try:
        response = httpx.get(public.url, follow_redirects=True, timeout=DOWNLOAD_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path.name} cannot be downloaded from {public.url}: {reason}. {remedy}") from None
    if hashlib.sha256(response.content).hexdigest() != public.sha256:
        raise DataError(f"{public.url} is not the file that this version wants (its SHA-256 differs). {remedy}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, response.content)

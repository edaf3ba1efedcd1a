"""Helper process of `math_grader`: a JSON line in, `right` or `wrong` out. Run by its path; imports nothing of ours."""

from __future__ import annotations

import json
import sys

from math_verify import parse, verify

MEMORY_BYTES = 2 * 1024**3


def limit_memory() -> None:
    """So that a tower of powers fails instead of filling the machine."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))


def is_right(gold: str, answer: str) -> bool:
    """The caller bounds the time: math-verify's own limits rest on signals, which do not interrupt big-number work."""
    try:
        parsed = parse(answer, parsing_timeout=None)
        return bool(verify(parse(gold, parsing_timeout=None), parsed, timeout_seconds=None))
    except (ArithmeticError, MemoryError, RecursionError):
        return False


def main() -> None:
    limit_memory()
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        print("right" if is_right(job["gold"], job["answer"]) else "wrong", flush=True)


if __name__ == "__main__":
    main()

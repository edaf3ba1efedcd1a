"""Whether the graders judge what is known: `PARSE_ENGINE_DATA=DIR python scripts/bench/graders.py --output FILE`.

Right answers must be right: the canonical solutions of humaneval+ and mbpp+, MATH-500's own solutions, and the gold
answers of all tasks in every dressing of dressings.py. Wrong ones must be wrong: canonical solutions with a mistake put
in, solutions of other problems, thinking that is cut off. Programs that mean harm must be contained. Prints a line for
each, and one JSON object last.
"""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dressings

from parse_engine.bench.graders import sandbox
from parse_engine.bench.graders.code import Problem
from parse_engine.bench.provenance import describe, write_json
from parse_engine.bench.tasks import Task, load_task
from parse_engine.bench.tasks.base import read_rows
from parse_engine.bench.tasks.math500 import FILENAME as MATH500
from parse_engine.bench.tasks.mbpp import JUDGES

BROKEN = 50
QUICK = sandbox.Limits(seconds=3)

SWAPS: dict[Any, Any] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.And: ast.Or,
    ast.Or: ast.And,
}

# Bodies of a function `f(folder)`. One that does what it should not returns; what is contained fails. `folder` holds a
# file `answers`, and is not the program's own.
HOSTILE = {
    "fork bomb": """
        import os, time
        while True:
            if os.fork() == 0:
                time.sleep(60)
            elif folder:
                return""",
    "fork without an audit event": """
        from multiprocessing import util
        return util.spawnv_passfds(b"/bin/sleep", [b"sleep", b"60"], ())""",
    "thread bomb": """
        import threading, time
        while True:
            threading.Thread(target=time.sleep, args=(60,)).start()
            return""",
    "endless loop": """
        while True:
            pass""",
    "endless loop that catches everything": """
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass""",
    "10 GiB": "return len(bytearray(10 * 2**30))",
    "10 GiB by mmap": "import mmap; return len(mmap.mmap(-1, 10 * 2**30))",
    "write by open": "open(folder + '/written', 'w').write('x'); return",
    "write by os.open": "import os; os.write(os.open(folder + '/written', os.O_CREAT | os.O_WRONLY), b'x'); return",
    "write by pathlib": "import pathlib; pathlib.Path(folder, 'written').write_text('x'); return",
    "write by sqlite3": """
        import sqlite3
        sqlite3.connect(folder + "/written").execute("create table t (c)").connection.commit()
        return""",
    "write by ctypes": """
        import ctypes
        libc = ctypes.CDLL(None)
        file = libc.open((folder + "/written").encode(), 65, 0o600)
        return libc.write(file, b"x", 1)""",
    "write with the hook's rules changed": """
        import gc
        for value in gc.get_objects():
            if isinstance(value, dict) and "FORBIDDEN" in value:
                value.update(FORBIDDEN=(), WRITING=0)
        open(folder + "/written", "w").write("x")
        return""",
    "named pipe": "import os; os.mkfifo(folder + '/written'); return",
    "delete": "import os; os.remove(folder + '/answers'); return",
    "truncate": "import os; os.truncate(folder + '/answers', 0); return",
    "read the answers": "return open(folder + '/answers').read()",
    "read the answers by a relative path": "import os; os.chdir(folder); return open('answers').read()",
    "read the environment of the grader": "import os; return open(f'/proc/{os.getppid()}/environ', 'rb').read().hex()",
    "kill the grader": "import os; os.kill(os.getppid(), 0); return",
    "send": """
        import socket
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))""",
    "shell": "import os; return os.system('true')",
}


def program(body: str) -> str:
    """A hostile program, from the body of its function `f`."""
    return "def f(folder):\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")


def contained(body: str) -> bool:
    """Whether a hostile program failed, in time, and left the folder that it was told of as it was."""
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder, "answers")
        answers.write_text("42")
        started = time.monotonic()
        outputs = sandbox.call(program(body), "f", [[folder]], QUICK)
        in_time = time.monotonic() - started < 4 * QUICK.seconds
        return outputs is None and in_time and [*Path(folder).iterdir()] == [answers] and answers.read_text() == "42"


def mutants(code: str, entry_point: str) -> Iterator[str]:
    """The code with one small mistake in the function: a number that is off by one, a wrong operator."""
    for index in itertools.count():
        tree = ast.parse(code)
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry_point]
        nodes = [node for function in functions for node in ast.walk(function) if _can_change(node)]
        if index == len(nodes):
            return
        _change(nodes[index])
        yield ast.unparse(tree)


def _change(node: Any) -> None:
    if isinstance(node, ast.Constant):
        node.value += 1  # type: ignore[operator]
    elif isinstance(node, ast.Compare):
        node.ops[0] = SWAPS[type(node.ops[0])]()
    else:
        node.op = SWAPS[type(node.op)]()


def _can_change(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) is int
    operator = node.ops[0] if isinstance(node, ast.Compare) else getattr(node, "op", None)
    return type(operator) in SWAPS


def broken(problem: Problem) -> str | None:
    """A mutant that runs on every input and returns something else on at least one; None where there is none."""
    limits = sandbox.Limits(seconds=5)
    outputs = sandbox.call(problem.canonical, problem.entry_point, problem.inputs, limits)
    for mutant in mutants(problem.canonical, problem.entry_point):
        changed = sandbox.call(mutant, problem.entry_point, problem.inputs, limits)
        if changed is not None and changed != outputs:
            return mutant
    return None


def as_answer(code: str) -> str:
    return f"```python\n{code}\n```"


def check_code(task: Task) -> tuple[dict[str, Any], list[bool]]:
    """The canonical solutions that pass, and whether each of 25 broken ones fails, spread over the problems."""
    problems = task.questions()
    failing = [q.id for q in problems if not task.grade(q, as_answer(q.reference.canonical)).right]
    figures = {"passed": len(problems) - len(failing), "of": len(problems), "failing": failing}
    wrong: list[bool] = []
    for question in problems[:: len(problems) // (2 * BROKEN)]:
        if len(wrong) < BROKEN // 2 and question.reference.entry_point not in (*JUDGES, "find_zero"):
            mutant = broken(question.reference)
            if mutant is not None:
                wrong.append(task.grade(question, as_answer(mutant)).right is False)
    return figures, wrong


def check_math() -> dict[str, Any]:
    """MATH-500's own solutions as answers to their problems, and each as an answer to the problem before."""
    task, solutions = load_task("math500"), [row["solution"] for row in read_rows(MATH500, ("solution",))]
    questions = task.questions()
    failing = [q.id for q, text in zip(questions, solutions, strict=True) if not task.grade(q, text).right]
    others = [
        task.grade(question, text).right is False
        for (question, following), text in zip(itertools.pairwise(questions), solutions[1:], strict=True)
        if question.reference != following.reference
    ]
    own = {"passed": len(questions) - len(failing), "of": len(questions), "failing": failing}
    return {"own": own, "of_other_problems": {"failed": sum(others), "of": len(others)}}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="where to write the figures with their provenance")
    output = parser.parse_args(arguments).output
    provenance = describe()
    hostile = {name: contained(body) for name, body in HOSTILE.items()}
    escaped = [name for name, is_contained in hostile.items() if not is_contained]
    print(f"hostile programs contained: {sum(hostile.values())}/{len(hostile)} {' '.join(escaped)}", flush=True)
    math = check_math()
    print(f"MATH-500's own solutions right: {math['own']['passed']}/{math['own']['of']}", flush=True)
    others = math["of_other_problems"]
    print(f"MATH-500, solutions of other problems wrong: {others['failed']}/{others['of']}", flush=True)
    canonical, wrong = {}, []
    for name in ("humaneval+", "mbpp+"):
        canonical[name], fail = check_code(load_task(name))
        wrong += fail
        print(f"{name}, canonical solutions right: {canonical[name]['passed']}/{canonical[name]['of']}", flush=True)
    print(f"broken solutions wrong: {sum(wrong)}/{len(wrong)}")
    in_dressings = dressings.check()
    for task, counts in in_dressings.items():
        for kind in ("right", "no_answer", "of_other_questions"):
            if kind in counts:
                print(f"{task}, {kind}: {counts[kind]['as_it_should_be']}/{counts[kind]['of']}", flush=True)
    figures = {
        "dressings": in_dressings,
        "canonical_solutions": canonical,
        "broken_solutions": {"failed": sum(wrong), "of": len(wrong)},
        "math500_solutions": math,
        "hostile_programs": {"contained": sum(hostile.values()), "of": len(hostile), "escaped": escaped},
    }
    print(json.dumps(figures))
    if output:
        write_json(output, {**provenance, "figures": figures})


if __name__ == "__main__":
    main(sys.argv[1:])

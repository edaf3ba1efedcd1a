"""The program in an answer: from fenced blocks or from code among prose, put together from the parts it needs."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator, Sequence

from parse_engine.bench.graders.slicing import BUILTINS, Statement, bound, needed, read
from parse_engine.bench.graders.text import after_thinking

_FENCE = re.compile(r"(`{3,}[^\n`]*|^[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)?~{3,}[^\n]*)", re.MULTILINE)
_JOINED = 7  # parts in which a docstring with blocks of its own is looked for
_TRIES = 500  # lines at which code among prose may begin
_NEAREST = 50  # blocks in which missing names are looked for
_QUOTED = re.compile(r"^[ \t]*>(?!>) ?", re.MULTILINE)
_START = re.compile(
    r"@\w|(?:(?:async\s+)?def|class|import|from|if|for|while|with)\s|try:"
    r"|[A-Za-z_][\w.,\[\]'\" ]*(?::[^=\n]+)?(?:\*\*|//|>>|<<|[-+*/%&|^])?=(?!=)|[A-Za-z_][\w.]*\(.*\)\s*$"
)
"""What a line of code begins with; a line of prose that begins so is told by what Python says of it."""

_Part = list[ast.stmt]


def extract_code(text: str, entry_point: str) -> str | None:
    """The program of an answer: what `entry_point` needs of the last part of the text that defines it.

    A part is a fenced block, in whatever fences, or a run of code among prose. A definition without a body, of the
    problem that an answer repeats, counts only where there is no other. What the part lacks is taken from the parts
    before and behind it. Left out is what the function does not need: tests, prints, input.
    """
    try:
        parts = [statements for part in _parts(after_thinking(text)) if (statements := read(part)) is not None]
        for is_solution in (_solves, _binds):
            for chosen in range(len(parts) - 1, -1, -1):
                if is_solution(parts[chosen], entry_point):
                    statements = _completed(parts, chosen, entry_point)
                    return "\n".join(ast.unparse(statement.node) for statement in statements)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return None


def _completed(parts: Sequence[list[Statement]], chosen: int, entry_point: str) -> list[Statement]:
    """What is needed of the chosen part, behind what it needs of the others; the nearest before it come first."""
    program = parts[chosen]
    others = [*parts[max(chosen - _NEAREST, 0) : chosen][::-1], *parts[chosen + 1 : chosen + 1 + _NEAREST]]
    while True:
        statements, names = needed(program, entry_point)
        known = bound(program)
        for other in others:
            added = [statement for statement in other if not statement.binds & known]
            if (names - known - BUILTINS) & bound(added):
                program = [*added, *program]
                break
        else:
            return statements


def _parts(text: str) -> Iterator[_Part]:
    """The text's pieces of code, in their order."""
    pieces = _FENCE.split(text.replace("\r\n", "\n"))  # texts and, at odd places, the fences between them
    at = 0
    while at < len(pieces):
        code, end = _block(pieces, at)
        yield from [code] if code is not None else _among_prose(_plain(pieces[at]).split("\n"))
        at = end + 1


def _block(pieces: Sequence[str], at: int) -> tuple[_Part | None, int]:
    """The code of a piece, joined with the next ones where fences stand in its strings, and the end of the last one."""
    for end in range(at + 1, min(at + 2 * _JOINED, len(pieces) + 1), 2):
        parsed = _parse(_plain("".join(pieces[at:end])))
        if isinstance(parsed, list):
            return parsed, end
        if "unterminated" not in parsed.msg:
            break
    return None, at + 1


def _plain(piece: str) -> str:
    """Without the marks of a quotation and without common indentation."""
    if all(_QUOTED.match(line) for line in piece.split("\n") if line.strip()):
        piece = _QUOTED.sub("", piece)
    return textwrap.dedent(piece)


def _parse(code: str) -> _Part | SyntaxError:
    try:
        return ast.parse(code).body
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError) as error:
        return SyntaxError(str(error))


def _among_prose(lines: Sequence[str]) -> Iterator[_Part]:
    """The runs of lines that are code; what follows a mistake in one is given up to its next top-level statement."""
    start, tries, broken = 0, 0, False
    while start < len(lines) and tries < _TRIES:
        line = lines[start]
        indent = line[: len(line) - len(line.lstrip())]
        if not _START.match(line.lstrip()) or (indent and broken):
            broken = broken and (bool(indent) or not line.strip())
            start += 1
            continue
        tries += 1
        end = next(
            (n for n in range(start, len(lines)) if lines[n].strip() and not lines[n].startswith(indent)), len(lines)
        )
        block = [each[len(indent) :] for each in lines[start:end]]
        part, length = _longest(block)
        if length:
            yield part
        broken = not length
        start += length or 1


def _longest(lines: Sequence[str]) -> tuple[_Part, int]:
    """The statements that the lines begin with, up to the one that holds a mistake, and how many lines they take."""
    end = len(lines)
    while end:
        parsed = _parse("\n".join(lines[:end]))
        if isinstance(parsed, list):
            return parsed, end
        last = min(parsed.lineno or 1, end) - 1
        end = max((n for n in range(last + 1) if lines[n][:1].strip()), default=0)
    return [], 0


def _solves(part: Sequence[Statement], entry_point: str) -> bool:
    """Whether a part defines the function with a body, or as another name of something."""
    return any(
        not (_is_stub(node) if isinstance(node, ast.FunctionDef) else _is_result(node.value, entry_point))
        for statement in part
        for node in _definitions(statement.node, entry_point)
    )


def _binds(part: Sequence[Statement], entry_point: str) -> bool:
    return any(entry_point in statement.binds for statement in part)


def _definitions(node: ast.AST, name: str) -> Iterator[ast.FunctionDef | ast.Assign | ast.AnnAssign]:
    """The functions and assignments of that name, under `if` and the like too, but not within functions or classes."""
    if isinstance(node, ast.FunctionDef) and node.name == name:
        yield node
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            yield node
    elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt | ast.ExceptHandler):
                yield from _definitions(child, name)


def _is_stub(function: ast.FunctionDef) -> bool:
    """Whether nothing is in it but a docstring, `pass`, `...` or that it is not implemented."""
    return all(
        isinstance(node, ast.Pass)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node))
        for node in function.body
    )


def _is_result(value: ast.expr | None, entry_point: str) -> bool:
    """Whether a name is given no function: a constant, or what the function of that name returns."""
    return isinstance(value, ast.Constant | None) or any(
        isinstance(node, ast.Name) and node.id == entry_point for node in ast.walk(value)
    )

"""Which of a program's statements one of its functions needs; what only tries the function out is left aside."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "__annotations__"}

_DYNAMIC = frozenset({"eval", "exec", "globals", "locals", "vars"})  # may reach every name
_LEAVES = frozenset({"input", "exit", "quit", "breakpoint", "__name__"})  # waits, ends, or asks for the main module
_LEAVING = frozenset({"exit", "_exit", "abort", "main", "testmod"})
_SETTING = re.compile(r"set|seed|stack_size|filterwarnings|simplefilter")  # setrecursionlimit, seed, ...
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Statement:
    """A statement at a program's top level."""

    node: ast.stmt
    binds: frozenset[str]
    """The global names that it gives a value."""
    changes: frozenset[str]
    """The global names behind which it changes something, outside of the functions that it defines."""
    loads: frozenset[str]
    """The global names that it uses, in the functions that it defines as well."""

    @property
    def is_definition(self) -> bool:
        return isinstance(self.node, _DEFINITIONS + _IMPORTS + (ast.Assign, ast.AnnAssign))

    @property
    def is_of_the_future(self) -> bool:
        """Whether it must come first."""
        return isinstance(self.node, ast.ImportFrom) and self.node.module == "__future__"

    @property
    def is_always_kept(self) -> bool:
        """Whether nothing tells what it is for: imports of everything, and of the future."""
        is_star = isinstance(self.node, ast.ImportFrom) and any(alias.name == "*" for alias in self.node.names)
        return is_star or self.is_of_the_future


def read(part: Sequence[ast.stmt]) -> list[Statement] | None:
    """The statements of a piece of code; None where Python has something against its names."""
    try:
        return [_statement(node) for node in part]
    except (SyntaxError, ValueError):
        return None


def _statement(node: ast.stmt) -> Statement:
    table = symtable.symtable(ast.unparse(node), "answer", "exec")
    symbols = table.get_symbols()
    here = {symbol.get_name() for symbol in symbols if symbol.is_referenced()}
    counted = {_root(node.target)} if isinstance(node, ast.AugAssign) else set()  # of `name += 1`, no first value
    changes = counted if isinstance(node, _DEFINITIONS) else counted.union(map(_root, _stored(node))) - {""}
    return Statement(
        node,
        binds=frozenset(s.get_name() for s in symbols if s.is_assigned() or s.is_imported()) - counted,
        changes=frozenset(changes),
        loads=frozenset(here.union(changes, *map(_globals, table.get_children()))),
    )


def _stored(node: ast.AST) -> Iterator[ast.AST]:
    """The attributes and items that are set or deleted."""
    for place in ast.walk(node):
        if isinstance(place, ast.Attribute | ast.Subscript) and isinstance(place.ctx, ast.Store | ast.Del):
            yield place


def bound(program: Sequence[Statement]) -> set[str]:
    """The global names that a program gives a value."""
    return set().union(*(statement.binds for statement in program))


def needed(program: Sequence[Statement], entry_point: str) -> tuple[list[Statement], set[str]]:
    """The statements that `entry_point` needs, in their order, and the global names that they use.

    Kept are those that bind a name in use and, unless they use `entry_point` themselves, those that may change what is
    in use: a list that is filled in a loop, the recursion limit. Tests, prints, input and the main block are not.
    """
    reach = _Reach(program, entry_point)
    names, kept = {entry_point}, {index for index, statement in enumerate(program) if statement.is_always_kept}
    count = -1
    while count != len(kept):
        count = len(kept)
        for index in reversed(range(len(program))):
            statement = program[index]
            if index not in kept and (_defines(statement, names) or reach.affects(statement, names)):
                kept.add(index)
                names |= statement.loads
    statements = [program[index] for index in sorted(kept)]
    return sorted(statements, key=lambda statement: not statement.is_of_the_future), names


def _defines(statement: Statement, names: set[str]) -> bool:
    if isinstance(statement.node, ast.If) and "__name__" in statement.loads:
        return False
    may_be_asked_for = statement.is_definition and not statement.loads & _LEAVES
    return bool((statement.binds | statement.changes) & names) or bool(may_be_asked_for and names & _DYNAMIC)


class _Reach:
    """What a program's statements come to when the functions that they call are followed."""

    def __init__(self, program: Sequence[Statement], entry_point: str) -> None:
        self._entry_point = entry_point
        self._functions: dict[str, set[str]] = {}
        self._variables: set[str] = set()
        self._modules: dict[str, str] = {}
        for statement in program:
            if isinstance(statement.node, _DEFINITIONS):
                for name in statement.binds:
                    self._functions.setdefault(name, set()).update(statement.loads)
            elif isinstance(statement.node, _IMPORTS):
                self._modules |= _imported(statement.node)
            else:
                self._variables |= statement.binds

    def affects(self, statement: Statement, names: set[str]) -> bool:
        """Whether running a statement may change something behind these names, or a setting of the interpreter."""
        if statement.is_definition and not statement.changes:
            return False
        if isinstance(statement.node, ast.Assert | ast.Raise) or _is_print(statement.node):
            return False
        if statement.loads & _LEAVES or any(name in _LEAVING for _, name in _calls(statement.node)):
            return False
        uses = self._all(statement.loads)
        if self._entry_point in uses:
            return False
        return bool(uses & names & self._variables) or self._is_setting(statement, names)

    def _is_setting(self, statement: Statement, names: set[str]) -> bool:
        roots = {root for root, name in _calls(statement.node) if _SETTING.match(name)} | statement.changes
        return any(
            self._modules[root] in sys.stdlib_module_names or root in names for root in roots if root in self._modules
        )

    def _all(self, loads: frozenset[str]) -> set[str]:
        """These names and those that the functions behind them use."""
        found: set[str] = set()
        left = list(loads)
        while left:
            name = left.pop()
            if name not in found:
                found.add(name)
                left += self._functions.get(name, ())
        return found


def _globals(table: symtable.SymbolTable) -> set[str]:
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    return names.union(*map(_globals, table.get_children()))


def _root(node: ast.AST) -> str:
    """The name that an expression like `a.b[c].d()` begins with."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _calls(node: ast.AST) -> Iterator[tuple[str, str]]:
    """First and last name of every call."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            last = call.func.attr if isinstance(call.func, ast.Attribute) else _root(call.func)
            yield _root(call.func), last


def _is_print(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _root(node.value.func) == "print"


def _imported(node: ast.Import | ast.ImportFrom) -> dict[str, str]:
    """The names that an import binds, and the module that each is from."""
    if isinstance(node, ast.ImportFrom):
        return {alias.asname or alias.name: (node.module or "").partition(".")[0] for alias in node.names}
    return {(alias.asname or alias.name).partition(".")[0]: alias.name.partition(".")[0] for alias in node.names}

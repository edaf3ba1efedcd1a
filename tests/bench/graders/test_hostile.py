"""Programs that mean harm, those of scripts/bench/graders.py: each is contained, each would do harm elsewhere."""

from __future__ import annotations

import ctypes
import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from parse_engine.bench.graders import sandbox
from parse_engine.bench.provenance import ROOT

SPEC = importlib.util.spec_from_file_location("graders_script", ROOT / "scripts/bench/graders.py")
assert SPEC is not None
assert SPEC.loader is not None
SCRIPT = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(SCRIPT)

CONFINE = Path(sandbox.__file__).with_name("_confine.py")
LINUX_ONLY = (
    "fork without an audit event",
    "thread bomb",
    "10 GiB",
    "10 GiB by mmap",
    "write with the hook's rules changed",
    "named pipe",
)
HARMLESS_TO_TRY = (
    "write by open",
    "write by os.open",
    "write by pathlib",
    "write by sqlite3",
    "write by ctypes",
    "write with the hook's rules changed",
    "named pipe",
    "delete",
    "truncate",
)


def has_landlock() -> bool:
    return sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


@pytest.mark.parametrize("name", SCRIPT.HOSTILE)
def test_a_hostile_program_is_contained(name: str) -> None:
    if name in LINUX_ONLY and not has_landlock():
        pytest.skip("needs Linux with Landlock")
    assert SCRIPT.contained(SCRIPT.HOSTILE[name])


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are for POSIX")
@pytest.mark.parametrize("name", HARMLESS_TO_TRY)
def test_outside_the_sandbox_it_does_what_it_is_named_for(name: str, tmp_path: Path) -> None:
    (tmp_path / "answers").write_text("42")
    code = f"{SCRIPT.program(SCRIPT.HOSTILE[name])}\nf({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)
    left = {path.name for path in tmp_path.iterdir()}
    assert left != {"answers"} or (tmp_path / "answers").read_text() == ""


@pytest.mark.skipif(not has_landlock(), reason="needs Linux with Landlock")
@pytest.mark.parametrize(
    ("call", "unconfined"),
    [
        ("libc.open(folder + b'/written', 65, 0o600)", 3),
        ("libc.open(folder + b'/answers', 0)", 3),
        ("libc.truncate(folder + b'/answers', 2)", 0),
        ("libc.chmod(folder + b'/answers', 0o600)", 0),
        ("libc.unlink(folder + b'/answers')", 0),
        ("libc.mkdir(folder + b'/written', 0o700)", 0),
        ("libc.socket(1, 1, 0)", 3),
        ("libc.kill(os.getppid(), 0)", 0),
        ("libc.setpriority(0, os.getppid(), 0)", 0),
        ("min(libc.fork(), 0)", 0),
    ],
)
def test_the_kernel_holds_where_the_audit_hook_is_gone(call: str, unconfined: int, tmp_path: Path) -> None:
    """C code, and root, used to be bound by nothing but limits that do not count for root."""
    (tmp_path / "answers").write_text("42")
    code = f"""
import ctypes, os, runpy, sys
folder, libc = {str(tmp_path)!r}.encode(), ctypes.CDLL(None)
sys.addaudithook = lambda hook: None
os.closerange(3, 99)
if sys.argv[1] == "confined":
    runpy.run_path({str(CONFINE)!r})["confine"](2**31, 10, 2**20)
os._exit({call} & 255)
"""
    confined = subprocess.run([sys.executable, "-c", code, "confined"], timeout=600)
    assert confined.returncode == 255, "the call returns -1"
    assert [path.name for path in tmp_path.iterdir()] == ["answers"]
    assert (tmp_path / "answers").read_text() == "42"
    assert subprocess.run([sys.executable, "-c", code, ""], timeout=600).returncode == unconfined


def test_packages_are_still_imported() -> None:
    code = "import numpy, decimal, sqlite3, ctypes, json, zoneinfo\ndef f(): return int(numpy.dot([1, 2], [3, 4]))"
    assert sandbox.call(code, "f", [[]]) == [11]


def test_the_table_of_calls_has_no_number_twice() -> None:
    table = runpy.run_path(str(CONFINE))["SYSCALLS"]
    for column in (0, 1):
        numbers = [pair[column] for pair in table.values() if pair[column] is not None]
        assert len(set(numbers)) == len(numbers)
        assert len(numbers) < 250, "a jump of the filter has one byte"


def test_mutants_are_programs_with_one_change() -> None:
    code = "def g(x):\n    return 1\n\ndef f(x):\n    return x + 1 if x < 2 else g(x)"
    found = list(SCRIPT.mutants(code, "f"))
    assert len(found) == len(set(found)) == 4
    assert all("def g(x):\n    return 1" in mutant for mutant in found)

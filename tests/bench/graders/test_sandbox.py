from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import pytest

from parse_engine.bench.graders.sandbox import Limits, Other, call, unpack_all

ENOUGH = Limits()
QUICK = Limits(seconds=1)


def result_of(body: str, limits: Limits = ENOUGH) -> object:
    """What `f(1)` returns, or "failed"."""
    outputs = call(f"def f(x):\n    {body}", "f", [[1]], limits)
    return "failed" if outputs is None else outputs[0]


@pytest.mark.parametrize(
    "value",
    [
        "None", "True", "-12", "10 ** 5000", "0.1", "float('inf')", "'text'", "'\\ud800'", "[1, (2.0, {3})]", "2j",
        "{1: 'a', (2, 3): [None]}", "frozenset({1})", "[]",
    ],
)  # fmt: skip
def test_values_arrive_as_they_are(value: str) -> None:
    got = result_of(f"return {value}")
    assert got == eval(value)
    assert type(got) is type(eval(value))


def test_nan_arrives() -> None:
    got = result_of("return float('nan')")
    assert isinstance(got, float)
    assert math.isnan(got)


def test_long_outputs_are_equal_exactly_when_they_were() -> None:
    assert result_of("return 'ab' * 9999") == result_of("return 'ab' * 9999")
    assert result_of("return 'ab' * 9999") != result_of("return 'ab' * 9998 + 'ac'")
    assert result_of("return list(range(9999))") == result_of("return [*map(float, range(9998)), 9998]")
    assert result_of("return list(range(9999))") != result_of("return tuple(range(9999))")
    assert result_of("return [(1, [2])] * 9999") == result_of("return [(1.0, [2])] * 9999")
    assert result_of("return [(1, [2])] * 9999") != result_of("return [(1, (2,))] * 9999")
    assert result_of("return [(1, [2])] * 9999") != result_of("return [(1, [2])] * 9998 + [(1, [3])]")
    assert result_of("return ['a', {'b': {1}}] * 9999") == result_of("return ['a', {'b': {1}}] * 9999")
    assert result_of("return [0.5] * 9999") == [0.5] * 9999, "floats are compared with tolerance, so they travel whole"


def test_numpy_values_arrive_as_plain_ones() -> None:
    assert result_of("import numpy; return [numpy.int64(3), numpy.array([1.5])]") == [3, [1.5]]


def test_what_is_not_compared_equals_nothing() -> None:
    got = result_of("return iter([])")
    assert isinstance(got, Other)
    assert got != got


def test_inputs_arrive_as_they_are() -> None:
    given = [(1, (2.5,)), {3}, {"a": 1j}, 10**5000]
    assert call("def f(*arguments): return list(arguments)", "f", [given]) == [given]


def test_inputs_are_not_shared_between_calls() -> None:
    assert call("def f(xs):\n    xs.append(0)\n    return len(xs)", "f", [[[1]], [[1]]]) == [2, 2]


def test_printing_and_reading_do_not_disturb() -> None:
    assert result_of("print('[1, 2]'); import sys; sys.stderr.write('x'); return 7") == 7
    assert result_of("import sys; return sys.stdin.read()") == ""
    assert result_of("return input()") == "failed"


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError",
        "import sys; sys.exit(0)",
        "import os; os._exit(0)",
        "raise KeyboardInterrupt",
        "return f(x)",
        "return [0] * 10 ** 11",
        "return 'x' * 10 ** 11",
        "import os; os.fork()",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "import os; os.kill(os.getppid(), 0)",
        "import socket; socket.socket()",
        "import ctypes; ctypes.CDLL(None).getpid()",
        "open('here', 'w')",
        "import pathlib; pathlib.Path('here').mkdir()",
        "import tempfile; tempfile.TemporaryFile()",
        "import os; os.write(3, b'[1]' * 10); os._exit(0)",
        "open('/etc/hostname')",
        "import os; os.mkfifo('here')",
        "import threading; threading.Thread(target=print).start()",
        "import multiprocessing; multiprocessing.get_context('spawn').Process(target=print).start()",
    ],
)
def test_what_a_program_may_not_do(body: str) -> None:
    assert result_of(body) == "failed"


def test_errors_while_the_program_loads() -> None:
    assert call("import no_such_package\ndef f(x): return x", "f", [[1]]) is None
    assert call("def f(x) return", "f", [[1]]) is None
    assert call("def g(x): return x", "f", [[1]]) is None


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "import time; time.sleep(1000)",
        "while True: print('x' * 1000)",
        "import signal; [signal.signal(s, signal.SIG_IGN) for s in (15, 2, 14, 24)]\n    while True: pass",
    ],
)
def test_a_program_that_does_not_end_is_ended(body: str) -> None:
    started = time.monotonic()
    assert result_of(body, QUICK) == "failed"
    assert time.monotonic() - started < 500  # the longest of them sleeps for 1000 s


def test_a_program_that_catches_everything_is_ended() -> None:
    code = "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass"
    assert call(code, "f", [[1]], QUICK) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on memory holds on Linux only")
def test_memory_is_limited() -> None:
    assert result_of("return len(bytearray(10 ** 8))") == 10**8
    assert result_of("return len(bytearray(10 ** 8))", Limits(memory_bytes=10**8)) == "failed"


def test_result_is_limited() -> None:
    assert result_of("return [0.5] * 10 ** 5", Limits(result_bytes=10**5)) == "failed"


def test_secrets_of_the_environment_are_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    assert result_of("import os; return os.environ.get('SOME_TOKEN')") is None


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert result_of("return 1") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b"[1]", b"3", b'[["int", "zz"]]', b"[[]]", b'[["set", [["list", []]]]]']
)
def test_garbage_in_place_of_a_result(garbage: bytes) -> None:
    assert unpack_all(garbage) is None

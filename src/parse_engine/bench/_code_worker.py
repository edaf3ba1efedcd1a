"""Helper process of `sandbox`: runs one function of an untrusted program. Run by its path; imports nothing of ours.

The job comes as JSON on stdin, the outputs go as JSON to stdout. Both are replaced by the null device before the
program starts. It is never given the right outputs, so it cannot pass by fooling the comparison.
"""

from __future__ import annotations

import array
import ctypes
import hashlib
import json
import math
import os
import sys
from typing import Any

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
# Longer ones travel as digests, where all that matters is whether two are equal.
LONG_TEXT = 4096
LONG_LIST = 4096
EXACT = 2**53  # whole numbers up to this are exact as floats
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Audit events (docs.python.org, "Audit events table") of what a solution has no business with.
FORBIDDEN = (
    "ctypes.dlsym",
    "fcntl.",
    "ftplib.",
    "http.",
    "os.chflags",
    "os.chmod",
    "os.chown",
    "os.exec",
    "os.fork",
    "os.kill",
    "os.link",
    "os.lockf",
    "os.mkdir",
    "os.posix_spawn",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.spawn",
    "os.startfile",
    "os.symlink",
    "os.system",
    "os.truncate",
    "os.utime",
    "pty.",
    "resource.",
    "shutil.",
    "signal.pthread_kill",
    "socket.",
    "subprocess.",
    "syslog.",
    "tempfile.",
    "urllib.",
    "webbrowser.",
    "winreg.",
)


def forbid(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: nothing is written, started, signalled or connected. It cannot be taken off again from Python."""
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
    if writes or event.startswith(FORBIDDEN):
        raise PermissionError(f"{event} is not allowed here")


def confine(memory_bytes: int, seconds: int, result_bytes: int) -> None:
    """Limits of the operating system first, then the audit hook."""
    if sys.platform != "win32":
        import resource

        limits = {
            resource.RLIMIT_AS: memory_bytes,
            resource.RLIMIT_CPU: seconds,
            resource.RLIMIT_FSIZE: result_bytes,
            resource.RLIMIT_NOFILE: 64,
            resource.RLIMIT_CORE: 0,
        }
        for limit, most in limits.items():
            if sys.platform != "darwin" or limit != resource.RLIMIT_AS:  # macOS refuses a limit on address space
                resource.setrlimit(limit, (most, most))
    if sys.platform == "linux":
        import resource

        # A network of its own, with nothing in it. Fails where user namespaces are switched off; the hook remains.
        ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET)
        # No processes, and no threads either; the kernel does not count those of root, for whom the hook remains.
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    sys.addaudithook(forbid)


def pack(value: Any) -> Any:
    """Plain data that keeps what JSON loses: tuples, sets, keys that are no texts, numbers without loss."""
    if type(value).__module__ == "numpy":
        value = value.tolist()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value) if len(value) <= LONG_TEXT else digest("str", value.encode("utf-8", "surrogatepass"))
    if isinstance(value, int):
        return ["int", hex(value)]  # decimal digits of an int are limited, hexadecimal ones are not
    if isinstance(value, float):
        return ["float", "nan" if math.isnan(value) else float.hex(value)]
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            if isinstance(value, list | tuple) and len(value) > LONG_LIST and is_exact(value):
                return digest(kind.__name__, array.array("d", value).tobytes())
            return [kind.__name__, [pack(item) for item in value]]
    if isinstance(value, dict):
        return ["dict", [[pack(key), pack(item)] for key, item in value.items()]]
    return ["other", type(value).__name__]


def is_exact(numbers: list[Any] | tuple[Any, ...]) -> bool:
    """Whether these are compared by equality (some are whole numbers) and keep their values as floats."""
    kinds = set(map(type, numbers))
    return kinds in ({int}, {int, float}) and min(numbers) > -EXACT and max(numbers) < EXACT


def digest(kind: str, content: bytes) -> list[str]:
    return ["digest", f"{kind} {hashlib.sha256(content).hexdigest()}"]


def outputs(job: dict[str, Any]) -> list[Any]:
    """What the function returns for each list of arguments."""
    program: dict[str, Any] = {"__name__": "solution"}
    exec(job["code"], program)
    function = program[job["entry_point"]]
    return [pack(function(*arguments)) for arguments in job["inputs"]]


def main() -> None:
    job = json.load(sys.stdin)
    result_file = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    sys.set_int_max_str_digits(0)
    confine(job["memory_bytes"], job["seconds"], job["result_bytes"])
    try:
        result = json.dumps(outputs(job)).encode()
    except BaseException:
        os._exit(1)
    while result:
        result = result[os.write(result_file, result) :]
    os._exit(0)


if __name__ == "__main__":
    main()

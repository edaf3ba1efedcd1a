"""The standard streams: where they are closed, full, or a pipe that nobody reads any more."""

from __future__ import annotations

import errno
import os
import select
import signal
import sys

import typer

NOBODY_READS = 128 + signal.SIGPIPE  # as the shell says of a program that dies of it
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def open_closed_streams() -> None:
    """Put an empty stream in the place of each that the process was started without."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


def print_error(message: str) -> None:
    """Say on stderr, in one line, what went wrong."""
    typer.secho("error: ", fg=typer.colors.RED, bold=True, nl=False, err=True)
    typer.echo(" ".join(message.splitlines()), err=True)


def status_after(error: OSError) -> int:
    """The exit status after an error of a stream or a file that nobody was prepared for; says what it was.

    Raises:
        OSError: it was none of these.
    """
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        _drop(1, 2)
        return NOBODY_READS
    if error.filename is None and error.errno not in _NO_ROOM:
        raise error
    if error.filename is None:
        _drop(1)
    try:
        print_error(f"cannot read or write {error.filename or 'the output'}: {error.strerror}. Give another place.")
    except OSError:
        _drop(2)
    return 2


def _nobody_reads() -> bool:
    """Whether stdout or stderr is a pipe without a reader."""
    poll = select.poll()
    for stream in (1, 2):
        poll.register(stream, 0)
    return bool(poll.poll(0))


def _drop(*streams: int) -> None:
    """Let go what could not be written, or the interpreter tries once more when it ends."""
    for stream in streams:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)

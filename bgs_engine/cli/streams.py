"""Standard output and standard error that are closed, full, or whose reader has gone. None of them is a bug."""

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from bgs_engine.core.errors import OutputError


class _Closed(io.TextIOBase):
    """Stands in for a standard output that was closed before the program started."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, "it is closed")


@contextlib.contextmanager
def safe_streams() -> Iterator[None]:
    """The block may write to `sys.stdout` and `sys.stderr` whatever they are.

    Python sets closed ones to None. Their numbers are taken, so that no file that the job opens gets them: libraries
    write messages there. What cannot be written in the end is dropped, and does not change the exit code.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file's name may hold bytes that are no UTF-8
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            _drop_rest(stream)


def write_answer(text: str, stream: TextIO) -> None:
    """Write the answer of a command. A reader that has gone, as `head` has after its lines, needs no more of it.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        return
    except OSError as error:
        raise OutputError(
            f"The answer cannot be written to standard output: {error.strerror}.",
            "Let it go to a terminal, a pipe, or a file on a disk with room.",
        ) from None


def _drop_rest(stream: TextIO | io.TextIOBase) -> None:
    """Flush a stream. If that fails, let the rest go nowhere: Python would try again at its exit, and complain."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)

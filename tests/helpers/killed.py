"""Kills a process at one of its file operations, as a power cut or the user's task manager does."""

import os
import sys
from collections.abc import Callable
from typing import Any

KILLED, FAILED = 9, 1
OPERATIONS = frozenset({"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "os.link", "os.symlink"})
WRITES = os.O_WRONLY | os.O_RDWR


def ends_before(number: int, work: Callable[[], object]) -> bool:
    """Do the work in a copy of this process that dies just before file operation `number`, counted from 0.

    Operations are: opening a file for writing, moving, making and removing files and folders, and bringing a file to
    the disk. Returns whether it died; False means that the work has fewer operations and is done.
    """
    child = os.fork()
    if child == 0:
        count = 0

        def operation() -> None:
            nonlocal count
            if count == number:
                os._exit(KILLED)
            count += 1

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            flags = arguments[2] if event == "open" else 0
            if event in OPERATIONS or (isinstance(flags, int) and flags & WRITES):
                operation()

        real = os.fsync

        def fsync(fd: Any) -> None:
            operation()
            real(fd)

        os.fsync = fsync  # no audit event tells of it
        code = FAILED
        try:
            sys.addaudithook(hook)
            work()
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), f"the work failed instead of being killed: {code}"
    return code == KILLED

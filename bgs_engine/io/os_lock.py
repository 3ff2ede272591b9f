"""A lock on a file that the operating system holds for this process. It needs the standard library alone, so that
Blender can take the same lock as the engine.

A process that dies gives its lock back. On Unix it is `flock` on the whole file, on Windows a lock on its first byte.
"""

import os
import sys
import time
from pathlib import Path

POLL_SECONDS = 0.05  # between two tries while the lock is held elsewhere


def take_lock(path: Path, wait: float = 0.0) -> int | None:
    """Make the file if there is none, and lock it.

    Args:
        path: the lock file.
        wait: seconds to wait for another holder.

    Returns:
        The descriptor that holds the lock, for `give_lock_back`; None if another holder kept it all that time.

    Raises:
        OSError: the file cannot be opened, or its file system has no locks.
    """
    end = time.monotonic() + wait
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            held = _lock(descriptor)
            # Its last owner may have removed the file after we opened it. Other processes do not see that lock.
            if held and _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not held:
            if time.monotonic() >= end:
                return None
            time.sleep(POLL_SECONDS)


def give_lock_back(descriptor: int) -> None:
    """Release a lock of `take_lock`."""
    os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:  # another process holds it
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

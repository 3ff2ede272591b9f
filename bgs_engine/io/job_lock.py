"""One writer at a time: a lock on a run's place or on a dataset.

The operating system holds the lock for the process (package filelock). So a process that dies gives its lock back, and
a lock file that it leaves locks nothing.
"""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from bgs_engine.core import disk
from bgs_engine.core.errors import UsageError
from bgs_engine.core.files import cannot_write

LOCK_SUFFIX = ".lock"
OWNER_SUFFIX = ".owner.json"


@contextmanager
def only_writer(folder: Path, called: Path | None = None) -> Iterator[None]:
    """Hold the lock on writing to `folder`; the lock file is a hidden one beside it.

    Args:
        folder: the folder.
        called: what messages call it, if it is another name.

    Raises:
        UsageError: another job writes there.
        OutputError: the lock file cannot be written.
    """
    from filelock import FileLock, Timeout

    lock_file = folder.with_name(f".{folder.name}{LOCK_SUFFIX}")
    owner_file = folder.with_name(f".{folder.name}{OWNER_SUFFIX}")
    lock = FileLock(lock_file, timeout=0)
    try:
        disk.make_folder(lock_file.parent)
        lock.acquire()
        while not lock_file.exists():  # its last owner removed it after we opened it: other jobs do not see this lock
            lock.release()
            lock.acquire()
    except Timeout:
        raise UsageError(
            f"Another job writes to {called or folder}{_owner(owner_file)}.",
            "Wait for it, stop it, or choose another folder.",
        ) from None
    except OSError as error:
        raise cannot_write(folder.parent, error) from None
    try:
        with suppress(OSError), disk.NewFile(owner_file) as stream:  # it only serves the sentence above
            stream.write(json.dumps(_me()).encode("utf-8"))
        yield
    finally:
        for path in (owner_file, lock_file):
            with suppress(OSError):  # Windows removes no open file
                disk.remove_file(path)
        lock.release()


def _me() -> dict[str, object]:
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return {"process": os.getpid(), "host": platform.node(), "started": started}


def _owner(path: Path) -> str:
    """Who holds the lock, in words, or nothing where it is not known."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f" (process {owner['process']} on {owner['host']}, since {owner['started']})"
    except (OSError, ValueError, LookupError, TypeError):
        return ""

"""One writer at a time: a lock on a run's place or on a dataset. The engine's jobs and Blender take the same one.

The operating system holds the lock for the process (`os_lock`). So a process that dies gives its lock back, and a lock
file that it leaves locks nothing.
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
from bgs_engine.io.os_lock import give_lock_back, take_lock

LOCK_SUFFIX = ".lock"
OWNER_SUFFIX = ".owner.json"


@contextmanager
def only_writer(folder: Path, wait: float = 0.0, called: Path | None = None) -> Iterator[None]:
    """Hold the lock on writing to `folder`; the lock file is a hidden one beside it.

    Args:
        folder: the folder, with links resolved.
        wait: seconds to wait for another job that writes there.
        called: what messages call it, if it is another name.

    Raises:
        UsageError: another job writes there.
        OutputError: the lock file cannot be written.
    """
    lock_file = folder.with_name(f".{folder.name}{LOCK_SUFFIX}")
    owner_file = folder.with_name(f".{folder.name}{OWNER_SUFFIX}")
    try:
        disk.make_folder(lock_file.parent)
        lock = take_lock(lock_file, wait)
    except OSError as error:
        raise cannot_write(folder.parent, error) from None
    if lock is None:
        raise UsageError(
            f"Another job writes to {called or folder}{_owner(owner_file)}.",
            "Wait for it, stop it, or choose another folder.",
        )
    try:
        with suppress(OSError), disk.NewFile(owner_file) as stream:  # it only serves the sentence above
            stream.write(json.dumps(_me()).encode("utf-8"))
        yield
    finally:
        try:
            for path in (owner_file, lock_file):
                with suppress(OSError):  # Windows removes no open file
                    disk.remove_file(path)
        finally:
            give_lock_back(lock)


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

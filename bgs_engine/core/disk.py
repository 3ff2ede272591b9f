"""Every change that the engine makes to a disk. No other module creates, writes, moves or removes a file or a folder.

Each function announces its operation before it acts. Fault tests watch these announcements. They let an operation fail,
or end the process in front of it, in the same code that users run (`watched`).
"""

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Watcher = Callable[[str, Path], None]
"""Told the kind of the next operation and its path. An `OSError` that it raises is a failure of the operation."""

BUFFER_BYTES = 1 << 20  # small writes are collected up to this size
LOG = "log"  # the kind of operation of `LogFile`: logs serve people, no result depends on them
# What systems and network drives answer if a folder cannot be synced, or not be opened for that.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOSYS)

_watchers: list[Watcher] = []


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Tell `watcher` of every operation of the block, from all threads."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def _announce(operation: str, path: Path) -> None:
    for watcher in _watchers:
        watcher(operation, path)


class NewFile(io.BufferedIOBase):
    """A new file that is being written. A file or link of that name is removed first; a link is never followed.

    It has no file number for others: NumPy and Pillow would write past it and lose the reason of a failure.

    Raises:
        OSError: in any method.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting = bytearray()
        remove_file(path)
        _announce("create", path)
        self._file = io.FileIO(path, "x")

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is; archives are completed at their beginning."""
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all bytes; returns their number."""
        view = memoryview(data).cast("B")
        if len(self._waiting) + len(view) > BUFFER_BYTES:
            self.flush()
        if len(view) > BUFFER_BYTES:
            self._write_out(view)
        else:
            self._waiting += view
        return len(view)

    def flush(self) -> None:
        """Hand everything to the system."""
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            self._write_out(memoryview(waiting))

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go on at another place; returns it."""
        self.flush()
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place where the next byte goes."""
        return self._file.tell() + len(self._waiting)

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        self.flush()
        _announce("sync", self.path)
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write the rest and close. It may be called again."""
        if self._file.closed:
            return
        try:
            self.flush()
            _announce("close", self.path)
        finally:
            self._file.close()

    def abandon(self) -> None:
        """Close without writing the rest, after a failure."""
        self._waiting.clear()
        with suppress(OSError):
            self._file.close()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    def _write_out(self, view: memoryview) -> None:
        _announce("write", self.path)
        while len(view):
            view = view[self._file.write(view) or 0 :]


class GrowingFile:
    """A file that grows over several sittings, such as a download. A link there is removed and not followed.

    Raises:
        OSError: in any method.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_symlink():
            remove_file(path)
        _announce("create", path)
        self._file = io.FileIO(path, "a")

    def __enter__(self) -> "GrowingFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def start_anew(self) -> None:
        """Drop what is in it."""
        _announce("write", self.path)
        self._file.truncate(0)

    def write(self, data: bytes) -> None:
        """Add all bytes at its end."""
        _announce("write", self.path)
        view = memoryview(data)
        while len(view):
            view = view[self._file.write(view) or 0 :]

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        _announce("sync", self.path)
        os.fsync(self._file.fileno())


class LogFile:
    """A text file to which lines are added. A line that cannot be written is left out: no job ends because of its log.

    Args:
        path: a link there is removed and not followed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO | None = None
        with suppress(OSError):
            if path.is_symlink():
                remove_file(path)
            _announce(LOG, path)
            self._file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)

    def write(self, text: str) -> None:
        """Add a line with its end."""
        with suppress(OSError, ValueError):
            _announce(LOG, self.path)
            if self._file is not None:
                self._file.write(text)

    def flush(self) -> None:
        """Nothing waits: every line is written at once."""

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()


def make_folder(path: Path) -> None:
    """Make a folder and those above it, unless it is there."""
    if not path.is_dir():
        _announce("make folder", path)
        path.mkdir(parents=True, exist_ok=True)


def move(source: Path, target: Path) -> None:
    """Give a file or folder another name in one step. A file of the new name is replaced."""
    _announce("move", target)
    source.replace(target)


def remove_file(path: Path) -> None:
    """Remove a file or link, unless it is gone."""
    if os.path.lexists(path):
        _announce("remove", path)
        path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Remove an empty folder."""
    _announce("remove folder", path)
    path.rmdir()


def remove_tree(path: Path) -> None:
    """Remove a folder with all that is in it, or a file; links are removed and not followed."""
    if path.is_symlink() or not path.is_dir():
        remove_file(path)
        return
    for entry in sorted(path.iterdir()):
        remove_tree(entry)
    remove_folder(path)


def discard(path: Path) -> None:
    """`remove_tree` after a failure: what cannot be removed stays, and the first failure is the one to report."""
    with suppress(OSError):
        remove_tree(path)


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk. Where a system cannot do that for a folder, nothing happens."""
    _announce("sync folder", path)
    if os.name == "nt":
        return
    try:
        number = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NO_FOLDER_SYNC:
            return
        raise
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(number)


def sync_folders(path: Path) -> None:
    """`sync_folder` for a folder and all below it."""
    for where, folders, _ in os.walk(path, topdown=False):
        folders.sort()
        sync_folder(Path(where))

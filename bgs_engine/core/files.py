"""Helpers of every writer. A file is written as a whole or not at all, and failures become plain errors."""

import errno
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from bgs_engine.core import disk
from bgs_engine.core.errors import InputError, OutputError
from bgs_engine.core.input_files import open_file, read_text

PROBE = ".bgs-write-test"
PARTIAL_SUFFIX = ".bgs-partial"  # of the hidden file that a new file is until it is whole
_ROOM = "Free some disk space, or choose a folder on another disk."
_HINTS = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "Choose a folder on a disk that can hold larger files.",
    errno.EACCES: "Choose another folder, or allow writing to this one.",
    errno.EPERM: "Choose another folder, or allow writing to this one.",
    errno.EROFS: "Choose a folder that can be written to.",
    errno.EIO: "Check the disk and its connection, or choose a folder on another one.",
    errno.ENAMETOOLONG: "Choose a shorter name, or a folder with a shorter path.",
    errno.EBUSY: "Close programs that use it.",
}


def cannot_write(path: Path, error: OSError) -> OutputError:
    """The error for users about a path that could not be written, with what to do about its cause."""
    hint = _HINTS.get(error.errno or 0, "Choose another folder or free some disk space.")
    return OutputError(f"{path} cannot be written: {error.strerror or error}.", hint)


MOST_JSON_BYTES = 1 << 28  # a label table of a million labels has about this many


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `path` at the end of the block, when it is whole and on the disk.

    It is a hidden file beside `path` until then. It is removed on any failure, and the earlier file stays.

    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
    try:
        disk.make_folder(path.parent)
        stream = disk.NewFile(partial)
        try:
            yield cast(IO[bytes], stream)
            stream.sync()
            stream.close()
            disk.move(partial, path)
        except BaseException:
            stream.abandon()
            disk.discard(partial)
            raise
    except OSError as error:
        raise cannot_write(path, error) from None


def read_json(path: Path, hint: str = "Write it again.") -> Any:
    """The content of a JSON file. `hint` says what to do about a damaged one.

    Raises:
        InputError: the file is missing, cannot be read, is not JSON, or is larger than any such file of ours.
    """
    try:
        return json.loads(read_text(path, MOST_JSON_BYTES))
    except MemoryError:
        raise InputError(f"{path.name} does not fit into memory.", hint) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is not valid JSON ({error}).", hint) from None


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, as a whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, as a whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with writing(path) as stream:
        stream.write(text.encode("utf-8"))


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with open_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def check_writable(folder: Path) -> None:
    """Make a folder and check that it can be written, before the work begins and not after an hour.

    Raises:
        OutputError: the folder cannot be made or written.
    """
    probe = folder / PROBE
    try:
        disk.make_folder(folder)
    except OSError as error:  # also FileExistsError: a part of the path is a file
        raise cannot_write(folder, error) from None
    try:
        disk.NewFile(probe).close()
        disk.remove_file(probe)
    except FileExistsError:
        pass  # another job tries the same folder at this moment, and it can be written
    except OSError as error:
        disk.discard(probe)
        raise cannot_write(folder, error) from None

"""Opens files that a stranger may have made. Every reader opens its files with this module.

A path may lead to a folder, a pipe, a socket or a device. Reading one of those may wait for ever or never end. So only
regular files are opened.
"""

import codecs
import stat
from io import BufferedReader, RawIOBase, TextIOWrapper
from pathlib import Path
from typing import BinaryIO, TextIO

from bgs_engine.core.errors import InputError

MOST_TEXT = 1 << 30  # bytes of a text file that is read as a whole; the largest real ones have some 100 MB
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


def is_file(path: Path) -> bool:
    """Whether a regular file lies at `path`. A path that no file system accepts is none; nothing is raised."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, a null byte, no permission
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder lies at `path`; nothing is raised."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def open_file(path: Path, hint: str = "Check the path.") -> BinaryIO:
    """The regular file, opened for reading bytes, unbuffered.

    Raises:
        InputError: there is no such file, it cannot be read, or it is no regular file. `hint` says what to do.
    """
    path = Path(path)
    try:
        _refuse_others(path, path.stat().st_mode)
        stream = path.open("rb", buffering=0)
    except OSError as error:
        raise InputError(f"{short(path)} cannot be read: {error.strerror}.", hint) from None
    except ValueError:  # a null byte
        raise InputError(f"{short(path)} is no path of a file.", hint) from None
    return stream


def file_size(path: Path, hint: str = "Check the path.") -> int:
    """Bytes of a regular file. Raises as `open_file`."""
    with open_file(path, hint) as stream:
        return stream.seek(0, 2)


def read_bytes(path: Path, most: int = MOST_TEXT, hint: str = "Check the path.") -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        InputError: as `open_file`, or the file is larger.
    """
    with open_file(path, hint) as stream:
        size = stream.seek(0, 2)
        if size > most:
            raise InputError(f"{short(path)} has {size:,} bytes, more than such a file can have ({most:,}).", hint)
        stream.seek(0)
        try:
            parts = []
            while part := stream.read(size + 1):  # a raw stream reserves what it is asked for, and may give less
                parts.append(part)
        except OSError as error:
            raise InputError(f"{short(path)} cannot be read: {error.strerror}.", hint) from None
        return b"".join(parts)


def read_text(path: Path, most: int = MOST_TEXT, hint: str = "Check the path.") -> str:
    """The content of a text file: UTF-8, with a byte order mark or without, or UTF-16 with one.

    Raises:
        InputError: as `read_bytes`.
        ValueError: the file is not text in such an encoding.
    """
    data = read_bytes(path, most, hint)
    return data.decode(encoding_of(data[:4]))


def open_text(path: Path, hint: str = "Check the path.", newline: str | None = None) -> TextIO:
    """A text file to read line by line, decoded as `read_text` does. Raises as `open_file`."""
    with open_file(path, hint) as stream:
        encoding = encoding_of(stream.read(4))
    return TextIOWrapper(open_buffered(path, hint), encoding=encoding, newline=newline)


class _Bounded(BufferedReader):
    """A buffered file that never reserves memory beyond its end: decoders ask for as much as a damaged file says."""

    def __init__(self, raw: RawIOBase) -> None:
        super().__init__(raw)
        self._end = self.seek(0, 2)
        self.seek(0)

    def read(self, size: int | None = -1, /) -> bytes:
        """At most `size` bytes, or all that are left."""
        left = max(0, self._end - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def open_buffered(path: Path, hint: str = "Check the path.") -> BinaryIO:
    """As `open_file`, with a buffer. No read reserves more memory than the file has bytes."""
    return _Bounded(open_file(path, hint))  # type: ignore[arg-type]


def encoding_of(start: bytes) -> str:
    """The encoding of a text whose first bytes are `start`."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), "utf-8")


def short(path: Path) -> str:
    """A path for a message. The middle of a very long one is left out."""
    text = str(path).replace("\0", "?")
    return text if len(text) <= 400 else f"{text[:200]}...{text[-150:]}"


def _refuse_others(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "no file")
        raise InputError(f"{short(path)} is {kind}, not a file.", "Give a file.")

"""Helpers of every writer. A file is written as a whole or not at all, and failures become plain errors."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bgs_engine.core.errors import InputError

MOST_JSON_BYTES = 1 << 28  # a label table of a million labels has about this many


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`. It is moved into place at the end of the block, and removed on any failure.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}.",
            "Choose another folder or free some disk space.",
        ) from None
    finally:
        if is_folder(partial):
            shutil.rmtree(partial, ignore_errors=True)
        else:
            with suppress(OSError):  # there is nothing to remove if the folder could not be made
                partial.unlink(missing_ok=True)


def replace_folder(partial: Path, final: Path) -> None:
    """Move a finished folder into place. An earlier one of that name is removed only after that."""
    old = final.with_name(f".{final.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.replace(old)
    try:
        partial.replace(final)
    except OSError:
        if old.exists():
            old.replace(final)
        raise
    shutil.rmtree(old, ignore_errors=True)


def is_file(path: Path) -> bool:
    """Whether there is such a file. No, instead of an error, for a path that the system cannot have."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder. No, instead of an error, for a path that the system cannot have."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: the file is missing, cannot be read, is not JSON, or is larger than any such file of ours.
    """
    try:
        size = path.stat().st_size
        if size > MOST_JSON_BYTES:
            raise InputError(f"{path.name} has {size:,} bytes, too many for such a file.", "Write it again.")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None
    except MemoryError:
        raise InputError(f"{path.name} does not fit into memory.", "Write it again.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} is not valid JSON ({error}).", "Write it again.") from None


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON, as a whole or not at all.

    Raises:
        InputError: the folder cannot be written or the disk is full.
    """
    with writing(path) as partial:
        partial.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_writable(folder: Path) -> None:
    """Check that a folder can be written, before the work begins and not after an hour.

    Raises:
        InputError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".bgs-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}.", "Choose another output folder.") from None

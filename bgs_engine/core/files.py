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
from bgs_engine.core.input_files import open_file, read_text


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
        if partial.is_dir():
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


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: the file is missing, cannot be read or is not JSON.
    """
    try:
        return json.loads(read_text(path))
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
    with open_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


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

"""The install folder. A new environment is made beside the one in use and takes its place when it works.

    FOLDER/current.txt      the name of the environment in use
    FOLDER/engine-XXXX/     an environment; one that current.txt does not name is unfinished or was replaced
    FOLDER/.bgs-engine      says that the folder is ours; locked while an installation runs

So a failed, cancelled or killed installation leaves the earlier engine as it is, and the next one begins anew.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

CURRENT = "current.txt"
MARK = ".bgs-engine"
PREFIX = "engine-"
MADE = "This folder was made by Install Engine.\n"
FOUND = "Install Engine keeps its environments here.\n"


def environment_python(folder: Path) -> Path:
    """The Python of the environment in an install folder, or of a folder that is an environment itself."""
    with suppress(OSError, UnicodeDecodeError):
        name = (folder / CURRENT).read_text(encoding="utf-8").strip()
        if name.startswith(PREFIX) and Path(name).name == name:
            folder = folder / name
    return python_in(folder)


def python_in(environment: Path) -> Path:
    """The path of the Python in a virtual environment."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def why_refused(folder: Path) -> str:
    """Why no environment is made in a folder, or nothing: something of the user's lies there."""
    if folder.exists() and not folder.is_dir():
        return f"{folder} is a file."
    if not folder.is_dir() or any((folder / name).is_file() for name in (MARK, "pyvenv.cfg")):
        return ""
    example = min((entry.name for entry in folder.iterdir()), default="")
    return f"{folder} holds other files, for example {example}." if example else ""


@contextmanager
def installing_in(folder: Path) -> Iterator[Path]:
    """A new empty folder for an environment, while no other installation runs in `folder`.

    The block calls `put_into_use` when the environment works. Without that its folder is removed at the end.

    Raises:
        BlockingIOError: another installation runs there.
        OSError: the folder cannot be written.
    """
    try:
        with _only_one(folder):
            _remove_unused(folder)
            new = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
            new.chmod(0o755)  # other users of this machine may run the engine, as they may any program
            try:
                yield new
            finally:
                _remove_unused(folder)
    finally:
        remove_unfinished(folder)


def put_into_use(folder: Path, environment: Path) -> None:
    """Make an environment the one in use. Until the last step of this the earlier one is.

    Raises:
        OSError: the folder cannot be written.
    """
    handle, path = tempfile.mkstemp(dir=folder, prefix=f"{MARK}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(environment.name + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        Path(path).chmod(0o644)
        Path(path).replace(folder / CURRENT)
    except OSError:
        Path(path).unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what an installation left that was cancelled or killed, unless another one runs."""
    if not (folder / MARK).is_file():
        return
    with suppress(OSError):
        with _only_one(folder):
            _remove_unused(folder)
            ours = (folder / MARK).read_text(encoding="utf-8") == MADE
            if (folder / CURRENT).is_file() or {entry.name for entry in folder.iterdir()} != {MARK}:
                return
            (folder / MARK).unlink()
        if ours:
            folder.rmdir()


def _remove_unused(folder: Path) -> None:
    used = environment_python(folder).parent.parent
    for entry in folder.glob(f"{PREFIX}*"):
        if entry != used and entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
    for entry in folder.glob(f"{MARK}-*"):
        entry.unlink(missing_ok=True)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder. The system gives it back when this process ends in any way."""
    made = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / MARK).open("a+", encoding="utf-8") as stream:
        _lock(stream)
        if stream.tell() == 0:
            stream.write(MADE if made else FOUND)
            stream.flush()
        yield


def _lock(stream: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        try:
            stream.seek(1 << 20)  # a byte behind the text, which others may read
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(*error.args) from None
        stream.seek(0, os.SEEK_END)
    else:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)

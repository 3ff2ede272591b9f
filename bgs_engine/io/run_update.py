"""Replaces several files of a run folder together: after a kill at any moment, the next reader finds all or none new.

The new files are written to `.update.partial` in the run folder and brought to the disk. Renaming that folder to
`.update` is the moment from which they count. Then each file moves to its place. `finish_update` mends what a kill
left: it removes a `.update.partial`, and it goes on with the moves of a `.update`.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bgs_engine.core.errors import BgsError, InputError
from bgs_engine.core.files import read_json
from bgs_engine.io.job_lock import only_writer

PARTIAL, COMPLETE = ".update.partial", ".update"
RUN_INFO = "run.json"
# Files that may be replaced. Everything else in `.update` is not from us, and is removed with it.
UPDATED = ("codes.npy", "labels.json", "scene.ply", "codes_engine.npy", "labels_engine.json", RUN_INFO)
WAIT_SECONDS = 10.0  # longest wait of a reader for a writer that is moving files, which takes milliseconds


@contextmanager
def updating(folder: Path) -> Iterator[Path]:
    """A folder for new versions of files of the run `folder`. They take their places together at the end of the block.

    The caller holds the lock on the folder (`only_writer`) and writes a `run.json` among the files.

    Raises:
        InputError: the folder cannot be written or the disk is full. The files are as they were.
    """
    finish_update(folder)
    partial = folder / PARTIAL
    try:
        partial.mkdir()
        yield partial
        for file in sorted(partial.iterdir()):
            _to_disk(file)
        _to_disk(partial)
        partial.replace(folder / COMPLETE)
        _to_disk(folder)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror or error}.", "Free some disk space, or check its permissions."
        ) from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    finish_update(folder)


def finish_update(folder: Path) -> None:
    """Complete or remove what a killed writer left. The caller holds the lock on the folder.

    An update that belongs to another run is removed: a later run has taken the place of the run that it was for.

    Raises:
        InputError: a file cannot be moved. The next call tries again.
    """
    complete = folder / COMPLETE
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    if not os.path.lexists(complete):
        return
    try:
        if complete.is_symlink() or not complete.is_dir():
            complete.unlink()
            return
        # run.json moves last, so an update without it has moved all other files.
        if (complete / RUN_INFO).is_file() and _run_id(complete) == _run_id(folder):
            for name in UPDATED:
                if (complete / name).is_file():
                    (complete / name).replace(folder / name)
            _to_disk(folder)
        shutil.rmtree(complete)
        _to_disk(folder)
    except OSError as error:
        raise InputError(
            f"{folder} holds labels that were not saved completely, and it cannot be written: "
            f"{error.strerror or error}.",
            "Close programs that use it, and check its permissions.",
        ) from None


def mend(folder: Path) -> None:
    """Put right what a killed writer left. For readers, which do not hold the lock.

    Raises:
        UsageError: another job writes there.
        InputError: the folder cannot be written.
    """
    folder = Path(os.path.realpath(folder))
    if os.path.lexists(folder / COMPLETE):
        with only_writer(folder, WAIT_SECONDS):
            finish_update(folder)
    elif os.path.lexists(folder / PARTIAL):
        # It changes nothing for a reader. If a writer is at work there, the lock says so.
        with suppress(BgsError), only_writer(folder):
            finish_update(folder)


def _run_id(folder: Path) -> object:
    try:
        info = read_json(folder / RUN_INFO)
    except InputError:
        return None
    return info.get("id") if isinstance(info, dict) else None


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Not every system has such a call for folders."""
    if path.is_dir():
        with suppress(OSError):
            _sync(path, os.O_RDONLY)
    else:
        _sync(path, os.O_RDWR)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

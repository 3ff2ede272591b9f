"""Replaces several files of a run folder together: after a kill at any moment, the next reader finds all or none new.

The new files are written to `.update.partial` in the run folder and brought to the disk. Renaming that folder to
`.update` is the moment from which they count. Then each file moves to its place. `finish_update` mends what a kill
left: it removes a `.update.partial`, and it goes on with the moves of a `.update`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bgs_engine.core import disk
from bgs_engine.core.errors import BgsError, InputError, OutputError
from bgs_engine.core.files import cannot_write, read_json
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
        OutputError: the folder cannot be written or the disk is full. The files are as they were.
    """
    finish_update(folder)
    partial = folder / PARTIAL
    try:
        disk.make_folder(partial)
        yield partial  # whoever writes there brings each file to the disk (`core.files.writing`)
        disk.sync_folder(partial)
        disk.move(partial, folder / COMPLETE)
        disk.sync_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    finally:
        disk.discard(partial)
    finish_update(folder)


def finish_update(folder: Path) -> None:
    """Complete or remove what a killed writer left. The caller holds the lock on the folder.

    An update that belongs to another run is removed: a later run has taken the place of the run that it was for.

    Raises:
        OutputError: a file cannot be moved. The next call tries again.
    """
    complete = folder / COMPLETE
    disk.discard(folder / PARTIAL)
    if not os.path.lexists(complete):
        return
    try:
        if complete.is_symlink() or not complete.is_dir():
            disk.remove_file(complete)
            return
        # run.json moves last, so an update without it has moved all other files.
        if (complete / RUN_INFO).is_file() and _run_id(complete) == _run_id(folder):
            for name in UPDATED:
                if (complete / name).is_file():
                    disk.move(complete / name, folder / name)
            disk.sync_folder(folder)
        disk.remove_tree(complete)
        disk.sync_folder(folder)
    except OSError as error:
        raise OutputError(
            f"{folder} holds labels that were not saved completely, and it cannot be written: "
            f"{error.strerror or error}.",
            "Close programs that use it, and check its permissions.",
        ) from None


def mend(folder: Path) -> None:
    """Put right what a killed writer left. For readers, which do not hold the lock.

    Raises:
        UsageError: another job writes there.
        OutputError: the folder cannot be written.
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

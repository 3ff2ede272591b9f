"""Several files of one folder that belong together are replaced together, even if the job is killed in between.

The new files are written to the hidden folder `.NAME.partial`. When all are whole and on the disk, it is renamed to
`.NAME.ready`. From this moment the new files count. They are then moved into place one by one, and those that they
replace are removed. `complete` finishes this after a kill. Whoever reads or writes such files calls it first.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from bgs_engine.core import disk
from bgs_engine.core.errors import UsageError
from bgs_engine.core.files import cannot_write

_REMOVED = "removed.json"  # in the folder that is ready: names of files that go


@dataclass(frozen=True)
class FileSet:
    """Files on their way. `folder`: where to write them, under their final names. `gone`: names of files to remove."""

    folder: Path
    gone: set[str] = field(default_factory=set)


def files_below(folder: Path) -> list[str]:
    """Paths of all files and links below a folder, relative to it, with forward slashes, sorted."""
    found = []
    for where, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        found += [(Path(where) / name).relative_to(folder).as_posix() for name in (*names, *links)]
    return sorted(found)


def is_ready(folder: Path, name: str) -> bool:
    """Whether a killed job has left files of a set that are still to be moved into place."""
    ready = _ready(folder, name)
    return ready.is_dir() and not ready.is_symlink()


def check_places(folder: Path, names: tuple[str, ...]) -> None:
    """Check that sub-folders lie on the disk of `folder`, so that files can be moved into them.

    Raises:
        UsageError: one of them is a link, or another disk is mounted there.
    """
    for name in names:
        place = folder / name
        if place.is_symlink() or os.path.ismount(place):
            kind = "a link" if place.is_symlink() else "a mounted disk"
            raise UsageError(f"{place} is {kind}: files cannot be moved into it.", "Make it a plain folder.")


@contextmanager
def replacing(folder: Path, name: str) -> Iterator[FileSet]:
    """Write files in the block; at its end they take their places in `folder`. A failure before leaves all as it was.

    Args:
        folder: the folder of the files.
        name: of the set, a different one for each kind of set in a folder.

    Raises:
        OutputError: a file cannot be written or moved. `complete` finishes the moves.
    """
    partial, ready = folder / f".{name}.partial", _ready(folder, name)
    complete(folder, name)
    try:
        disk.remove_tree(partial)
        disk.make_folder(partial)
        new = FileSet(partial)
        try:
            yield new
            with disk.NewFile(partial / _REMOVED) as stream:
                stream.write(json.dumps(sorted(new.gone - set(files_below(partial)))).encode("utf-8"))
                stream.sync()
            disk.sync_folders(partial)
            disk.move(partial, ready)
        except BaseException:
            disk.discard(partial)
            raise
        disk.sync_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    complete(folder, name)


def complete(folder: Path, name: str) -> None:
    """Finish moving the files of a set that is ready; nothing to do where there is none.

    Raises:
        UsageError: a link leads a file out of the folder, as in a dataset that somebody made to do harm.
        OutputError: a file cannot be moved. It is tried again the next time.
    """
    if not is_ready(folder, name):
        return
    ready = _ready(folder, name)
    try:
        gone = _removed(ready)
        _refuse_links_out(folder, {*files_below(ready), *gone})
        for file in files_below(ready):
            if file == _REMOVED:
                continue
            disk.make_folder((folder / file).parent)
            with suppress(FileNotFoundError):  # another program finishes it at this moment
                disk.move(ready / file, folder / file)
        for file in sorted(gone):
            disk.remove_file(folder / file)
            above = (folder / file).parent
            if above != folder and above.is_dir() and not any(above.iterdir()):
                disk.remove_folder(above)
        disk.remove_tree(ready)
        disk.sync_folder(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _refuse_links_out(folder: Path, names: set[str]) -> None:
    root = Path(os.path.realpath(folder))
    for above in sorted({(folder / name).parent for name in names}):
        if not Path(os.path.realpath(above)).is_relative_to(root):
            raise UsageError(f"{above} is a link that leads out of {folder}.", "Make it a plain folder.")


def _ready(folder: Path, name: str) -> Path:
    return folder / f".{name}.ready"


def _removed(ready: Path) -> set[str]:
    """Names of files to remove, none that leads out of the folder."""
    try:
        names = json.loads((ready / _REMOVED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    paths = [PurePosixPath(name) for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return {path.as_posix() for path in paths if path.parts and not path.is_absolute() and ".." not in path.parts}

"""Where a job may write: refuse, before any work, a place that holds something of the user's.

A run may go into a new folder, an empty one, or an earlier run. Of an earlier run only its own files are replaced. They
are known by name: `run.json` lists them. Whatever else lies in the folder stays there.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.files import check_writable, is_file, read_json
from bgs_engine.io.run_update import finish_update

RUN_INFO = "run.json"
# Files of a run that no list names: those of runs written before there was one, and those that Blender adds later.
KNOWN_FILES = frozenset(
    {
        RUN_INFO, "codes.npy", "opacity.npy", "confidence.npy", "labels.json", "scene.ply", "events.jsonl",
        "engine.log", "checkpoint.npz", "codes_engine.npy", "labels_engine.json",
    }
)  # fmt: skip
KNOWN_FOLDERS = ("preview", "dataset/images", "dataset/masks", "dataset/preview")
KNOWN_IN_DATASET = frozenset({"dataset/transforms.json"})
ELSEWHERE = "Choose a new or empty folder with -o."


def partial_folder(folder: Path) -> Path:
    """Where a running job keeps its files until they are whole."""
    return folder.with_name(f".{folder.name}.partial")


def old_folder(folder: Path) -> Path:
    """Where an earlier run waits while the new one is moved into its place."""
    return folder.with_name(f".{folder.name}.old")


def checked_run_place(out: Path, inputs: Iterable[Path]) -> Path:
    """The folder that a run will be written to, links and `..` resolved; nothing is changed.

    Args:
        out: what the user gave.
        inputs: files and folders that the job reads.

    Raises:
        UsageError: the place is no folder for a run, or something of the user's lies there.
        InputError: it cannot be written.
    """
    if not str(out).strip():
        raise UsageError("No output folder is given.", ELSEWHERE)
    place = Path(os.path.realpath(out))
    if place == Path(place.anchor) or not place.name:
        raise UsageError(f"{place} is a whole disk.", ELSEWHERE)
    if place.exists() and not place.is_dir():
        raise UsageError(f"{out} is a file.", "Give a folder for the run with -o.")
    if os.path.ismount(place):
        raise UsageError(f"{place} is a mounted disk: a run cannot take its place.", "Give a folder inside it with -o.")
    for source in inputs:
        real = Path(os.path.realpath(source))
        if real == place or (real.is_relative_to(place) and not _is_own(place, real)):
            raise UsageError(f"{out} holds {source}, which this job reads.", ELSEWHERE)
    if place.is_dir() and any(place.iterdir()) and not is_run_folder(place):
        example = min(entry.name for entry in place.iterdir())
        raise UsageError(f"{out} holds files that no run has written, for example {example}.", ELSEWHERE)
    check_writable(place.parent)
    return place


def is_run_folder(folder: Path) -> bool:
    """Whether a folder holds a run: its facts and its codes."""
    return is_file(folder / RUN_INFO) and is_file(folder / "codes.npy")


def files_below(folder: Path) -> list[str]:
    """Paths of all files and links below a folder, relative to it, with forward slashes, sorted."""
    found = []
    for where, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        found += [(Path(where) / name).relative_to(folder).as_posix() for name in (*names, *links)]
    return sorted(found)


def own_files(run: Path) -> set[str]:
    """Files of a run that we wrote, as `files_below` names them: those its list names, and the known ones."""
    info: Any = None
    with suppress(InputError):
        info = read_json(run / RUN_INFO)
    listed = info.get("files", ()) if isinstance(info, dict) else ()
    named = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    return {
        name for name in files_below(run) if name in named or (not named and _is_known(name)) or name in KNOWN_FILES
    }


def _is_known(name: str) -> bool:
    """Whether a run without a list of its files would have written this one."""
    parent = name.rpartition("/")[0]
    picture = name.endswith((".png", ".jpg"))
    below = any(parent == folder or parent.startswith(f"{folder}/") for folder in KNOWN_FOLDERS)
    return name in KNOWN_FILES or name in KNOWN_IN_DATASET or (picture and below)


def _is_own(place: Path, source: Path) -> bool:
    """Whether an input is the splat of an earlier run in that place: a run keeps it, so it may be segmented again."""
    return source == place / "scene.ply" and is_run_folder(place)


def move_into_place(partial: Path, final: Path) -> None:
    """Put a finished folder in the place of an earlier run; what else lies there is kept.

    The earlier folder steps aside as a whole, so a complete result is there at any moment but one between two renames.
    `recover` puts right what a kill at that moment leaves.

    Raises:
        OSError: a move failed; the earlier folder is back in its place.
    """
    old = old_folder(final)
    recover(final)
    if final.exists():
        final.replace(old)
    try:
        partial.replace(final)
    except OSError:
        if old.exists():
            old.replace(final)
        raise
    _empty_old(old, final)


def recover(final: Path) -> None:
    """Put right what a job left that was killed while it moved its result or changed labels into place.

    The earlier run stands aside and nothing is in its place: it goes back. Both are there: files that are not of the
    earlier run go to the new one, and the earlier run goes.
    """
    old = old_folder(final)
    if old.is_dir():
        if final.exists():
            _empty_old(old, final)
        else:
            old.replace(final)
    if is_run_folder(final):
        finish_update(final)


def _empty_old(old: Path, final: Path) -> None:
    """Remove an earlier run's own files; move all others to the new run."""
    if not old.is_dir():
        return
    own = own_files(old) if is_run_folder(old) or not files_below(old) else set()
    for name in files_below(old):
        source, target = old / name, final / name
        if name in own:
            source.unlink()
            continue
        if os.path.lexists(target):
            target = _free_name(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
    for where, _, _ in os.walk(old, topdown=False):
        with suppress(OSError):
            Path(where).rmdir()


def _free_name(path: Path) -> Path:
    """A name beside `path` that nothing has: `name (2).ext`."""
    return next(p for p in _numbered(path) if not os.path.lexists(p))


def _numbered(path: Path) -> Iterator[Path]:
    number = 2
    while True:
        yield path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1

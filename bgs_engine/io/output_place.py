"""Where a job may write: refuse, before any work, a place that holds something of the user's.

A run may go into a new folder, an empty one, or an earlier run; a made scene likewise. Of an earlier one only its own
files are replaced. They are known by name: its marker (`run.json`) lists them. Whatever else lies in the folder stays
there.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgs_engine.core import disk
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.file_set import files_below
from bgs_engine.core.files import PARTIAL_SUFFIX, PROBE, check_writable, read_json
from bgs_engine.core.input_files import is_file
from bgs_engine.io.run_update import finish_update

RUN_INFO = "run.json"
# Files of a run that no list names: those of runs written before there was one, and those that Blender adds later.
KNOWN_FILES = frozenset(
    {
        RUN_INFO, "codes.npy", "opacity.npy", "confidence.npy", "labels.json", "scene.ply", "events.jsonl",
        "engine.log", "checkpoint.npz", "codes_engine.npy", "labels_engine.json",
    }
)  # fmt: skip
EMBEDDINGS_FOLDER = "embeddings"  # features of the run's views, which sessions of clicks keep and no list names
_EMBEDDING = re.compile(rf"{EMBEDDINGS_FOLDER}/\.?[0-9a-f]{{32}}\.npz({re.escape(PARTIAL_SUFFIX)})?")
KNOWN_FOLDERS = ("preview", "dataset/images", "dataset/masks", "dataset/preview")
KNOWN_IN_DATASET = frozenset({"dataset/transforms.json"})
ELSEWHERE = "Choose a new or empty folder with -o."
READY = ".ready"
_LEFT_BY_KILLS = (".lock", ".owner.json", ".partial", PARTIAL_SUFFIX, READY)  # ends of hidden names


@dataclass(frozen=True)
class FolderKind:
    """A kind of folder that is written as a whole.

    name: with its article. marker: the JSON file that tells it and lists its `files`. needed: further files that it
    always has. known: whether a folder without a list has written a file of this name. always: files that are its own
    even if the list does not name them. later: whether a file of this name is written after the list was.
    """

    name: str
    marker: str
    needed: tuple[str, ...]
    known: Callable[[str], bool]
    always: frozenset[str] = frozenset()
    later: Callable[[str], bool] = lambda name: False

    def is_at(self, folder: Path) -> bool:
        """Whether a folder is of this kind."""
        return all(is_file(folder / name) for name in (self.marker, *self.needed))

    def own_files(self, folder: Path) -> set[str]:
        """Files of such a folder that we wrote, as `files_below` names them."""
        info: Any = None
        with suppress(InputError):
            info = read_json(folder / self.marker)
        listed = info.get("files", ()) if isinstance(info, dict) else ()
        named = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
        always = {self.marker, *self.always}
        always |= {PROBE, *(f".{name}{PARTIAL_SUFFIX}" for name in always)}  # unfinished ones, of jobs that were killed
        return {
            name
            for name in files_below(folder)
            if name in named or (not named and self.known(name)) or name in always or self.later(name)
        }


def _known_in_runs(name: str) -> bool:
    parent = name.rpartition("/")[0]
    picture = name.endswith((".png", ".jpg"))
    below = any(parent == folder or parent.startswith(f"{folder}/") for folder in KNOWN_FOLDERS)
    return name in KNOWN_FILES or name in KNOWN_IN_DATASET or (picture and below)


def _is_embedding(name: str) -> bool:
    return _EMBEDDING.fullmatch(name) is not None


RUN = FolderKind("run", RUN_INFO, ("codes.npy",), _known_in_runs, KNOWN_FILES, _is_embedding)


def partial_folder(folder: Path) -> Path:
    """Where a running job keeps its files until they are whole."""
    return folder.with_name(f".{folder.name}.partial")


def old_folder(folder: Path) -> Path:
    """Where an earlier run waits while the new one is moved into its place."""
    return folder.with_name(f".{folder.name}.old")


def checked_place(out: Path, inputs: Iterable[Path], kind: FolderKind) -> Path:
    """The folder that a result will be written to, links and `..` resolved. Folders above it are made.

    Args:
        out: what the user gave.
        inputs: files and folders that the job reads.
        kind: of folder that will be written.

    Raises:
        UsageError: the place is no folder for such a result, or something of the user's lies there.
        OutputError: it cannot be written.
    """
    if not str(out).strip():
        raise UsageError("No output folder is given.", ELSEWHERE)
    place = Path(os.path.realpath(out))
    if place == Path(place.anchor) or not place.name:
        raise UsageError(f"{place} is a whole disk.", ELSEWHERE)
    if place.exists() and not place.is_dir():
        raise UsageError(f"{out} is a file.", f"Give a folder for the {kind.name} with -o.")
    if os.path.ismount(place):
        raise UsageError(
            f"{place} is a mounted disk: a {kind.name} cannot take its place.", "Give a folder inside it with -o."
        )
    for source in inputs:
        real = Path(os.path.realpath(source))
        if real == place or (real.is_relative_to(place) and not _is_own(place, real)):
            raise UsageError(f"{out} holds {source}, which this job reads.", ELSEWHERE)
    if place.is_dir() and not kind.is_at(place):
        theirs = sorted(entry.name for entry in place.iterdir() if not _is_left_by_kill(entry.name))
        if theirs:
            raise UsageError(f"{out} holds files that no {kind.name} has written, for example {theirs[0]}.", ELSEWHERE)
    check_writable(place.parent)
    if place.is_dir():
        check_writable(place)
    return place


def checked_run_place(out: Path, inputs: Iterable[Path]) -> Path:
    """`checked_place` of a run."""
    return checked_place(out, inputs, RUN)


def is_run_folder(folder: Path) -> bool:
    """Whether a folder holds a run: its facts and its codes."""
    return RUN.is_at(folder)


def remove_leftovers(folder: Path) -> None:
    """Remove the unfinished files that a killed job left below a folder in which all files are ours.

    A set of files that is ready stays: `core.file_set.complete` moves it into place.

    Raises:
        OSError: one cannot be removed.
    """
    for where, folders, names in os.walk(folder):
        left = [name for name in (*folders, *names) if _is_left_by_kill(name) and not name.endswith(READY)]
        folders[:] = [name for name in folders if name not in left]
        for name in left:
            disk.remove_tree(Path(where) / name)


def _is_left_by_kill(name: str) -> bool:
    return name == PROBE or (name.startswith(".") and name.endswith(_LEFT_BY_KILLS))


def _is_own(place: Path, source: Path) -> bool:
    """Whether an input is the splat of an earlier run in that place: a run keeps it, so it may be segmented again."""
    return source == place / "scene.ply" and is_run_folder(place)


def move_into_place(partial: Path, final: Path, kind: FolderKind = RUN) -> None:
    """Put a finished folder in the place of an earlier one; what else lies there is kept.

    The files must be on the disk (`core.files.writing` sees to it). The earlier folder steps aside as a whole, so a
    complete result is there at any moment but one between two renames. `recover` puts right what a kill leaves.

    Raises:
        OSError: a move failed. The earlier folder is back in its place, or `recover` will put it there.
    """
    old = old_folder(final)
    recover(final, kind)
    disk.sync_folders(partial)
    if final.exists():
        disk.move(final, old)
    try:
        disk.move(partial, final)
    except OSError:
        if old.exists():
            with suppress(OSError):  # the first failure is the one to report
                disk.move(old, final)
        raise
    disk.sync_folder(final.parent)
    _empty_old(old, final, kind)


def recover(final: Path, kind: FolderKind = RUN) -> None:
    """Put right what a job left that was killed while it moved its result or changed labels into place.

    The earlier folder stands aside and nothing is in its place: it goes back. Both are there: files that are not of
    the earlier result go to the new one, and the earlier result goes.

    Raises:
        OSError: a file cannot be moved or removed.
    """
    old = old_folder(final)
    if old.is_dir():
        if final.exists():
            _empty_old(old, final, kind)
        else:
            disk.move(old, final)
    if kind is RUN and RUN.is_at(final):
        finish_update(final)


def _empty_old(old: Path, final: Path, kind: FolderKind) -> None:
    """Move all files that are not of the earlier result to the new one, then remove the earlier result.

    The marker goes last: as long as it is there, a second attempt tells the two kinds of files apart.
    """
    if not old.is_dir():
        return
    own = kind.own_files(old)
    for name in files_below(old):
        if name in own:
            continue
        target = final / name
        if os.path.lexists(target):
            target = _free_name(target)
        disk.make_folder(target.parent)
        disk.move(old / name, target)
    for name in sorted(own, key=lambda name: (name == kind.marker, name)):
        disk.remove_file(old / name)
    for where, _, _ in os.walk(old, topdown=False):
        disk.remove_folder(Path(where))


def _free_name(path: Path) -> Path:
    """A name beside `path` that nothing has: `name (2).ext`."""
    return next(p for p in _numbered(path) if not os.path.lexists(p))


def _numbered(path: Path) -> Iterator[Path]:
    number = 2
    while True:
        yield path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1

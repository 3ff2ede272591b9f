"""Writes an animation as a sequence of files, one for each frame: walk.0001.ply, walk.0002.ply and so on.

The files are written to a hidden folder and take their places together, so a sequence that was cancelled or failed
leaves nothing behind and replaces nothing.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import bpy
from bgs_engine.core.errors import BgsError, UsageError
from bgs_engine.core.file_set import replacing
from bgs_engine.core.files import check_writable
from bgs_engine.formats.format import Format
from bgs_engine.formats.read import missing_packages

from ..cloud.scene_frames import frame_range, go_to, kept_frame
from ..cloud.typed import SplatScene
from ..interface.operator_base import counted
from ..logic.frame_numbers import ending_of, file_of_frame
from .blend_file import refuse_inputs

CHOICES = (
    ("CURRENT", "Current Frame", "One file, as the scene is now"),
    ("RANGE", "Scene Range", "A file for each frame of the scene's range: NAME.0001.ply and so on"),
)


def refuse(path: Path, one: Format, what: str) -> None:
    """Refuse what is no sequence of files.

    Args:
        path: the name of the sequence.
        one: its format.
        what: of `export_choice.CHOICES`.

    Raises:
        UsageError: the choice has no animation, or files of this format have no numbers or are written by the engine.
    """
    if what == "SOURCE":
        raise UsageError("A splat as imported has no animation.", "Choose Whole Splat, or Current Frame.")
    if not ending_of(path).startswith("."):
        raise UsageError(f"{path.name} is a name that only one file can have.", "Choose another format or name.")
    if missing_packages(one):
        raise UsageError(
            f"Blender lacks packages of {one.name}, so it writes no sequence of it.",
            "Write PLY files, and convert each with bgs convert.",
        )


def frames_to_write(scene: SplatScene) -> tuple[int, ...]:
    """The frame numbers of the scene's range.

    Raises:
        UsageError: there are none.
    """
    found = frame_range(scene)
    if not found:
        raise UsageError("The scene's frame range is empty.", "Set its start and end in the Output properties.")
    return found


def check_files(path: Path, numbers: Sequence[int], inputs: Sequence[Path], replace: bool) -> None:
    """Check that the files of a sequence can be written, before any is.

    Raises:
        UsageError: one of them is an input, or is there already and must not be replaced.
        OutputError: the folder cannot be written.
    """
    check_writable(path.parent)
    for number in numbers:
        file = file_of_frame(path, number)
        refuse_inputs(file, inputs)
        if os.path.lexists(file) and not replace:
            raise UsageError(f"{file.name} is there already.", "Choose another name, or tick Replace Files.")


def write_sequence(
    scene: SplatScene, numbers: Sequence[int], path: Path, write: Callable[[Path], object]
) -> Iterator[int]:
    """Write one file for each frame, and yield how many are written after each. The files are there after the last.

    Close the iterator to cancel. The scene is back at its frame afterwards.

    Args:
        scene: it goes to each frame.
        numbers: of the frames.
        path: the name of the sequence, with the suffix of its files.
        write: writes what the scene shows in its present frame to a file.

    Raises:
        BgsError: what `write` raises; the sentence says in which frame.
        OutputError: the files cannot be moved into place.
    """
    with kept_frame(scene), replacing(path.parent, f"{path.stem}-frames") as new:
        for done, number in enumerate(numbers, 1):
            go_to(scene, number)
            bpy.context.view_layer.update()
            try:
                write(file_of_frame(new.folder / path.name, number))
            except BgsError as error:
                raise type(error)(f"Frame {number}: {error.message}", error.hint) from None
            yield done


def said(path: Path, numbers: Sequence[int]) -> str:
    """The sentence for the end."""
    return f"{counted(len(numbers), 'file')} written, {file_of_frame(path, numbers[0]).name} and on"


def write_all(steps: Iterator[int]) -> None:
    """Write a sequence to its end."""
    with closing(steps):  # type: ignore[type-var]
        for _ in steps:
            pass

"""Opens and saves .blend files, and checks outputs before the work begins. Failures become plain errors."""

import os
from collections.abc import Sequence
from pathlib import Path

import bpy
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.files import check_writable
from bgs_engine.core.input_files import is_file, is_folder


def open_blend(path: Path) -> None:
    """Open a .blend in place of the present file.

    Raises:
        InputError: the file is missing, damaged or no .blend.
    """
    if not is_file(path):
        raise InputError(f"{path} cannot be read: no such file.", "Check the path.")
    try:
        opened = bpy.ops.wm.open_mainfile(filepath=os.path.realpath(path))
    except RuntimeError as error:
        raise InputError(f"{path} cannot be opened: {reason_of(error)}", "Check that it is a .blend.") from None
    if opened != {"FINISHED"}:
        raise InputError(f"{path} cannot be opened.", "Check that it is a .blend.")


def save_blend(path: Path) -> None:
    """Save the present file as a .blend.

    Raises:
        InputError: it cannot be written.
    """
    check_writable(path.parent)
    try:
        bpy.ops.wm.save_as_mainfile(filepath=os.path.realpath(path), compress=True)
    except RuntimeError as error:
        raise InputError(f"{path} cannot be written: {reason_of(error)}", "Choose another folder.") from None


def check_output(path: Path, inputs: Sequence[Path], suffix: str = "") -> None:
    """Check that a file can be written, and that it is not one of the files that the command reads.

    Args:
        path: the file to write.
        inputs: files that the command reads, or that its splats came from. They may be missing.
        suffix: how the name must end, for example ".blend"; "" means anything.

    Raises:
        UsageError: the path is a folder, an input, or has another ending.
        InputError: its folder cannot be written.
    """
    if suffix and path.suffix.lower() != suffix:
        raise UsageError(f"{path} does not end in {suffix}.", f"Give a {suffix} file with -o.")
    refuse_inputs(path, inputs)
    if is_folder(path):
        raise UsageError(f"{path} is a folder.", f"Give a {suffix or 'file'} with -o.")
    check_writable(path.parent)
    try:
        writable = not path.exists() or os.access(path, os.W_OK)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.", "Choose another name.") from None
    if not writable:
        raise InputError(f"{path} cannot be written: it is protected.", "Choose another name.")


def refuse_inputs(path: Path, inputs: Sequence[Path]) -> None:
    """Refuse to write a file over one that the command reads.

    Raises:
        UsageError: `path` is one of the inputs.
    """
    real = os.path.realpath(path)
    for source in inputs:
        if os.path.realpath(source) == real or _same_file(source, path):
            raise UsageError(f"{path} is a file that this command reads.", "Choose another output with -o.")


def check_folder(path: Path) -> None:
    """Check that files can be written into a folder. It is made if it is missing.

    Raises:
        UsageError: the path is a file.
        InputError: the folder cannot be written.
    """
    if os.path.lexists(path) and not is_folder(path):
        raise UsageError(f"{path} is a file.", "Give a folder with -o.")
    check_writable(path)


def reason_of(error: Exception) -> str:
    """The first sentence of an error of a Blender operator or the system, without its prefix."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0].removeprefix("Error:").strip() if lines else "Blender does not say why"
    return reason if reason.endswith(".") else f"{reason}."


def _same_file(a: Path, b: Path) -> bool:
    """Whether two paths are one file, also under two names. A missing file is none."""
    try:
        return a.samefile(b)
    except (OSError, ValueError):
        return False

"""Writes a splat in any format: by the ending of the file."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.core.codes import CODE_BYTE_NAMES, CODE_INT_NAME
from bgs_engine.core.errors import UsageError
from bgs_engine.core.input_files import is_folder
from bgs_engine.formats.format import Format
from bgs_engine.formats.labels_file import labels_file_of, remove_labels_file, write_labels_file
from bgs_engine.formats.raw_splat import RawSplat, SplatLabels
from bgs_engine.formats.read import PLY, by_name, check_packages, endings
from bgs_engine.io.ply import SPLAT_PROPERTIES, SplatPly, write_ply
from bgs_engine.io.ply_rows import convert_rows, row_dtype
from bgs_engine.io.run_folder import is_run_folder, write_coded_ply

FAR = "This format has 32-bit positions, which are {step:.3g} units apart so far from the origin; a PLY keeps them."
MOVED = "The splat lies far from the origin. The file has it at the origin: it was moved by {}, {}, {}."
PLAIN_COLORS = {"red", "green", "blue"}
_OF_EVERY_SPLAT = {*SPLAT_PROPERTIES, "nx", "ny", "nz", *CODE_BYTE_NAMES, CODE_INT_NAME}  # normals are all 0


@dataclass(frozen=True)
class Written:
    """What was written: the format, the labels file beside the splat, None if there is none, and its Gaussians."""

    format: Format
    labels_file: Path | None
    gaussians: int  # fewer than the splat has where a format leaves out those that cannot be drawn


def format_to_write(path: Path, here: bool = True) -> Format:
    """The format for a new file, by its ending. here: whether this very Python shall write it.

    Raises:
        UsageError: no format that can be written has this ending.
        EnvironmentLacksError: the format needs a package that is missing.
    """
    found = by_name(path.name)
    if found is None or (found is not PLY and found.write is None):
        what = f"{found.name} can be read but not written" if found else f"{path.name} has no ending of a splat format"
        raise UsageError(f"{what}.", f"These can be written: {', '.join(endings(written=True))}.")
    if here:
        check_packages(found, path.name)
    return found


def refuse_target(path: Path, source: Path | None) -> None:
    """Raise `UsageError` where a new file would take the place of its own source, of a run's splat or of a folder."""
    if is_folder(path):
        raise UsageError(f"{path} is a folder.", "Give the name of a file.")
    if source is not None and os.path.realpath(path) == os.path.realpath(source):
        raise UsageError(f"{path.name} is the file that is read.", "Give the new file another name.")
    if is_folder(labels_file_of(path)):
        raise UsageError(f"{labels_file_of(path)} is a folder.", "Its name is that of a labels file: rename it.")
    if path.name.lower() == "scene.ply" and is_run_folder(path.parent):
        raise UsageError(f"{path} is the splat of a run: the run needs it as it is.", "Choose another name.")


def write_splat(path: Path, ply: SplatPly, labels: SplatLabels | None, named: bool = True) -> Written:
    """Write a splat in the format of the ending of `path`, with its labels: in the file, or in one beside it.

    A PLY gets every property of `ply`, and the codes.

    Args:
        path: the new file. An earlier one is replaced when the new one is whole.
        ply: the rows.
        labels: in the order of the rows; None: none.
        named: whether the label table says more than the codes do. A PLY has codes itself, so it gets a labels file
            for such a table only.

    Raises:
        UsageError: no format that can be written has this ending.
        EnvironmentLacksError: the format needs a package that is missing.
        InputError: the rows can no longer be read, or the file cannot be written.
    """
    one = format_to_write(path)
    gaussians = ply.count
    if one is PLY:
        if labels is None:
            dtype = row_dtype(ply, ())
            chunks = (rows if rows.dtype == dtype else convert_rows(rows, dtype) for _, rows in ply.chunks())
            write_ply(path, dtype, chunks, ply.count, ply.comments)
        else:
            write_coded_ply(path, ply, labels.codes)
        beside = labels if named else None
    else:
        assert one.write is not None
        order = one.write(path, RawSplat.of_ply(ply, labels))
        gaussians = ply.count if order is None else len(order)
        beside = None if one.keeps_labels else labels
        if beside is not None and order is not None:
            beside = beside.take(np.asarray(order))
    if beside is None:
        remove_labels_file(path)  # of an earlier file of this name
        return Written(one, None, gaussians)
    return Written(one, write_labels_file(path, beside), gaussians)


def losses(one: Format, ply: SplatPly) -> str:
    """What a file of this format does not keep of the splat, in sentences."""
    said = [one.loses]
    if one is PLY:
        return one.loses
    known = _OF_EVERY_SPLAT | (PLAIN_COLORS if "f_dc_0" in ply.added else set())  # those are kept as f_dc
    more = [name for name in ply.names if name not in known and not name.startswith("f_rest_")]
    if more:
        said.append(f"Properties that only a PLY keeps are left out: {', '.join(more)}.")
    if ply.offset.any() and not one.keeps_place:
        said.append(MOVED.format(*(f"{int(-place):,}" for place in ply.offset)))
    elif ply.offset.any() and not one.keeps_offset:
        said.append(FAR.format(step=float(np.spacing(np.float32(np.abs(ply.offset).max())))))
    return " ".join(said)

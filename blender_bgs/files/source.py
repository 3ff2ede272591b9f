"""Tells whether a splat file still has the Gaussians that a cloud was imported from."""

import hashlib
from pathlib import Path

import numpy as np
from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.core.input_files import is_file
from bgs_engine.formats.read import open_rows
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.run_folder import positions_sha256

from ..cloud import pivot, point_clouds
from ..cloud.typed import SplatObject
from ..logic.attributes import RAW_POSITION, ROW, clean_position


def is_source(obj: SplatObject, path: Path) -> bool:
    """Whether `bgs_row` of the cloud's points are rows of this file: same Gaussians, same order.

    A cloud of an older version has no mark. Its points must then lie where the rows of the file are.

    Raises:
        InputError: the file can no longer be read.
        EnvironmentLacksError: Blender cannot read its format, and the file was written to since the import.
    """
    rows = point_clouds.get_column(obj.data, ROW)
    if rows is None or not len(rows) or rows.min() < 0:
        return False
    state = state_of(path)  # of a million Gaussians, the mark takes a tenth of a second, and this nothing
    if obj.bgs.source_mark and obj.bgs.source_count and state and state == obj.bgs.source_state:
        return bool(rows.max() < obj.bgs.source_count)
    ply = open_rows(path)
    if rows.max() >= ply.count:
        return False
    if not obj.bgs.source_mark:
        return lies_at(obj, ply, rows)
    if positions_sha256(ply) != obj.bgs.source_mark:
        return False
    obj.bgs.source_state, obj.bgs.source_count = state, ply.count
    return True


def state_of(path: Path) -> str:
    """What changes when somebody writes to a file: its identity on the disk, size and times; "" if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def lies_at(obj: SplatObject, ply: SplatPly, rows: np.ndarray) -> bool:
    """Whether every point lies where its row of the PLY does. `rows` are row numbers, int [N]."""
    there = ply.columns(("x", "y", "z"))[rows]
    return np.array_equal(there, _raw_positions(obj), equal_nan=True)


def why_not_source(obj: SplatObject) -> str:
    """Why the engine cannot read the cloud's source file instead of its points: a part of a sentence, or ""."""
    if obj.bgs.is_alone:
        return "its source file holds the whole splat"
    path = obj.bgs.source_file
    rows = point_clouds.get_column(obj.data, ROW)
    if path is None:
        return "it has no source file"
    if not is_file(path):
        return f"{path.name} is not where it was imported from"
    if rows is None or not len(rows) or rows.min() < 0:
        return "its points are not the rows of a file"
    try:
        same = is_source(obj, path)
    except (InputError, EnvironmentLacksError):
        same = False  # it is no splat any more, or only the engine can compare it
    if not same:
        return f"{path.name} has changed since the import"
    return "its points are not the rows of a file" if np.bincount(rows).max() > 1 else ""


def are_as_imported(obj: SplatObject, rows: np.ndarray) -> bool:
    """Whether structured PLY rows of the cloud are all rows of its file, in place and order.

    Always true for a cloud of an older version, which has no mark.
    """
    if not obj.bgs.source_mark:
        return True
    positions = np.stack([rows[name] for name in "xyz"], axis=1).astype("<f8")
    return hashlib.sha256(positions.tobytes()).hexdigest() == obj.bgs.source_mark


def _raw_positions(obj: SplatObject) -> np.ndarray:
    """Positions as the file had them, float32 [N, 3], with values that are not finite."""
    position = pivot.need_positions(obj)
    raw = point_clouds.get_column(obj.data, RAW_POSITION)
    if raw is None:
        return position
    edited = (clean_position(raw) != position).any(1, keepdims=True)
    return np.where(edited, position, raw)

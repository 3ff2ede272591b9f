"""The file of a splat that the engine reads in a session, and which of its rows each point is."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bgs_engine.core.errors import BgsError, EnvironmentLacksError, InputError, UsageError
from bgs_engine.core.input_files import is_folder
from bgs_engine.formats.read import open_rows
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.run_folder import is_run_folder, open_run, run_id_of

from ..cloud import pivot, point_clouds, shapes
from ..cloud.active_splat import ALONE
from ..cloud.typed import SplatObject
from ..files import source
from ..logic.attributes import ROW
from ..logic.row_order import engine_rows

SEGMENT = "Press Segment: it makes a run folder of the Gaussians as they are, and clicks work with that."


@dataclass(frozen=True)
class EngineScene:
    """What the engine reads: a run folder or a PLY file.

    count: N, its number of rows. positions: float32 [N, 3], less `offset` [3]. in_order: see `engine_rows`.
    """

    path: Path
    count: int
    positions: np.ndarray
    offset: np.ndarray
    in_order: bool

    def rows_of(self, whole: SplatObject) -> np.ndarray:
        """The row of each point of the whole cloud, int [P].

        Raises:
            UsageError: Gaussians were added or deleted, so that the points are not rows of the file any more.
        """
        own = point_clouds.get_column(whole.data, ROW)
        rows = None if own is None else engine_rows(own, self.in_order)
        lost = rows is None or rows.min(initial=0) < 0 or rows.max(initial=0) >= self.count
        if rows is None or lost or (self.in_order and len(rows) != self.count):
            raise UsageError(f"{whole.name} has other Gaussians than {self.path.name}.", SEGMENT)
        return rows

    def place_of(self, obj: SplatObject, row: int, at: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """A place near Gaussian `row` in the coordinates of the file, float64 [3], wherever the object was moved.

        Args:
            obj: the whole cloud or a label object.
            row: of the file.
            at: the place in the object's space, [3].
            mean: the middle of that Gaussian in the object's space, [3].

        Raises:
            UsageError: the file has no place for that Gaussian.
        """
        back = np.linalg.pinv(shapes.local_of(obj)[:3, :3])
        place = np.asarray(self.offset + self.positions[row].astype(np.float64) + back @ (at - mean))
        if not np.isfinite(place).all():
            raise UsageError("This Gaussian has no finite coordinates.", "Click another place.")
        return place


def file_to_view(obj: SplatObject, view: np.ndarray) -> np.ndarray:
    """The matrix [4, 4] from the coordinates of the source file to the camera, from Blender's view matrix [4, 4]."""
    moved = np.eye(4)
    moved[:3, 3] = np.negative(obj.bgs.ply_layout.offset)
    return view @ pivot.splat_world_of(obj) @ shapes.local_of(obj) @ moved


def key_of(whole: SplatObject) -> tuple[str, ...]:
    """What changes when the engine has to read another file."""
    splat = whole.bgs
    return splat.splat_id, splat.run_folder, splat.run_id, splat.source_path, splat.source_mark


def open_scene(whole: SplatObject) -> EngineScene:
    """The file of a splat: its run folder if that has its Gaussians, else its source file.

    Raises:
        UsageError: neither has them; or the object is a label object alone.
    """
    if whole.bgs.is_alone:
        raise UsageError(
            f"{whole.name} {ALONE}, so no file has just its Gaussians.", "Click on the splat itself, or press Segment."
        )
    in_run, reason = _of_run(whole), ""
    if in_run is not None:
        return in_run
    reason = source.why_not_source(whole)
    if reason:
        raise UsageError(f"The engine cannot read the Gaussians of {whole.name}: {reason}.", SEGMENT)
    assert whole.bgs.source_file is not None
    try:
        return _scene(whole.bgs.source_file, open_rows(whole.bgs.source_file), in_order=False)
    except EnvironmentLacksError:
        name = whole.bgs.source_file.name
        raise UsageError(f"Blender cannot read {name} itself, so it cannot tell its rows.", SEGMENT) from None


def _of_run(whole: SplatObject) -> EngineScene | None:
    """The run folder, or None if it is not there, was changed, or has other Gaussians."""
    place = whole.bgs.path_of(whole.bgs.run_folder)
    if place is None or not is_folder(place):
        return None
    folder = Path(os.path.realpath(place))
    try:
        if not is_run_folder(folder) or run_id_of(folder) != whole.bgs.run_id:
            return None
        found = _scene(folder, open_run(folder).ply, whole.bgs.run_in_order)
        found.rows_of(whole)
    except BgsError:
        return None
    return found


def _scene(path: Path, ply: SplatPly, in_order: bool) -> EngineScene:
    if not ply.count:
        raise InputError(f"{path.name} has no Gaussians.", "Choose another splat.")
    return EngineScene(path, ply.count, ply.positions(), np.asarray(ply.offset, np.float64), in_order)

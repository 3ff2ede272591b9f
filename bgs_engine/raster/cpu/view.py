"""Everything about one view that does not depend on opacity or features: built once and kept."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.raster.cpu.project import RECORD, depth_order, gather, project
from bgs_engine.raster.cpu.tiles import tile_lists
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.semantics import BLUR, EXTENT_CAP, FRUSTUM_MARGIN, NEAR, TILE


@dataclass(frozen=True)
class View:
    """Projected records and tile lists of one camera.

    order int32 [M]: scene number of each visible Gaussian, near to far (its position in here is its rank);
    records float [M, 8] (columns in `project`); offsets int64 [T + 1] and ranks int32 [K]: the tiles' lists.
    """

    width: int
    height: int
    tiles_x: int
    order: np.ndarray
    records: np.ndarray
    offsets: np.ndarray
    ranks: np.ndarray

    @property
    def nbytes(self) -> int:
        """Memory held, bytes."""
        return self.order.nbytes + self.records.nbytes + self.offsets.nbytes + self.ranks.nbytes


class ViewBuilder:
    """Builds views of one scene; its scratch arrays (36 bytes a Gaussian) are shared by all of them."""

    def __init__(self, scene: RasterScene) -> None:
        self.scene = scene
        self._records = np.empty((len(scene), RECORD), scene.means.dtype)
        self._visible = np.empty(len(scene), np.uint8)

    def build(self, camera: Camera) -> View:
        """Project, cull, sort by depth and list per tile."""
        scene, t = self.scene, self.scene.means.dtype.type
        scalars = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
        limits = (NEAR, FRUSTUM_MARGIN, BLUR, EXTENT_CAP)
        project(
            scene.means,
            scene.covs,
            np.ascontiguousarray(camera.viewmat, scene.means.dtype),
            *(t(value) for value in (*scalars, *limits)),
            camera.orthographic,
            self._records,
            self._visible,
        )
        order = depth_order(self._records, self._visible)
        records = gather(order, self._records)
        tiles_x, tiles_y = -(-camera.width // TILE), -(-camera.height // TILE)
        offsets, ranks = tile_lists(records, tiles_x, tiles_y, TILE, t(EXTENT_CAP))
        return View(camera.width, camera.height, tiles_x, order, records, offsets, ranks)

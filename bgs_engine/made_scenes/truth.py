"""True label maps. A pixel gets the label with the most blended weight, first of groups, then objects, then parts."""

import numpy as np
from numba import prange

from bgs_engine.core.cameras import Camera
from bgs_engine.raster.cpu.fragments import FragmentLister, tile_order
from bgs_engine.raster.cpu.jit import parallel
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene

SEEN_LIGHT = 0.5  # of the light: a pixel that catches less shows nothing
_BAND = 64  # pixel rows listed at a time; bounds memory at large sizes


@parallel
def _heaviest(
    start: np.ndarray, end: np.ndarray, part_of: np.ndarray, rank: np.ndarray, weight: np.ndarray,
    group_of_part: np.ndarray, object_of_part: np.ndarray, out: np.ndarray,
) -> None:  # fmt: skip
    """Fill out int32 [P, 3]; part_of int32 [M] in depth order, tables indexed by part id."""
    parts = group_of_part.size
    for p in prange(start.size):
        by_part = np.zeros(parts, np.float32)
        by_object = np.zeros(parts, np.float32)  # there are no more objects or groups than parts
        by_group = np.zeros(parts, np.float32)
        total = np.float32(0)
        for k in range(start[p], end[p]):
            part, w = part_of[rank[k]], weight[k]
            by_part[part] += w
            by_object[object_of_part[part]] += w
            by_group[group_of_part[part]] += w
            total += w
        if total < SEEN_LIGHT:
            continue
        group = np.argmax(by_group)
        best_object, best_part = 0, 0
        for part in range(1, parts):
            o = object_of_part[part]
            if group_of_part[part] == group and by_object[o] > by_object[best_object]:
                best_object = o
        for part in range(1, parts):
            if object_of_part[part] == best_object and by_part[part] > by_part[best_part]:
                best_part = part
        out[p, 0], out[p, 1], out[p, 2] = group, best_object, best_part


class TruthMaps:
    """Draws label maps of one scene."""

    def __init__(self, scene: RasterScene, labels: np.ndarray) -> None:
        """labels: int32 [file rows, 3] group, object, part."""
        self._scene = scene
        self._part = labels[scene.rows, 2].astype(np.int32)
        parts = int(labels[:, 2].max()) + 1
        self._group_of, self._object_of = np.zeros(parts, np.int32), np.zeros(parts, np.int32)
        self._group_of[labels[:, 2]], self._object_of[labels[:, 2]] = labels[:, 0], labels[:, 1]
        self._builder, self._lister = ViewBuilder(scene), FragmentLister()

    def draw(self, camera: Camera) -> np.ndarray:
        """Group, object and part of every pixel, int32 [3, H, W], 0 = nothing there."""
        view = self._builder.build(camera)
        part_of = self._part[view.order]
        maps = np.zeros((camera.height, camera.width, 3), np.int32)
        for top in range(0, camera.height, _BAND):
            ys, xs = np.mgrid[top : min(top + _BAND, camera.height), 0 : camera.width]
            px, py = xs.ravel().astype(np.int32), ys.ravel().astype(np.int32)
            order = tile_order(px, py, camera.width)
            px, py = px[order], py[order]
            listed = self._lister.list(view, px, py, self._scene.opacities)
            out = np.zeros((len(px), 3), np.int32)
            _heaviest(
                listed.start, listed.end, part_of, listed.rank, listed.weight, self._group_of, self._object_of, out
            )
            maps[py, px] = out
        return np.ascontiguousarray(maps.transpose(2, 0, 1))

"""What one view shows of every Gaussian: the weights between a grid of its pixels and the Gaussians."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.core.cameras import Camera
from bgs_engine.raster.color_frames import render_depth
from bgs_engine.raster.cpu.fragments import FragmentLister, tile_order
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene

PIXELS = 20_000  # of a view, in a regular grid
LEAST_WEIGHT = 0.01  # of a Gaussian in a pixel; fainter ones would take most of the memory
SAME_DEPTH = 0.03  # of the distance: a place so much behind or before what the view shows is still what it shows
EDGE = 4  # px: a place nearer to the edge of the picture does not count as seen


@dataclass(frozen=True)
class ViewWeights:
    """The weights of one view. P pixels of its picture lie in a grid [h, w]; N Gaussians in scene order.

    camera: the view, in the scene's coordinates.
    step: pixels of the picture from one pixel of the grid to the next.
    shape: (h, w).
    by_pixel: CSR float32 [P, N], the weight of each Gaussian in each pixel, 0..1; by_gaussian: the same, [N, P].
    seen: float32 [N], the sum of each Gaussian's weights, in pixels of the grid.
    depth: float32 [H, W], the depth that the picture shows, scene units.
    """

    camera: Camera
    step: int
    shape: tuple[int, int]
    by_pixel: sp.csr_matrix
    by_gaussian: sp.csr_matrix
    seen: np.ndarray
    depth: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        sparse = (part for m in (self.by_pixel, self.by_gaussian) for part in (m.data, m.indices, m.indptr))
        return sum(values.nbytes for values in (*sparse, self.seen, self.depth))

    def picture(self, values: np.ndarray) -> np.ndarray:
        """The view of a value per Gaussian, float32 [h, w]; values: [N]."""
        shown: np.ndarray = self.by_pixel @ values.astype(np.float32)
        return shown.reshape(self.shape)

    def lifted(self, mask: np.ndarray) -> np.ndarray:
        """The weight of each Gaussian inside a mask of the grid, float32 [N]; mask: bool [h, w]."""
        weights: np.ndarray = self.by_gaussian @ mask.ravel().astype(np.float32)
        return weights

    def sampled(self, logits: np.ndarray, scale_x: float, scale_y: float) -> np.ndarray:
        """Where logits [M, rows, columns] are positive, bool [M, h, w]. `Answers` has the scales."""
        h, w = self.shape
        y = np.rint((np.arange(h) * self.step + self.step // 2 + 0.5) * scale_y - 0.5).astype(int)
        x = np.rint((np.arange(w) * self.step + self.step // 2 + 0.5) * scale_x - 0.5).astype(int)
        rows, columns = y.clip(0, logits.shape[1] - 1), x.clip(0, logits.shape[2] - 1)
        inside: np.ndarray = logits[:, rows[:, None], columns] > 0
        return inside

    def visible(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(Pixels (x, y) of places, float64 [P, 2]; whether the view shows each place, bool [P]).

        places: [P, 3], scene coordinates.
        """
        camera = self.camera
        local = places @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        z = local[:, 2]
        scale = np.ones_like(z) if camera.orthographic else np.where(z > 0, z, 1)
        xy = local[:, :2] / scale[:, None] * [camera.fx, camera.fy] + [camera.cx, camera.cy]
        inside = (z > 0) & (xy >= EDGE).all(1) & (xy < np.array([camera.width, camera.height]) - EDGE).all(1)
        for k in np.flatnonzero(inside):  # few places
            x, y = xy[k].astype(int)
            around = self.depth[y - 1 : y + 2, x - 1 : x + 2]
            inside[k] = abs(float(np.median(around)) - z[k]) < SAME_DEPTH * z[k]
        return xy, inside

    def pixel_of(self, xy: np.ndarray) -> int:
        """The number of the grid's pixel nearest to (x, y) of the picture."""
        column, row = (int(v) // self.step for v in xy)
        return min(row, self.shape[0] - 1) * self.shape[1] + min(column, self.shape[1] - 1)


def view_weights(scene: RasterScene, builder: ViewBuilder, lister: FragmentLister, camera: Camera) -> ViewWeights:
    """The weights of the view of `camera`."""
    step = max(1, round((camera.width * camera.height / PIXELS) ** 0.5))
    ys, xs = np.mgrid[step // 2 : camera.height : step, step // 2 : camera.width : step]
    px, py = xs.ravel().astype(np.int32), ys.ravel().astype(np.int32)
    order = tile_order(px, py, camera.width)
    view = builder.build(camera)
    found = lister.list(view, px[order], py[order], scene.opacities)
    counts = found.end - found.start
    begins = np.cumsum(counts) - counts
    at = np.repeat(found.start - begins, counts) + np.arange(int(counts.sum()))
    weights = found.weight[at]
    kept = weights > LEAST_WEIGHT
    pixels, gaussians = np.repeat(order, counts)[kept], view.order[found.rank[at[kept]]]
    by_pixel = sp.csr_matrix((weights[kept], (pixels, gaussians)), (len(px), len(scene)))
    by_gaussian = by_pixel.T.tocsr()
    seen = np.asarray(by_gaussian.sum(1), np.float32).ravel()
    return ViewWeights(camera, step, ys.shape, by_pixel, by_gaussian, seen, render_depth(scene, camera))

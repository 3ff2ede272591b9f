"""What one view shows of every Gaussian: the weights between a grid of its pixels and the Gaussians."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.core.cameras import Camera
from bgs_engine.masks.prompting import Answers
from bgs_engine.raster.cpu.fragments import FragmentLister, tile_order
from bgs_engine.raster.cpu.project import DEPTH
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene

PIXELS = 20_000  # of a view, in a regular grid
LEAST_WEIGHT = 0.01  # of a Gaussian in a pixel; fainter ones would take most of the memory
HALF = 0.5  # of the light: where so much is caught, there is the surface
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
    depth: float32 [h, w], the depth at which half of the light is caught, scene units; inf where it never is.
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

    def sketched(self, answers: Answers) -> np.ndarray:
        """All masks of the only prompt of a model's answers, roughly, bool [M, h, w]."""
        sketch = answers.sketch(np.zeros(1, int))[0]
        rows, columns = self._cells(answers)
        inside: np.ndarray = _at(sketch, answers.in_sketch(rows), answers.in_sketch(columns)) > 0
        return inside

    def exact(self, answers: Answers, choice: int) -> np.ndarray:
        """One mask of the only prompt of a model's answers, bool [h, w]."""
        rows, columns = self._cells(answers)
        inside: np.ndarray = _at(answers.logits(np.zeros(1, int), np.array([choice])), rows, columns)[0] > 0
        return inside

    def _cells(self, answers: Answers) -> tuple[np.ndarray, np.ndarray]:
        """The rows and the columns of the model's masks at the grid's pixels."""
        h, w = self.shape
        y = np.rint((np.arange(h) * self.step + self.step // 2 + 0.5) * answers.scale_y - 0.5)
        x = np.rint((np.arange(w) * self.step + self.step // 2 + 0.5) * answers.scale_x - 0.5)
        return y.astype(int), x.astype(int)

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
            column, row = np.maximum((xy[k] - self.step / 2) / self.step, 0).astype(int)
            around = self.depth[row : row + 2, column : column + 2]  # something thin may lie between two pixels
            inside[k] = bool((abs(around - z[k]) < SAME_DEPTH * z[k]).any())
        return xy, inside

    def pixel_of(self, xy: np.ndarray) -> int:
        """The number of the grid's pixel nearest to (x, y) of the picture."""
        column, row = (int(v) // self.step for v in xy)
        return min(row, self.shape[0] - 1) * self.shape[1] + min(column, self.shape[1] - 1)


def _at(logits: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Logits [M, ...] at rows and columns, at the border where these lie outside."""
    inside: np.ndarray = logits[:, rows.clip(0, logits.shape[1] - 1)[:, None], columns.clip(0, logits.shape[2] - 1)]
    return inside


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
    fragment_pixel, rank = np.repeat(order, counts), found.rank[at]
    depth = np.full(len(px), np.inf, np.float32)
    caught = np.cumsum(weights, dtype=np.float64)
    before = np.concatenate([[0.0], caught])[begins]
    caught -= np.repeat(before, counts)
    half = np.flatnonzero(caught >= HALF)
    first = half[np.unique(fragment_pixel[half], return_index=True)[1]]
    depth[fragment_pixel[first]] = view.records[rank[first], DEPTH]
    kept = weights > LEAST_WEIGHT
    by_pixel = sp.csr_matrix((weights[kept], (fragment_pixel[kept], view.order[rank[kept]])), (len(px), len(scene)))
    by_gaussian = by_pixel.T.tocsr()
    seen = np.asarray(by_gaussian.sum(1), np.float32).ravel()
    return ViewWeights(camera, step, ys.shape, by_pixel, by_gaussian, seen, depth.reshape(ys.shape))

"""How much of each Gaussian lies in each candidate of each view.

A part of the Gaussians stands for the scene, drawn evenly in space. That bounds time and memory for any scene.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.core.cameras import Camera
from bgs_engine.masks.bits import MaskStack
from bgs_engine.raster.cpu.fragments import FragmentLister, tile_order
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene

LOOKED_AT = 60_000  # pixels of a view, in a regular grid
MOST_GAUSSIANS = 60_000
LEAST_OPACITY = 0.05  # a fainter Gaussian decides nothing
INSIDE = 0.5  # of a Gaussian's weight in the view: more makes it a member of a candidate
FAINT = 0.1  # of the weight in a Gaussian's best view: a view with less shows it through other matter
LEAST_WEIGHT = 0.2  # px: a fainter view does not count at all


@dataclass(frozen=True)
class Members:
    """K candidates of V views and the G Gaussians that were drawn.

    drawn: int64 [G], scene order.
    shared: CSR float32 [G, K], the weight of each Gaussian in each candidate, pixels.
    weight: float32 [G, V], the weight of each Gaussian in each view, pixels.
    view: int32 [K], the view of each candidate. number: int32 [K], its row in the view's stack.
    """

    drawn: np.ndarray
    shared: sp.csr_matrix
    weight: np.ndarray
    view: np.ndarray
    number: np.ndarray

    @property
    def views(self) -> int:
        """V."""
        return self.weight.shape[1]

    def clear(self) -> np.ndarray:
        """Whether each view shows each Gaussian clearly, bool [G, V]."""
        return self.weight >= np.maximum(FAINT * self.weight.max(1, keepdims=True), LEAST_WEIGHT)

    def inside(self) -> sp.csr_matrix:
        """CSR float32 [G, K] with a one where a clearly seen Gaussian is a member of a candidate."""
        row = np.repeat(np.arange(len(self.drawn)), np.diff(self.shared.indptr))
        view = self.view[self.shared.indices]
        member = (self.shared.data > INSIDE * self.weight[row, view]) & self.clear()[row, view]
        ones = np.ones(int(member.sum()), np.float32)
        return sp.csr_matrix((ones, (row[member], self.shared.indices[member])), self.shared.shape)


def collect_members(
    scene: RasterScene, cameras: Sequence[Camera], stacks: Callable[[int], MaskStack], after: Callable[[int], None]
) -> Members:
    """The members of all candidates.

    Args:
        scene: the splat.
        cameras: one a view.
        stacks: the candidates of a view by its number, of the size of its picture.
        after: called with the number of views that are done.
    """
    opaque = np.flatnonzero(scene.opacities >= LEAST_OPACITY)
    drawn = opaque[:: max(1, -(-len(opaque) // MOST_GAUSSIANS))]  # the scene is in the order of a space-filling curve
    column = np.full(len(scene), -1, np.int64)
    column[drawn] = np.arange(len(drawn))
    builder, lister = ViewBuilder(scene), FragmentLister()
    parts, weights, view, number = [], [], [], []
    for k, camera in enumerate(cameras):
        stack = stacks(k)
        shared, weight = _of_view(builder, lister, scene, camera, stack, column, len(drawn))
        parts.append(shared)
        weights.append(weight)
        view.append(np.full(len(stack), k, np.int32))
        number.append(np.arange(len(stack), dtype=np.int32))
        after(k + 1)
    joined = sp.hstack(parts).tocsr()
    return Members(drawn, joined, np.stack(weights, 1), np.concatenate(view), np.concatenate(number))


def _of_view(
    builder: ViewBuilder,
    lister: FragmentLister,
    scene: RasterScene,
    camera: Camera,
    stack: MaskStack,
    column: np.ndarray,
    drawn: int,
) -> tuple[sp.csr_matrix, np.ndarray]:
    """(CSR float32 [G, K], float32 [G]) of one view, in pixels; column: int [N], the place of each drawn one, or -1."""
    stride = max(1, round((camera.width * camera.height / LOOKED_AT) ** 0.5))
    ys, xs = np.mgrid[stride // 2 : camera.height : stride, stride // 2 : camera.width : stride]
    px, py = xs.ravel().astype(np.int32), ys.ravel().astype(np.int32)
    order = tile_order(px, py, camera.width)
    px, py = px[order], py[order]
    view = builder.build(camera)
    found = lister.list(view, px, py, scene.opacities)
    counts = found.end - found.start
    starts = np.concatenate([[0], np.cumsum(counts)])
    at = np.repeat(found.start - starts[:-1], counts) + np.arange(starts[-1])
    pixel = np.repeat(np.arange(len(px)), counts)
    place = column[view.order[found.rank[at]]]
    used = place >= 0
    weights = found.weight[at][used] * np.float32(stride**2)
    pixels = sp.csr_matrix((weights, (place[used], pixel[used])), (drawn, len(px)))
    weight = np.asarray(pixels.sum(1), np.float32).ravel()
    if not len(stack):
        return sp.csr_matrix(np.zeros((drawn, 0), np.float32)), weight
    flat = py.astype(np.int64) * camera.width + px
    shown = np.stack([stack.mask(k).ravel()[flat] for k in range(len(stack))], 1)
    return (pixels @ sp.csr_matrix(shown.astype(np.float32))).tocsr(), weight

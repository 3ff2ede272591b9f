"""Votes: in every view, how much of each mask each Gaussian makes up.

Masks nest, so one view's masks of all levels are counted together: a node is one combination of level-1..L ids that
occurs in the view, and a mask of level l is the sum of its nodes. Memory is bounded by pixels, not by masks: about
13 bytes for each (Gaussian, node) pair that weighs at least `MIN_WEIGHT`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.associate.kernels import NODES_HELD, gaussian_votes
from bgs_engine.core.cameras import Camera
from bgs_engine.core.events import Reporter
from bgs_engine.raster.cpu.fragments import FragmentLister, tile_order
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene
from bgs_engine.raster.semantics import ALPHA_MAX

STRIDE = 2  # px: every second pixel in both directions votes; a quarter of the time, the same segments
UNDIVIDED_SHARE = 0.9  # of the coarser mask's pixels: leaves room for a shaken border
MIN_WEIGHT = 0.02  # px: fainter contributions are noise and most of the memory

LevelMaps = Callable[[int], np.ndarray | None]
"""Level maps of a camera number: int32 [L, H, W], 0 = unlabelled; None where the view has no masks."""


@dataclass(frozen=True)
class Votes:
    """All views' votes.

    matrix: CSR float32 [N, nodes], N in scene order, entries in pixels.
    through: uint8 [entries of matrix], the mean transmittance of what lies before the Gaussian there, 255 = 1: how
        clearly it is seen.
    node_masks: int32 [nodes, L]: the scene-wide number of the node's mask at each level, -1 where unlabelled.
    mask_view, mask_id: per level int32 [masks]: which camera and which id in its level map a mask is.
    """

    matrix: sp.csr_matrix
    through: np.ndarray
    node_masks: np.ndarray
    mask_view: list[np.ndarray]
    mask_id: list[np.ndarray]

    @property
    def levels(self) -> int:
        """Number of levels L."""
        return self.node_masks.shape[1]

    def mask_matrix(self, level: int) -> sp.csr_matrix:
        """CSR float32 [N, masks of `level`]: each Gaussian's weight in each mask, pixels."""
        return (self.matrix @ self._fold(level)).tocsr()

    def clear_matrix(self, level: int, rows: np.ndarray) -> sp.csr_matrix:
        """As `mask_matrix` of the Gaussians `rows` [G], each entry times the mean transmittance before the Gaussian."""
        part = self.matrix[rows]
        entry = np.arange(part.nnz) + np.repeat(self.matrix.indptr[rows] - part.indptr[:-1], np.diff(part.indptr))
        part.data *= self.through[entry] / np.float32(255)
        return (part @ self._fold(level)).tocsr()

    def _fold(self, level: int) -> sp.csr_matrix:
        of = self.node_masks[:, level - 1]
        keep = np.flatnonzero(of >= 0)
        shape = (len(of), len(self.mask_view[level - 1]))
        return sp.csr_matrix((np.ones(len(keep), np.float32), (keep, of[keep])), shape)

    def undivided(self, level: int) -> np.ndarray:
        """Which masks of `level` fill (nearly) all of the coarser mask around them, bool [masks]."""
        pixels = np.asarray(self.matrix.sum(0)).ravel()
        own, outer = self.node_masks[:, level - 1], self.node_masks[:, level - 2] if level > 1 else None
        result = np.zeros(len(self.mask_view[level - 1]), bool)
        if outer is None:
            return result
        nested = np.flatnonzero((own >= 0) & (outer >= 0))
        size = np.bincount(own[nested], pixels[nested], len(result))
        around = np.bincount(outer[outer >= 0], pixels[outer >= 0], len(self.mask_view[level - 2]))
        parent = np.full(len(result), -1)
        parent[own[nested]] = outer[nested]
        known = parent >= 0
        result[known] = size[known] > UNDIVIDED_SHARE * around[parent[known]]
        return result


VoteCollector = Callable[[RasterScene, Sequence[Camera], LevelMaps, Reporter], Votes]


def collect_votes(scene: RasterScene, cameras: Sequence[Camera], level_maps: LevelMaps, reporter: Reporter) -> Votes:
    """Look at every view once.

    Args:
        scene: N Gaussians.
        cameras: V cameras.
        level_maps: the masks of each, by number.
        reporter: told after each view.
    """
    builder, lister = ViewBuilder(scene), FragmentLister()
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    values: list[np.ndarray] = []
    through: list[np.ndarray] = []
    node_ids: list[np.ndarray] = []
    node_view: list[np.ndarray] = []
    nodes = 0
    for number, camera in enumerate(reporter.track(cameras, len(cameras))):
        maps = level_maps(number)
        if maps is None:
            continue
        ys, xs = np.mgrid[0 : camera.height : STRIDE, 0 : camera.width : STRIDE]
        py, px = ys.ravel().astype(np.int32), xs.ravel().astype(np.int32)
        order = tile_order(px, py, camera.width)
        px, py = px[order], py[order]
        combinations, node = _combinations(maps[:, py, px])
        lists = (fragments := lister.list(builder.build(camera), px, py, scene.opacities)).by_gaussian()
        held = np.empty((len(lists.rows), NODES_HELD), np.int32)
        weights, clear = np.zeros((2, len(lists.rows), NODES_HELD), np.float32)
        gaussian_votes(
            lists.offsets, lists.fragment, lists.pixel, fragments.rank, fragments.falloff, fragments.weight,
            fragments.opacity, np.float32(ALPHA_MAX), node, held, weights, clear,
        )  # fmt: skip
        who, slot = np.nonzero((held >= 0) & (weights * STRIDE**2 >= MIN_WEIGHT))
        rows.append(lists.rows[who])
        columns.append(held[who, slot] + nodes)
        values.append(weights[who, slot] * np.float32(STRIDE**2))
        through.append(as_bytes(clear[who, slot] / weights[who, slot]))
        node_ids.append(combinations)
        node_view.append(np.full(len(combinations), number, np.int32))
        nodes += len(combinations)
    return as_votes(len(scene), rows, columns, values, through, node_ids, node_view)


def _combinations(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(label combinations int32 [K, L] that occur, int32 [P] which one each pixel has, -1 = unlabelled everywhere).

    ids: int32 [L, P].
    """
    key = np.zeros(ids.shape[1], np.int64)
    for level in ids:  # one number per pixel: the combinations so far, renumbered, times the ids of this level
        _, key = np.unique(key * (int(level.max(initial=0)) + 1) + level, return_inverse=True)
    _, first, node = np.unique(key, return_index=True, return_inverse=True)
    combinations = ids[:, first].T
    node = node.astype(np.int32)
    node[(combinations == 0).all(axis=1).take(node)] = -1
    return combinations, node


def as_bytes(share: np.ndarray) -> np.ndarray:
    """Shares in 0..1 as uint8."""
    return np.minimum(np.rint(share * 255), 255).astype(np.uint8)


def as_votes(
    n: int,
    rows: list[np.ndarray],
    columns: list[np.ndarray],
    values: list[np.ndarray],
    through: list[np.ndarray],
    node_ids: list[np.ndarray],
    node_view: list[np.ndarray],
) -> Votes:
    """Votes from the lists of all views: Gaussians, nodes, pixels, transmittances; and each node's ids and view."""
    ids, view = np.concatenate(node_ids), np.concatenate(node_view)
    places = np.concatenate(rows), np.concatenate(columns)
    matrix = sp.csr_matrix((np.concatenate(values), places), (n, len(ids)), dtype=np.float32)
    # The same places make the same order of entries; a sum of bytes cannot overflow, as no place comes twice.
    clear = sp.csr_matrix((np.concatenate(through), places), (n, len(ids)), dtype=np.uint8).data
    node_masks = np.full(ids.shape, -1, np.int32)
    mask_view, mask_id = [], []
    for level in range(ids.shape[1]):
        labelled = np.flatnonzero(ids[:, level] > 0)
        pairs, number = np.unique(np.stack([view[labelled], ids[labelled, level]], 1), axis=0, return_inverse=True)
        node_masks[labelled, level] = number.ravel()
        mask_view.append(pairs[:, 0].astype(np.int32))
        mask_id.append(pairs[:, 1].astype(np.int32))
    return Votes(matrix, clear, node_masks, mask_view, mask_id)

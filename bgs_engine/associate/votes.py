"""Votes: in every view, the weight with which each Gaussian contributes to each mask.

Masks nest, so the masks of all levels of a view are counted together. A node is one combination of the ids of levels
1 to L that occurs in the view. The votes of a mask are the sum of the votes of its nodes. Pixels bound the memory, not
masks: each (Gaussian, node) pair that weighs at least `MIN_WEIGHT` takes about 13 bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp

from bgs_engine.associate.kernels import entries_of_rows, join_views
from bgs_engine.associate.masked_views import MaskedViews
from bgs_engine.associate.one_hot import columns_summed
from bgs_engine.associate.vote_kernels import CHUNK, join_chunks, sum_chunks
from bgs_engine.core.cameras import Camera
from bgs_engine.core.events import Reporter
from bgs_engine.raster.cpu.fragments import FragmentLister, Fragments, tile_order, transpose
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.semantics import ALPHA_MAX

STRIDE = 2  # px: every second pixel in both directions votes; this takes a quarter of the time for the same segments
UNDIVIDED_SHARE = 0.9  # of the coarser mask's pixels: the borders of both masks may differ a little
STRETCHES = 256  # of the rows of a matrix: threads share them out
MIN_WEIGHT = 0.02  # px: fainter contributions are noise and would take most of the memory


@dataclass(frozen=True)
class Votes:
    """All views' votes.

    matrix: CSR float32 [N, nodes], N in scene order, entries in pixels.
    through: uint8 [entries of matrix]: the mean transmittance before the Gaussian there, 255 = 1. It says how clearly
        the Gaussian is seen.
    node_masks: int32 [nodes, L]: the scene-wide number of the node's mask at each level, -1 where unlabelled.
    mask_view: per level int32 [masks]: the camera number of each mask.
    mask_id: per level int32 [masks]: the id of each mask in its view's level map.
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
        return columns_summed(self.matrix, self.node_masks[:, level - 1], len(self.mask_view[level - 1]))

    def shared_ids(self, level: int) -> tuple[np.ndarray, np.ndarray]:
        """(Number of each mask's id int32 [masks], number of the id above each id int32 [ids], -1 = none).

        Only for masks whose ids mean the same in all views. Ids of a level are numbered in their order.
        """
        ids, number = np.unique(self.mask_id[level - 1], return_inverse=True)
        above = np.full(len(ids), -1, np.int32)
        if level > 1:
            _, number_above = np.unique(self.mask_id[level - 2], return_inverse=True)
            own, outer = self.node_masks[:, level - 1], self.node_masks[:, level - 2]
            nested = (own >= 0) & (outer >= 0)
            above[number[own[nested]]] = number_above[outer[nested]]
        return number.astype(np.int32), above

    def undivided(self, level: int) -> np.ndarray:
        """Whether each mask of `level` fills at least `UNDIVIDED_SHARE` of the coarser mask around it, bool [masks]."""
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


@dataclass(frozen=True)
class ViewVotes:
    """The votes of one view, one entry for each pair of a Gaussian and a node.

    combinations: int32 [K, L]: the mask ids of the view's nodes, 0 = unlabelled.
    gaussians: int32 [E], scene order, ascending.
    nodes: int32 [E]: rows of `combinations`.
    pixels: float32 [E]: the weights.
    through: uint8 [E]: the mean transmittance before the Gaussian, 255 = 1.
    """

    combinations: np.ndarray
    gaussians: np.ndarray
    nodes: np.ndarray
    pixels: np.ndarray
    through: np.ndarray


VoteCollector = Callable[[MaskedViews, Reporter], Votes]
VotesOfView = Callable[[Camera, np.ndarray], ViewVotes]
"""The votes of one camera's view from its level maps (int32 [L, H, W]); `voting_pixels` says which pixels vote."""


def collect_votes(views: MaskedViews, reporter: Reporter) -> Votes:
    """The votes of all views, computed on the CPU. The reporter is told after each view."""
    builder, lister, opacities = ViewBuilder(views.scene), FragmentLister(), views.scene.opacities

    def of_view(camera: Camera, maps: np.ndarray) -> ViewVotes:
        px, py = voting_pixels(camera.width, camera.height)
        combinations, node = combinations_of(maps[:, py, px])
        fragments = lister.list(builder.build(camera), px, py, opacities)
        rows, nodes, weights, clear = _by_gaussian(fragments, node)
        kept = np.flatnonzero((nodes >= 0) & (weights * STRIDE**2 >= MIN_WEIGHT))
        kept = kept[_ascending(rows[kept], len(views.scene))]
        weight = weights[kept]
        through = as_bytes(clear[kept] / weight)
        return ViewVotes(combinations, rows[kept], nodes[kept], weight * np.float32(STRIDE**2), through)

    return votes_of_all(views, of_view, reporter)


def _by_gaussian(fragments: Fragments, node: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(Gaussian int32 [K], its node int32 [K], -1 = none, weight and clear float32 [K]).

    A Gaussian has several places, and the last of them may be empty. node: int32 [P], of each pixel.
    `clear` holds the weights times the transmittance before the Gaussian.
    """
    listed = np.append(0, np.cumsum(fragments.end - fragments.start))
    first = np.ascontiguousarray(listed[:-1:CHUNK])
    last = np.empty_like(first)
    ranks, nodes = np.empty((2, listed[-1]), np.int32)
    part, part_clear = np.empty((2, listed[-1]), np.float32)
    sum_chunks(
        fragments.start, fragments.end, fragments.rank, fragments.falloff, fragments.weight, fragments.opacity,
        np.float32(ALPHA_MAX), node, first, last, ranks, nodes, part, part_clear,
    )  # fmt: skip
    touched, offsets, entry, _ = transpose(first, last, ranks, len(fragments.view.order))
    held = np.empty(len(entry), np.int32)
    weights, clear = np.zeros((2, len(entry)), np.float32)
    join_chunks(offsets, entry, nodes, part, part_clear, held, weights, clear)
    return np.repeat(fragments.view.order[touched], np.diff(offsets)), held, weights, clear


def _ascending(rows: np.ndarray, count: int) -> np.ndarray:
    """The order int [E] in which `rows` (int [E], each below `count`) ascend, if equal rows are neighbours.

    It takes a fraction of the time of sorting.
    """
    start = np.flatnonzero(np.diff(rows, prepend=-1))
    length = np.diff(start, append=len(rows))
    group = np.full(count, -1, np.int32)
    group[rows[start]] = np.arange(len(start), dtype=np.int32)
    order = group[group >= 0]
    first = np.cumsum(length[order]) - length[order]
    return np.repeat(start[order] - first, length[order]) + np.arange(len(rows))


def votes_of_all(views: MaskedViews, of_view: VotesOfView, reporter: Reporter) -> Votes:
    """Join the votes of every view that has masks; `of_view` computes those of one."""
    found: list[tuple[int, ViewVotes]] = []
    for number, camera in enumerate(reporter.track(views.cameras, len(views.cameras))):
        maps = views.level_maps(number)
        if maps is not None:
            found.append((number, of_view(camera, maps)))
    return _joined(len(views.scene), found)


@lru_cache(maxsize=4)  # the views of one scene have few sizes
def voting_pixels(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """(px, py) int32 [P] of every pixel that votes, in tile order."""
    ys, xs = np.mgrid[0:height:STRIDE, 0:width:STRIDE]
    py, px = ys.ravel().astype(np.int32), xs.ravel().astype(np.int32)
    order = tile_order(px, py, width)
    return px[order], py[order]


def combinations_of(ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(Combinations of mask ids int32 [K, L] that occur, int32 [P] which of them each pixel has).

    A pixel that is unlabelled at every level has -1. ids: int32 [L, P].
    """
    key = np.zeros(ids.shape[1], np.int64)
    for level in ids:  # one number per pixel: the combinations so far, renumbered, times the ids of this level
        _, key = np.unique(key * (int(level.max(initial=0)) + 1) + level, return_inverse=True)
    _, first, node = np.unique(key, return_index=True, return_inverse=True)
    combinations = ids[:, first].T
    node = node.astype(np.int32)
    node[(combinations == 0).all(axis=1).take(node)] = -1
    return combinations, node


def _joined(gaussians: int, found: list[tuple[int, ViewVotes]]) -> Votes:
    """Votes of the whole scene from those of its views, each with its camera number."""
    first_node = np.cumsum([0, *(len(part.combinations) for _, part in found)])
    ids = np.concatenate([part.combinations for _, part in found])
    view = np.concatenate([np.full(len(part.combinations), number, np.int32) for number, part in found])
    matrix, clear = _matrix(gaussians, [part for _, part in found], first_node)
    node_masks = np.full(ids.shape, -1, np.int32)
    mask_view, mask_id = [], []
    for level in range(ids.shape[1]):
        labelled = np.flatnonzero(ids[:, level] > 0)
        pairs, number = np.unique(np.stack([view[labelled], ids[labelled, level]], 1), axis=0, return_inverse=True)
        node_masks[labelled, level] = number.ravel()
        mask_view.append(pairs[:, 0].astype(np.int32))
        mask_id.append(pairs[:, 1].astype(np.int32))
    return Votes(matrix, clear, node_masks, mask_view, mask_id)


def _matrix(gaussians: int, parts: list[ViewVotes], first_node: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """`Votes.matrix` and `Votes.through` from the votes of each view; first_node int [V + 1]: the views' columns."""
    rows, nodes, pixels, through = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("gaussians", "nodes", "pixels", "through")
    )
    view_start = np.cumsum([0, *(len(part.gaussians) for part in parts)])
    edges = np.linspace(0, gaussians, STRETCHES + 1).astype(np.int64)
    kind: type = np.int32 if len(rows) <= np.iinfo(np.int32).max else np.int64
    count: np.ndarray = np.zeros(gaussians + 1, kind)
    entries_of_rows(view_start, rows, edges, count[1:])
    indptr: np.ndarray = np.cumsum(count, dtype=kind)
    indices: np.ndarray = np.empty(len(rows), kind)
    data, clear = np.empty_like(pixels), np.empty_like(through)
    join_views(
        view_start, first_node[:-1], rows, nodes, pixels, through, edges, indptr[:-1].copy(), indices, data, clear
    )
    return sp.csr_matrix((data, indices, indptr), (gaussians, int(first_node[-1]))), clear


def as_bytes(share: np.ndarray) -> np.ndarray:
    """Shares in 0..1 as uint8, 255 = 1."""
    return np.minimum(np.rint(share * 255), 255).astype(np.uint8)

"""FlashSplat-like: no training; every Gaussian takes the label that weighs most on it, summed over all views.

After Qiuhong Shen et al., FlashSplat: 2D to 3D Gaussian Splatting Segmentation Solved Optimally, ECCV 2024
(arXiv:2409.08270).

Kept: the sum A_e = sum over views and pixels of alpha_i T_i of the pixels labelled e, over every pixel, and its argmax,
which solves their integer program. All levels are summed in one walk over the views.
Left out: the background bias (there is no background here: unlabelled pixels say nothing), depth-guided filtering of
projected ids. The ids that must agree across views come from `ids`, where they used a tracker's or Gaussian Grouping's.
Drawn by the heaviest label of a pixel, with the engine's early stop (a label over one half is final).
"""

import numpy as np
import scipy.sparse as sp

from benchmarks.peers.frames import NONE, heaviest_label
from benchmarks.peers.scene import IdMaps, Partition, PeerScene
from bgs_engine.raster.cpu.fragments import FragmentLister, tile_order
from bgs_engine.raster.cpu.view import View

BYTES = 3 * 4  # one int32 label a level


def flashsplat_like(scene: PeerScene, ids: IdMaps) -> Partition:
    """Labels from ids that agree across views."""
    levels = len(ids[0])
    count = [max(int(maps[k].max()) for maps in ids) + 1 for k in range(levels)]
    total = [_empty(len(scene.raster), n) for n in count]
    lister = FragmentLister()
    for number, camera in enumerate(scene.cameras):
        ys, xs = np.mgrid[0 : camera.height, 0 : camera.width]
        py, px = ys.ravel().astype(np.int32), xs.ravel().astype(np.int32)
        order = tile_order(px, py, camera.width)
        py, px = py[order], px[order]
        fragments = lister.list(scene.views[number], px, py, scene.raster.opacities)
        lists = fragments.by_gaussian()
        weights = sp.csr_matrix(
            (fragments.weight[lists.fragment], lists.pixel, lists.offsets), (len(lists.rows), len(px))
        )
        for k in range(levels):
            of = ids[number][k][py, px]
            labelled = np.flatnonzero(of)
            shape = (len(px), count[k])
            one_hot = sp.csr_matrix((np.ones(len(labelled), np.float32), (labelled, of[labelled])), shape)
            sums = (weights @ one_hot).tocoo()
            total[k] = (total[k] + sp.csr_matrix((sums.data, (lists.rows[sums.row], sums.col)), total[k].shape)).tocsr()
    labels = [_heaviest_column(matrix) for matrix in total]

    def draw(view: View, level: int) -> np.ndarray:
        return heaviest_label(view, scene.raster.opacities, labels[level - 1])

    return Partition(labels, draw, BYTES, tuple(len(np.unique(own[own >= 0])) for own in labels))


def _empty(rows: int, columns: int) -> sp.csr_matrix:
    nothing = np.zeros(0, np.int32)
    return sp.csr_matrix((np.zeros(0, np.float32), (nothing, nothing)), (rows, columns))


def _heaviest_column(matrix: sp.csr_matrix) -> np.ndarray:
    """Argmax of every row, int32 [N]; NONE where a row is empty."""
    best = np.asarray(matrix.argmax(1)).ravel().astype(np.int32)
    best[np.diff(matrix.indptr) == 0] = NONE
    return best

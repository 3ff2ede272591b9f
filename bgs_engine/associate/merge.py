"""Merging masks of different views into segments of the scene, by the Gaussians they share.

Two groups of masks belong together when the Gaussians that both could have labelled mostly agree: intersection over
union, counted only over Gaussians labelled in the other's views. Sums over member masks are additive, so groups are
compared like masks, and masks of one view repel each other by themselves (they are disjoint, so they add to the
union alone). Each round merges all mutually best pairs, which makes a few dozen sparse products instead of
thousands of single merges.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp


@dataclass(frozen=True)
class MergeConfig:
    """When masks count as the same thing."""

    iou: float = 0.25  # least agreement of two groups that are merged (measured in docs/method.md)
    min_shared: int = 20  # Gaussians both groups could have labelled; fewer prove nothing
    min_overlap: float = 0.05  # of the smaller group's Gaussians that both could have labelled
    faint: float = 0.1  # of a Gaussian's best view: where less of it shows, it shines through what hides it
    max_gaussians: int = 300_000  # that take part, evenly drawn: bounds the cost for any scene


def merge_masks(masks: sp.csr_matrix, mask_view: np.ndarray, config: MergeConfig) -> np.ndarray:
    """Segment number of each mask, int32 [masks], 0 = most masks.

    Args:
        masks: CSR [N, masks], weight of each Gaussian in each mask.
        mask_view: int [masks], the camera of each.
        config: thresholds.
    """
    member = _best_mask_per_view(masks, mask_view, config)
    views = int(mask_view.max()) + 1
    count = masks.shape[1]
    of_view = sp.csr_matrix((np.ones(count, np.float32), (np.arange(count), mask_view)), (count, views))
    seen = (member @ of_view).tocsr()  # [G, views]: is the Gaussian labelled in the view
    group = np.arange(count)
    while True:
        groups = int(group.max()) + 1
        fold = sp.csr_matrix((np.ones(count, np.float32), (np.arange(count), group)), (count, groups))
        shares = (member @ fold).tocsr()
        both = (shares.T @ shares).tocoo()
        off = both.row < both.col
        a, b, inter = both.row[off], both.col[off], both.data[off]
        reach = (shares.T @ seen).toarray()  # [groups, views]: members' Gaussians labelled in each view
        parts = (fold.T @ of_view).toarray()  # [groups, views]: member masks in each view
        could = np.einsum("ev,ev->e", reach[a], parts[b]) + np.einsum("ev,ev->e", reach[b], parts[a]) - inter
        size = np.diff(shares.tocsc().indptr)
        enough = np.maximum(config.min_shared, config.min_overlap * np.minimum(size[a], size[b]))
        iou = np.where(could >= enough, inter / np.maximum(could, 1), 0)
        left, right = _mutual_best(a, b, iou, groups, config.iou)
        if not len(left):
            break
        target = np.arange(groups)
        target[right] = left
        _, group = np.unique(target[group], return_inverse=True)
    sizes = np.bincount(group)
    rank = np.empty(len(sizes), np.int32)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    return rank[group]


def _best_mask_per_view(masks: sp.csr_matrix, mask_view: np.ndarray, config: MergeConfig) -> sp.csr_matrix:
    """Binary CSR [G, masks]: the mask that each Gaussian contributes to most, in each view that shows it clearly."""
    voting = np.flatnonzero(np.diff(masks.indptr))
    step = -(-len(voting) // config.max_gaussians)
    coo = masks[voting[::step]].tocoo()
    row, col, data = coo.row, coo.col, coo.data
    order = np.lexsort((-data, mask_view[col], row))
    row, col, data = row[order], col[order], data[order]
    view = mask_view[col]
    first = np.ones(len(row), bool)
    first[1:] = (row[1:] != row[:-1]) | (view[1:] != view[:-1])
    row, col, data = row[first], col[first], data[first]
    clearest = np.zeros(coo.shape[0], np.float32)
    np.maximum.at(clearest, row, data)
    clear = data >= config.faint * clearest[row]
    shape = (coo.shape[0], masks.shape[1])
    return sp.csr_matrix((np.ones(int(clear.sum()), np.float32), (row[clear], col[clear])), shape)


def _mutual_best(
    a: np.ndarray, b: np.ndarray, iou: np.ndarray, groups: int, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs (a < b) with iou >= least that are each other's best partner; ties go to the lower number."""
    keep = iou >= least
    a, b, iou = a[keep], b[keep], iou[keep]
    ends, other, value = np.concatenate([a, b]), np.concatenate([b, a]), np.concatenate([iou, iou])
    order = np.lexsort((other, -value, ends))
    ends, other = ends[order], other[order]
    first = np.ones(len(ends), bool)
    first[1:] = ends[1:] != ends[:-1]
    best = np.full(groups, -1)
    best[ends[first]] = other[first]
    left = np.flatnonzero((best >= 0) & (best[np.maximum(best, 0)] == np.arange(groups)))
    left = left[left < best[left]]
    return left, best[left]

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

from bgs_engine.associate.one_hot import one_hot


@dataclass(frozen=True)
class MergeConfig:
    """When masks count as the same thing."""

    iou: float = 0.25  # least agreement of two groups that are merged (measured in docs/method.md)
    min_shared: int = 20  # Gaussians both groups could have labelled; fewer prove nothing
    min_overlap: float = 0.05  # of the smaller group's Gaussians that both could have labelled


def merge_masks(
    member: sp.csr_matrix, mask_view: np.ndarray, within: np.ndarray | None, config: MergeConfig
) -> np.ndarray:
    """Segment number of each mask, int32 [masks], 0 = most masks.

    Args:
        member: CSR float32 [G, masks] of zeros and ones, which Gaussians make up each mask: at most one mask a view
            (`members.members`).
        mask_view: int [masks], the camera of each.
        within: int [masks], the coarser segment of each; only masks of the same one merge. None at level 1.
        config: thresholds.
    """
    views = int(mask_view.max()) + 1
    count = member.shape[1]
    of_view = one_hot(mask_view, views)
    seen = (member @ of_view).tocsr()  # [G, views]: is the Gaussian labelled in the view
    group = np.arange(count)
    while True:
        groups = int(group.max()) + 1
        fold = one_hot(group, groups)
        shares = (member @ fold).tocsr()
        both = (shares.T @ shares).tocoo()
        pairs = both.row < both.col
        if within is not None:
            of_group = np.empty(groups, within.dtype)
            of_group[group] = within
            pairs &= of_group[both.row] == of_group[both.col]
        a, b, inter = both.row[pairs], both.col[pairs], both.data[pairs]
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

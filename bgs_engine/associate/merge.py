"""Merging masks of different views into segments of the scene, by the Gaussians they share.

Two groups of masks belong together if the Gaussians that both could have labelled mostly agree. The measure is IoU,
counted only over Gaussians that are labelled in the views of the other group. Sums over the masks of a group are
additive, so groups are compared like masks: one table of masks by masks serves all rounds. Masks of one view repel each
other, because they are disjoint and only add to the union. Each round merges all pairs that are each other's best, so
a few dozen rounds replace thousands of single merges.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from bgs_engine.associate.kernels import PARTS, group_sizes
from bgs_engine.associate.one_hot import columns_summed, one_hot

PAIRS_AT_ONCE = 100_000  # pairs of groups compared in one piece: it bounds the memory


@dataclass(frozen=True)
class MergeConfig:
    """Thresholds of merging."""

    iou: float = 0.25  # least IoU of two groups that are merged (measured in docs/lab-book.md)
    min_shared: int = 20  # least number of Gaussians that both groups could have labelled
    min_overlap: float = 0.05  # the same, as a share of the smaller group's Gaussians


def merge_masks(
    member: sp.csr_matrix, mask_view: np.ndarray, within: np.ndarray | None, config: MergeConfig
) -> np.ndarray:
    """Segment number of each mask, int32 [masks]; segment 0 has the most masks.

    Args:
        member: CSR float32 [G, masks] of zeros and ones, which Gaussians make up each mask: at most one mask a view
            (`members.members`).
        mask_view: int [masks], the camera of each.
        within: int [masks], the coarser segment of each; only masks of the same one merge. None at level 1.
        config: thresholds.
    """
    of_view = one_hot(mask_view, int(mask_view.max()) + 1)
    seen = columns_summed(member, mask_view, of_view.shape[1])  # [G, views]: is the Gaussian labelled in the view
    shared = (member.T @ member).tocsr()  # [masks, masks]: Gaussians in both
    reached = (member.T @ seen).toarray()  # [masks, views]: Gaussians of the mask that are labelled in the view
    group = np.arange(member.shape[1])
    while True:
        groups = int(group.max()) + 1
        fold = one_hot(group, groups)
        a, b, inter = _pairs(fold.T @ shared @ fold, group, within)
        could = _could_share(fold.T @ reached, (fold.T @ of_view).toarray(), a, b) - inter
        sizes_of_parts = np.zeros((PARTS, groups), np.int64)
        group_sizes(member.indptr, member.indices, group, sizes_of_parts)
        size = sizes_of_parts.sum(0)
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


def _pairs(
    both: sp.csr_matrix, group: np.ndarray, within: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a, b, shared) of all pairs a < b of groups that may merge and share Gaussians; int, int and float32 [pairs].

    both: CSR float32 [groups, groups], the Gaussians in both; group, within: int [masks].
    """
    pair = both.tocoo()
    allowed = pair.row < pair.col
    if within is not None:
        of_group = np.empty(both.shape[0], within.dtype)
        of_group[group] = within
        allowed &= of_group[pair.row] == of_group[pair.col]
    return pair.row[allowed], pair.col[allowed], pair.data[allowed]


def _could_share(reach: np.ndarray, parts: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many Gaussians of each pair of groups are labelled in the views of the other group, float32 [pairs].

    Args:
        reach: float32 [groups, views]: the Gaussians of the members that are labelled in each view.
        parts: float32 [groups, views]: the member masks in each view.
        a: int [pairs], groups.
        b: int [pairs], groups.
    """
    result = np.empty(len(a), np.float32)
    for first in range(0, len(a), PAIRS_AT_ONCE):
        some = slice(first, first + PAIRS_AT_ONCE)
        left, right = a[some], b[some]
        result[some] = np.einsum("ev,ev->e", reach[left], parts[right]) + np.einsum(
            "ev,ev->e", reach[right], parts[left]
        )
    return result


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

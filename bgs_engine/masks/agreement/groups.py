"""Candidates of different views that show the same Gaussians become one group.

The measure is the IoU of two groups, counted only over Gaussians that the views of both groups see. Sums over the
members of a group are additive. So the shared Gaussians of all pairs are counted once, for candidates, and groups add
up rows and columns of that table. Views that have a candidate of both groups say that they are two things, such as a
whole and its half; only groups that agree very well are joined against their word.
"""

import numpy as np
import scipy.sparse as sp

from bgs_engine.masks.agreement.members import Members

IOU_STEPS = (0.75, 0.65, 0.55, 0.45)  # least IoU, round after round: the surest pairs first
TWO_THINGS = 0.7  # of the views of the smaller group: if more have candidates of both, the groups stay apart
SURE = 0.7  # IoU from which they do not
FEWEST_GAUSSIANS = 12  # of a candidate, and that two groups could share


def grouped(members: Members) -> np.ndarray:
    """The group of each candidate, int32 [K], numbered without gaps; -1 for candidates of too few Gaussians."""
    inside = members.inside()
    used = np.flatnonzero(np.asarray(inside.sum(0)).ravel() >= FEWEST_GAUSSIANS)
    of = inside[:, used].tocsr()
    shared = np.asarray((of.T @ of).todense(), np.float32)  # [K, K] Gaussians in both
    clear = sp.csr_matrix(members.clear().astype(np.float32))
    seen = np.asarray((of.T @ clear).todense(), np.float32)  # [K, V] Gaussians of each that a view sees
    views = np.zeros_like(seen)
    views[np.arange(len(used)), members.view[used]] = 1
    group = np.arange(len(used))
    for least in IOU_STEPS:
        while True:
            overlap = _iou(shared, seen, views)
            if least < SURE:
                overlap[_told_apart(views)] = 0
            target = _mutual_best(overlap, least)
            numbers, target = np.unique(target, return_inverse=True)
            if len(numbers) == len(shared):
                break
            fold = sp.csr_matrix((np.ones(len(target), np.float32), (target, np.arange(len(target)))))
            shared = np.ascontiguousarray((fold @ (fold @ shared).T).T)
            seen, views = fold @ seen, fold @ views
            group = target[group]
    result = np.full(inside.shape[1], -1, np.int32)
    result[used] = group
    return result


def _iou(shared: np.ndarray, seen: np.ndarray, views: np.ndarray) -> np.ndarray:
    """IoU of all pairs of groups, float32 [S, S], 0 on the diagonal and for pairs that hardly meet."""
    union = seen @ views.T
    union = union + union.T - shared
    result = np.where(union >= FEWEST_GAUSSIANS, shared / np.maximum(union, 1), 0)
    np.fill_diagonal(result, 0)
    return result


def _told_apart(views: np.ndarray) -> np.ndarray:
    """Pairs of groups that many views have both, bool [S, S]; views: float32 [S, V], candidates of each view."""
    present = (views > 0).astype(np.float32)
    count = present.sum(1)
    return present @ present.T > TWO_THINGS * np.minimum(count[:, None], count)


def _mutual_best(iou: np.ndarray, least: float) -> np.ndarray:
    """For each group the lower number of its pair, int [S]: pairs are each other's best, with `least` or more."""
    if not len(iou):
        return np.zeros(0, np.int64)
    rows = np.arange(len(iou))
    best = iou.argmax(1)
    paired = (best[best] == rows) & (iou[rows, best] >= least)
    return np.where(paired, np.minimum(rows, best), rows)

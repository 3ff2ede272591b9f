"""The tree of the scene: segments that nest, chosen so that they explain as many candidates as they can.

A segment explains a candidate as well as the two fit. Each candidate counts once, by the chosen segment that explains
it best. So a second segment for the same thing gains nothing, and what many views see is chosen before what few see.
This is a covering problem with the condition that segments nest. The greedy choice is improved by exchanges.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bgs_engine.masks.agreement.segments import LEAST_VIEWS, Segments

WITHIN, APART = 0.6, 0.4  # share of a segment in another: above it lies inside, below it lies apart
SAME = 0.95  # IoU of segments that differ by chance alone
FEWEST_MEMBERS = 30  # drawn Gaussians of a segment
NO_FIT = 0.4  # IoU that explains nothing
LEAST_GAIN = 1.0  # perfect fits that a segment must add
LOSS_TRIED = 0.05  # of the value: an exchange that first loses more is not tried
EXCHANGES = 5  # passes over all segments


@dataclass(frozen=True)
class SceneTree:
    """The chosen segments, coarse before fine.

    segment: int [T], their numbers. parent: int [T], the place of the segment around each, -1 = none. depth: int [T],
    from 1. gain: float [T], what the value of the tree loses without the segment.
    """

    segment: np.ndarray
    parent: np.ndarray
    depth: np.ndarray
    gain: np.ndarray

    def most_children(self, depth: int) -> int:
        """The largest number of children at a depth that one parent has."""
        return int(np.bincount(self.parent[self.depth == depth] + 1, minlength=1).max())


def build_tree(segments: Segments, levels: int) -> SceneTree:
    """The tree, at most `levels` deep."""
    inside = segments.inside.astype(np.float32)
    size = inside.sum(0)
    shared = inside.T @ inside
    share = shared / np.maximum(size[:, None], 1)  # [S, S]: of a in b
    overlap = shared / np.maximum(size[:, None] + size - shared, 1)
    nests = (share > WITHIN) | (share.T > WITHIN) | ((share < APART) & (share.T < APART))
    agrees = nests & (overlap <= SAME)
    np.fill_diagonal(agrees, True)
    usable = np.flatnonzero((size >= FEWEST_MEMBERS) & (segments.views >= LEAST_VIEWS))
    cover = _Cover(np.maximum(segments.fit - np.float32(NO_FIT), 0) / np.float32(1 - NO_FIT))
    chosen = _chosen(cover, agrees, usable)
    return _as_tree(chosen, share, size, cover, levels)


class _Cover:
    """How well each segment explains each candidate, kept sparse."""

    def __init__(self, value: np.ndarray) -> None:
        """value: float32 [S, K]."""
        self.candidates = value.shape[1]
        self.explained = [np.flatnonzero(row) for row in value]
        self.value = [row[found] for row, found in zip(value, self.explained, strict=True)]

    def best(self, segments: Iterable[int]) -> np.ndarray:
        """The best value of each candidate, float32 [K]."""
        result = np.zeros(self.candidates, np.float32)
        for s in segments:
            self.add(result, s)
        return result

    def add(self, best: np.ndarray, segment: int) -> None:
        """Let a segment explain, too."""
        found = self.explained[segment]
        best[found] = np.maximum(best[found], self.value[segment])

    def gain(self, best: np.ndarray, segment: int) -> float:
        """What a segment adds."""
        return float(np.maximum(self.value[segment] - best[self.explained[segment]], 0).sum())


def _chosen(cover: _Cover, agrees: np.ndarray, usable: np.ndarray) -> list[int]:
    """Numbers of the chosen segments."""
    chosen = _filled(cover, agrees, usable, [])
    worth = _worth(cover, chosen)
    for _ in range(EXCHANGES):
        changed = False
        for s in usable.tolist():
            if s in chosen:
                continue
            kept = [c for c in chosen if agrees[s, c]] + [s]
            if _worth(cover, kept) < (1 - LOSS_TRIED) * worth:
                continue
            tried = _filled(cover, agrees, usable, kept)
            if _worth(cover, tried) > worth + 1e-6:
                chosen, worth, changed = tried, _worth(cover, tried), True
        if not changed:
            break
    return chosen


def _worth(cover: _Cover, chosen: list[int]) -> float:
    return float(cover.best(chosen).sum()) - LEAST_GAIN * len(chosen)


def _filled(cover: _Cover, agrees: np.ndarray, usable: np.ndarray, chosen: list[int]) -> list[int]:
    """The chosen segments and, greedily, all that nest with them and gain enough. A gain never grows."""
    chosen, best = list(chosen), cover.best(chosen)
    free = np.all(agrees[:, chosen], axis=1)
    heap = [(-cover.gain(best, s), s) for s in usable.tolist() if free[s] and s not in chosen]
    heapq.heapify(heap)
    while heap:
        _, s = heapq.heappop(heap)
        gain = cover.gain(best, s)
        if gain < LEAST_GAIN or not free[s]:
            continue
        if heap and gain < -heap[0][0]:
            heapq.heappush(heap, (-gain, s))
            continue
        chosen.append(s)
        cover.add(best, s)
        free &= agrees[:, s]
    return chosen


def _as_tree(chosen: list[int], share: np.ndarray, size: np.ndarray, cover: _Cover, levels: int) -> SceneTree:
    """Parents and depths. The least useful segment of each path that is too deep is left out."""
    order = np.array(sorted(chosen, key=lambda s: (-size[s], s)), np.int64)
    while True:
        parent = np.full(len(order), -1, np.int64)
        depth = np.ones(len(order), np.int64)
        for k in range(len(order)):
            around = np.flatnonzero(share[order[k], order[:k]] > WITHIN)
            if len(around):
                parent[k] = around[-1]  # the smallest one
                depth[k] = depth[parent[k]] + 1
        gain = np.array([cover.gain(cover.best(order[order != s]), s) for s in order.tolist()])
        if depth.max(initial=0) <= levels:
            return SceneTree(order, parent, depth, gain)
        path = [int(depth.argmax())]
        while parent[path[-1]] >= 0:
            path.append(int(parent[path[-1]]))
        order = np.delete(order, min(path, key=lambda k: gain[k]))

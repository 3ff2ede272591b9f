"""Overlapping scored masks of one image → a forest in which every pixel belongs to exactly one chain of masks.

A forest is one map of each pixel's deepest node, and one parent per node. Later steps need no more, because a level map
is a table look-up (levels.py). No stack of masks outlives this module.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from bgs_engine.masks.bits import MaskStack, iou

REFERENCE_PIXELS = 640 * 480  # areas below are given for an image of this size and grow with the image


@dataclass(frozen=True, kw_only=True)
class NestingConfig:
    """How masks become a forest. docs/method.md explains the values."""

    duplicate_iou: float = 0.9  # two masks that agree more than this are one; the better score stays
    inside_share: float = 0.9  # a mask is a child when more than this share of it lies inside a larger one
    keep_share: float = 0.5  # a mask that loses more than this share of its pixels to better ones is dropped
    min_area: int = 100  # pixels at 640x480; smaller masks and smaller rests are no segments of their own
    sliver: int = 2  # pixels at 640x480; rests thinner than twice this go to the neighbouring child; 0 = off

    @staticmethod
    def scale(masks: MaskStack) -> float:
        """Pixels of the image for each pixel at 640x480."""
        return masks.height * masks.width / REFERENCE_PIXELS


@dataclass(frozen=True)
class Forest:
    """Nested segments of one image.

    node_map: uint16 [H, W], the deepest node of each pixel, 1..K, 0 = under no mask.
    parents: int32 [K + 1], 0 = a root; parents[0] = 0. A parent's number is always smaller than its children's.
    scores: float32 [K + 1], of the mask that made the node.
    """

    node_map: np.ndarray
    parents: np.ndarray
    scores: np.ndarray

    @property
    def count(self) -> int:
        """Number of nodes K."""
        return len(self.parents) - 1

    def sum_up(self, own: np.ndarray) -> np.ndarray:
        """Totals of every node's subtree, [K + 1, ...], from values of its own pixels [K + 1, ...]."""
        total = own.copy()
        for k in range(self.count, 0, -1):
            if self.parents[k]:
                total[self.parents[k]] += total[k]
        return total

    def areas(self) -> np.ndarray:
        """Pixels of every node with all its descendants, int64 [K + 1]; entry 0 counts the pixels of no node."""
        return self.sum_up(np.bincount(self.node_map.ravel(), minlength=self.count + 1))


def build_forest(masks: MaskStack, config: NestingConfig | None = None) -> Forest:
    """Drop duplicates, nest masks and resolve partial overlaps. The order of the input does not matter.

    A child is clipped to its parent, and siblings are disjoint. If two masks overlap and neither contains the other,
    the better score keeps the pixels. Pixels that no child of a node covers stay with the node.
    """
    config = config or NestingConfig()
    min_area = max(1, round(config.min_area * config.scale(masks)))
    masks = _in_canonical_order(masks, min_area)
    shared = masks.intersections()
    distinct = _distinct(shared, config.duplicate_iou)
    masks, shared = masks.take(distinct), shared[np.ix_(distinct, distinct)]
    parents = _containers(shared, config.inside_share)
    return _renumber(tidied(_paint(masks, parents, min_area, config.keep_share), config, masks))


def _in_canonical_order(masks: MaskStack, min_area: int) -> MaskStack:
    """Best score first; ties by area, then by content, so that any permutation of the input gives the same stack."""
    areas = masks.areas()
    rows = [k for k in range(len(masks)) if areas[k] >= min_area]
    rows.sort(key=lambda k: (-float(masks.scores[k]), -int(areas[k]), masks.bits[k].tobytes()))
    return masks.take(np.array(rows, np.int64))


def _distinct(shared: np.ndarray, limit: float) -> np.ndarray:
    """Rows of the masks that no better one repeats; shared pixels [K, K], best mask first."""
    same = iou(shared) > limit
    keep = np.ones(len(shared), bool)
    for k in range(len(shared)):
        if keep[k]:
            keep[k + 1 :] &= ~same[k, k + 1 :]
    return np.nonzero(keep)[0]


def _containers(shared: np.ndarray, inside_share: float) -> np.ndarray:
    """Row of the smallest mask that each lies inside, int [K]; -1 = none. Containers are larger, so no cycle arises."""
    if not len(shared):
        return np.zeros(0, np.int64)
    areas = np.diag(shared)
    inside = (shared > inside_share * areas[:, None]) & (areas[None, :] > areas[:, None])
    candidates = np.where(inside, areas[None, :], np.iinfo(np.int64).max)
    return np.where(inside.any(1), candidates.argmin(1), -1)


def _paint(masks: MaskStack, container: np.ndarray, min_area: int, keep_share: float) -> Forest:
    """Give every pixel its deepest node, coarse to fine, better scores first among siblings.

    A dropped mask hands its children to its own container; they are tried one round later.
    """
    node_map = np.zeros((masks.height, masks.width), np.uint16)
    children: dict[int, list[int]] = {}
    for k, parent in enumerate(container.tolist()):
        children.setdefault(parent, []).append(k)
    parents, scores = [0], [0.0]
    waiting = [(k, 0) for k in children.get(-1, [])]  # mask, node it must lie in
    while waiting:
        following = []
        for k, parent in sorted(waiting):
            mask = masks.mask(k)
            box = _bounding_box(mask)
            own = mask[box] & (node_map[box] == parent)
            node = parent
            if np.count_nonzero(own) >= max(min_area, keep_share * np.count_nonzero(mask[box])):
                node = len(parents)
                node_map[box][own] = node
                parents.append(parent)
                scores.append(float(masks.scores[k]))
            following += [(child, node) for child in children.get(k, [])]
        waiting = following
    return Forest(node_map, np.array(parents, np.int32), np.array(scores, np.float32))


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def tidied(forest: Forest, config: NestingConfig, masks: MaskStack) -> Forest:
    """The forest with rests that are too small or too thin given to the nearest child; the numbers stay.

    The masks of a part and of the whole never end on the same pixel. Without this step every object would have a rim.
    Pixels move only from a node to its descendants, so the forest stays nested.
    """
    min_area = max(1, round(config.min_area * config.scale(masks)))
    sliver = round(config.sliver * config.scale(masks) ** 0.5)
    node_map, parents = forest.node_map.copy(), forest.parents
    for node in np.unique(parents[parents > 0]).tolist():  # coarse to fine: what moves down may move on
        inside = _subtree(parents, node)[node_map]
        box = _bounding_box(inside)
        here = node_map[box]
        rest = here == node
        children = inside[box] & ~rest
        if not rest.any() or not children.any():
            continue
        small = np.count_nonzero(rest) < min_area
        thin = rest if small or not sliver else rest & ~ndimage.binary_opening(rest, iterations=sliver)
        if not (small or (sliver and thin.any())):
            continue
        distance, nearest = ndimage.distance_transform_edt(~children, return_indices=True)
        moved = thin & (distance <= 2 * sliver)  # thin and far from every child is a shape of its own, not a rim
        if small or np.count_nonzero(rest & ~moved) < min_area:
            moved = rest
        here[moved] = here[nearest[0][moved], nearest[1][moved]]
    return Forest(node_map, parents, forest.scores)


def _subtree(parents: np.ndarray, node: int) -> np.ndarray:
    """Which nodes are `node` or below it, bool [K + 1]."""
    below = np.zeros(len(parents), bool)
    below[node] = True
    for k in range(node + 1, len(parents)):  # parents come before children
        below[k] = below[parents[k]]
    return below


def _renumber(forest: Forest) -> Forest:
    """Drop nodes without pixels or with the very pixels of their only child; number parents first, large first."""
    areas = forest.areas()
    kept = areas > 0
    kept[0] = True
    only = np.zeros(forest.count + 1, bool)
    for k in range(1, forest.count + 1):
        parent = forest.parents[k]
        if kept[k] and parent and areas[parent] == areas[k]:
            only[parent] = True  # the child says the same and more finely
    parents = forest.parents.copy()
    for k in range(1, forest.count + 1):  # parents first, so chains of skipped nodes resolve in one pass
        parent = parents[k]
        if parent and only[parent]:
            parents[k] = parents[parent]
    kept &= ~only
    depth = np.zeros(forest.count + 1, np.int64)
    for k in range(1, forest.count + 1):
        depth[k] = depth[parents[k]] + 1
    old = np.nonzero(kept)[0][1:]
    old = old[np.lexsort((old, -areas[old], depth[old]))]
    number = np.zeros(forest.count + 1, np.uint16)
    number[old] = np.arange(1, len(old) + 1)
    new_parents = np.concatenate([[0], number[parents[old]]]).astype(np.int32)
    scores = np.concatenate([[0], forest.scores[old]]).astype(np.float32)
    return Forest(number[forest.node_map], new_parents, scores)

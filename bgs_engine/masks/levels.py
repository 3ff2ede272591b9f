"""A forest of masks → L nested level maps, cut where masks are larger than a size in the scene.

The depth in the tree is no measure. The same chair is a root in one view and the child of a "furniture" mask in the
next. Its size in the world is the same in both, so sizes decide the levels. Their limits hold for the whole scene.
"""

from collections.abc import Sequence

import numpy as np

from bgs_engine.core.errors import UsageError
from bgs_engine.masks.nesting import Forest

MAX_LEVELS = 4


def size_limits(sizes: Sequence[np.ndarray], quantiles: Sequence[float]) -> np.ndarray:
    """Sizes above which a mask is divided at levels 1..L-1, float64 [len(quantiles)], descending.

    Args:
        sizes: one array a view with the sizes of its nodes.
        quantiles: descending, in 0..1.
    """
    everything = np.concatenate([np.asarray(s, np.float64) for s in sizes]) if sizes else np.zeros(0)
    if not len(everything):
        return np.full(len(quantiles), np.inf)
    return np.quantile(everything, quantiles)


def cut_levels(forest: Forest, sizes: np.ndarray, limits: np.ndarray, levels: int) -> np.ndarray:
    """Nested level maps, uint16 [L, H, W]. Ids are 1..n at each level, and 0 stands exactly where no mask was.

    At a level with limit s a pixel belongs to the largest node over it that is no larger than s, else to its deepest
    node. The last of several levels has no limit: the deepest nodes. A node that cannot be divided repeats itself.

    Args:
        sizes: [K + 1], any unit; a child larger than its parent counts as large as its parent.
        limits: [max(1, L - 1)], descending, in the unit of `sizes`.
    """
    check_levels(levels)
    bounded = _bounded(forest, sizes)
    tables = [_representatives(forest, bounded, limit) for limit in limits]
    if levels > 1:
        tables.append(np.arange(forest.count + 1))
    return np.stack([_dense(table, forest.node_map) for table in tables[:levels]])


def check_levels(levels: int) -> None:
    """Raise `UsageError` unless 1 <= levels <= 4."""
    if not 1 <= levels <= MAX_LEVELS:
        raise UsageError(f"{levels} levels cannot be made.", f"Give --levels a number from 1 to {MAX_LEVELS}.")


def _bounded(forest: Forest, sizes: np.ndarray) -> np.ndarray:
    bounded = sizes.copy()
    for k in range(1, forest.count + 1):
        if forest.parents[k]:
            bounded[k] = min(bounded[k], bounded[forest.parents[k]])
    return bounded


def _representatives(forest: Forest, sizes: np.ndarray, limit: float) -> np.ndarray:
    """For every node the node that stands for it at this limit, int64 [K + 1]."""
    stands = np.arange(forest.count + 1)
    for k in range(1, forest.count + 1):
        parent = forest.parents[k]
        if parent and (stands[parent] != parent or sizes[parent] <= limit):
            stands[k] = stands[parent]
    return stands


def _dense(table: np.ndarray, node_map: np.ndarray) -> np.ndarray:
    present = np.unique(table[np.unique(node_map)])
    present = present[present > 0]
    number = np.zeros(len(table), np.uint16)
    number[present] = np.arange(1, len(present) + 1)
    return number[table][node_map]

"""Groups the pixels of a view by their labels, on the device."""

import numpy as np
import warp as wp

from bgs_engine.raster.warp.kernels import grouping


def sort_by_labels(ids: wp.array, largest: np.ndarray) -> tuple[wp.array, wp.array]:
    """(order int32 [2 P], its first P entries count; numbers int32 [P]: from 1, of the combination of labels).

    ids int32 [L, P] by level, coarse first; largest [L]: of each level's ids.
    """
    levels, count = ids.shape
    keys = wp.empty(2 * count, dtype=wp.int32, device=ids.device)
    order = wp.empty(2 * count, dtype=wp.int32, device=ids.device)
    wp.launch(grouping.count_up, count, [], [order], device=ids.device)
    for level in reversed(range(levels)):
        wp.launch(grouping.level_keys, count, [ids, level, order], [keys], device=ids.device)
        wp.utils.radix_sort_pairs(keys, order, count, 0, max(1, int(largest[level]).bit_length()))
    heads, numbers = keys[:count], wp.empty(count, dtype=wp.int32, device=ids.device)
    wp.launch(grouping.node_heads, count, [ids, order], [heads], device=ids.device)
    wp.utils.array_scan(heads, numbers, inclusive=True)
    return order, numbers

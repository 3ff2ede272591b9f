"""Finds the labelled pixels of a view and groups them by their labels, on the device."""

import numpy as np
import warp as wp

from bgs_engine.raster.warp.kernels import grouping
from bgs_engine.raster.warp.view import to_device


def upload_maps(level_maps: np.ndarray, device: str) -> tuple[wp.array, np.ndarray]:
    """(The maps uint16 [L, P] on the device, the largest id of each level [L]); level_maps int [L, H, W].

    Raises:
        ValueError: an id above 65,535, which no file of masks holds (`io.masks`).
    """
    flat = level_maps.reshape(len(level_maps), -1)
    largest = flat.max(1, initial=0)
    if largest.max(initial=0) > np.iinfo(np.uint16).max:
        raise ValueError(f"A mask has the id {largest.max()}. Ids end at {np.iinfo(np.uint16).max}.")
    return to_device(flat.astype(np.uint16), wp.uint16, device), largest


def labelled_pixels(maps: wp.array, leading: int) -> tuple[wp.array, wp.array]:
    """(ids int32 [L, K], flat pixel numbers int32 [K]) of the labelled pixels; waits for the device.

    maps: uint16 [L, P], 0 = unlabelled; leading: a pixel is labelled if one of that many first levels has a label.
    """
    levels, pixels = maps.shape
    if not pixels:
        none = wp.empty(0, dtype=wp.int32, device=maps.device)
        return none.reshape((levels, 0)), none
    marks, places = (wp.empty(pixels, dtype=wp.int32, device=maps.device) for _ in range(2))
    wp.launch(grouping.mark_labelled, pixels, [maps, leading], [marks], device=maps.device)
    wp.utils.array_scan(marks, places, inclusive=True)
    count = int(places[-1:].numpy()[0])
    ids = wp.empty((levels, count), dtype=wp.int32, device=maps.device)
    flat = wp.empty(count, dtype=wp.int32, device=maps.device)
    wp.launch(grouping.gather_labelled, pixels, [maps, marks, places], [ids, flat], device=maps.device)
    return ids, flat


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

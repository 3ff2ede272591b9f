"""Sorting a view's pixels by their labels, and drawing a step's pixels from them."""

import warp as wp

from bgs_engine.raster import semantics
from bgs_engine.raster.warp.kernels import NO_ADJOINT

wp.set_module_options(NO_ADJOINT)

TILE = wp.constant(int(semantics.TILE))


@wp.kernel
def level_keys(ids: wp.array2d[wp.int32], level: wp.int32, order: wp.array[wp.int32], keys: wp.array[wp.int32]):
    """keys [P] = ids of one level in the present order; ids [L, P]."""
    k = wp.tid()
    keys[k] = ids[level, order[k]]


@wp.kernel
def count_up(order: wp.array[wp.int32]):
    """0, 1, 2, ..."""
    k = wp.tid()
    order[k] = k


@wp.kernel
def node_heads(ids: wp.array2d[wp.int32], order: wp.array[wp.int32], heads: wp.array[wp.int32]):
    """1 where a pixel's labels differ at any level from those of the pixel before it, [P]."""
    k = wp.tid()
    head = wp.int32(0)
    if k == 0:
        head = 1
    else:
        for level in range(ids.shape[0]):
            if ids[level, order[k]] != ids[level, order[k - 1]]:
                head = 1
    heads[k] = head


@wp.kernel
def write_nodes(
    ids: wp.array2d[wp.int32],
    order: wp.array[wp.int32],
    numbers: wp.array[wp.int32],
    flat: wp.array[wp.int32],
    sorted_flat: wp.array[wp.int32],
    start: wp.array[wp.int32],
    labels: wp.array2d[wp.int32],
):
    """Flat pixel numbers in sorted order [P]; start [K] and labels [K, L] of the nodes; numbers [P] count from 1."""
    k = wp.tid()
    sorted_flat[k] = flat[order[k]]
    node = numbers[k] - 1
    if k == 0 or numbers[k - 1] - 1 != node:
        start[node] = k
        for level in range(ids.shape[0]):
            labels[node, level] = ids[level, order[k]]


@wp.kernel
def draw(
    seed: wp.int32,
    uniform: wp.int32,
    masks: wp.int32,
    width: wp.int32,
    tiles_x: wp.int32,
    pixels: wp.array[wp.int32],
    mask_start: wp.array[wp.int32],
    mask_end: wp.array[wp.int32],
    level_start: wp.array[wp.int32],
    used_levels: wp.array[wp.int32],
    keys: wp.array[wp.int32],
    positions: wp.array[wp.int32],
):
    """Draw t is uniform over the labelled pixels, or, from `uniform` on, out of mask slot (t - uniform) % masks.

    A slot's mask: a level first, then one of its masks; else the many fine masks would take all the pixels.
    keys: the pixel's place when tiles are walked one by one, which also says column and row.
    """
    t = wp.tid()
    state = wp.rand_init(seed, t)
    at = wp.int32(0)
    if t < uniform:
        at = wp.randi(state, 0, pixels.shape[0])
    else:
        slot = (t - uniform) % masks
        of_slot = wp.rand_init(seed, -1 - slot)  # the same for all pixels of a slot
        level = used_levels[wp.randi(of_slot, 0, used_levels.shape[0])]
        mask = wp.randi(of_slot, level_start[level], level_start[level + 1])
        at = wp.randi(state, mask_start[mask], mask_end[mask])
    y = pixels[at] // width
    x = pixels[at] - y * width
    keys[t] = ((y // TILE) * tiles_x + x // TILE) * (TILE * TILE) + (y % TILE) * TILE + x % TILE
    positions[t] = at


@wp.kernel
def take_once(
    keys: wp.array[wp.int32],
    positions: wp.array[wp.int32],
    tiles_x: wp.int32,
    node_start: wp.array[wp.int32],
    px: wp.array[wp.int32],
    py: wp.array[wp.int32],
    node: wp.array[wp.int32],
    drawn: wp.array[wp.int32],
):
    """Column, row and node of sorted draws; -1 for a pixel that the draw before has. drawn[0]: how many are left."""
    t = wp.tid()
    key = keys[t]
    if t > 0 and keys[t - 1] == key:
        px[t] = -1
        py[t] = -1
        node[t] = -1
        return
    cell, inside = key // (TILE * TILE), key % (TILE * TILE)
    px[t] = (cell % tiles_x) * TILE + inside % TILE
    py[t] = (cell // tiles_x) * TILE + inside // TILE
    low, high = wp.int32(0), node_start.shape[0] - 1  # the last entry is the number of pixels
    while high - low > 1:
        middle = (low + high) // 2
        if node_start[middle] <= positions[t]:
            low = middle
        else:
            high = middle
    node[t] = low
    wp.atomic_add(drawn, 0, 1)

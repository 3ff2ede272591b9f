"""Drawing a step's pixels from a view's pixels, which are sorted by their labels."""

import warp as wp

from bgs_engine.raster import semantics
from bgs_engine.raster.warp.kernels import NO_ADJOINT

wp.set_module_options(NO_ADJOINT)

TILE = wp.constant(int(semantics.TILE))


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

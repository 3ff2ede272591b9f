"""Depth-ordered lists of Gaussians per square tile: count, fill (tile, rank) pairs; sorted by tile, find stretches."""

import warp as wp

from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.project import CULLED

wp.set_module_options(NO_ADJOINT)


@wp.func
def first_not_below(values: wp.array[wp.int32], count: wp.int32, value: wp.int32):
    """First place of the sorted values[:count] that is not below `value`, or count (wp.lower_bound ends one short)."""
    low, high = wp.int32(0), count
    while low < high:
        middle = (low + high) // 2
        if values[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@wp.func
def touches(
    mx: wp.float32, my: wp.float32, cxx: wp.float32, cxy: wp.float32, cyy: wp.float32,
    x0: wp.float32, y0: wp.float32, x1: wp.float32, y1: wp.float32, cap: wp.float32,
):  # fmt: skip
    """Whether the smallest q over the rectangle of pixel centres is within the cap: exact, two edges suffice."""
    if x0 <= mx and mx <= x1 and y0 <= my and my <= y1:
        return True
    dx = wp.where(mx < x0, x0, x1) - mx
    dy = wp.min(wp.max(my - cxy * dx / cyy, y0), y1) - my
    if cxx * dx * dx + 2.0 * cxy * dx * dy + cyy * dy * dy <= cap:
        return True
    dy = wp.where(my < y0, y0, y1) - my
    dx = wp.min(wp.max(mx - cxy * dy / cxx, x0), x1) - mx
    return cxx * dx * dx + 2.0 * cxy * dx * dy + cyy * dy * dy <= cap


@wp.func
def first_tile(low: wp.float32, tile: wp.float32):
    """Tile of the coordinate `low`, at least 0; far outside values would not fit an integer."""
    return wp.int32(wp.floor(wp.max(low, 0.0) / tile))


@wp.func
def last_tile(high: wp.float32, tile: wp.float32, tiles: wp.int32):
    """Tile of the coordinate `high`, at most the last one; below 0 where it lies outside."""
    return wp.int32(wp.floor(wp.min(wp.max(high, -tile), wp.float32(tiles) * tile - 1.0) / tile))


@wp.kernel
def gather_and_count(
    records: wp.array2d[wp.float32],
    ids: wp.array[wp.int32],
    depths: wp.array[wp.float32],
    tiles_x: wp.int32,
    tiles_y: wp.int32,
    tile: wp.int32,
    ordered: wp.array2d[wp.float32],
    counts: wp.array[wp.int32],
):
    """Records in depth order [N, 8] and how many tiles each touches [N]; 0 and no record where it is not visible.

    ids, depths: sorted by depth.
    """
    r = wp.tid()
    counts[r] = 0
    if depths[r] >= CULLED:
        return
    i = ids[r]
    for k in range(8):
        ordered[r, k] = records[i, k]
    size = wp.float32(tile)
    mx, my, ex, ey = ordered[r, 0], ordered[r, 1], ordered[r, 5], ordered[r, 6]
    xa, xb = first_tile(mx - ex, size), last_tile(mx + ex, size, tiles_x)
    ya, yb = first_tile(my - ey, size), last_tile(my + ey, size, tiles_y)
    cxx, cxy, cyy, cap = ordered[r, 2], ordered[r, 3], ordered[r, 4], ordered[r, 7]
    single = xa == xb and ya == yb
    count = wp.int32(0)
    for y in range(ya, yb + 1):
        for x in range(xa, xb + 1):
            x0, y0 = wp.float32(x * tile) + 0.5, wp.float32(y * tile) + 0.5
            if single or touches(mx, my, cxx, cxy, cyy, x0, y0, x0 + size - 1.0, y0 + size - 1.0, cap):
                count += 1
    counts[r] = count


@wp.kernel
def fill_pairs(
    ordered: wp.array2d[wp.float32],
    counts: wp.array[wp.int32],
    ends: wp.array[wp.int32],
    tiles_x: wp.int32,
    tiles_y: wp.int32,
    tile: wp.int32,
    capacity: wp.int32,
    tile_of: wp.array[wp.int32],
    ranks: wp.array[wp.int32],
):
    """Pairs (tile, rank), nearest Gaussians first; what does not fit `capacity` is left out, so the farthest go.

    counts [N]: of `gather_and_count`; ends [N]: their inclusive sum.
    """
    r = wp.tid()
    if counts[r] == 0:
        return
    at = ends[r] - counts[r]
    size = wp.float32(tile)
    mx, my, ex, ey = ordered[r, 0], ordered[r, 1], ordered[r, 5], ordered[r, 6]
    xa, xb = first_tile(mx - ex, size), last_tile(mx + ex, size, tiles_x)
    ya, yb = first_tile(my - ey, size), last_tile(my + ey, size, tiles_y)
    cxx, cxy, cyy, cap = ordered[r, 2], ordered[r, 3], ordered[r, 4], ordered[r, 7]
    single = xa == xb and ya == yb
    for y in range(ya, yb + 1):
        for x in range(xa, xb + 1):
            x0, y0 = wp.float32(x * tile) + 0.5, wp.float32(y * tile) + 0.5
            if single or touches(mx, my, cxx, cxy, cyy, x0, y0, x0 + size - 1.0, y0 + size - 1.0, cap):
                if at < capacity:
                    tile_of[at] = y * tiles_x + x
                    ranks[at] = r
                at += 1


@wp.kernel
def count_visible(depths: wp.array[wp.float32], count: wp.int32, visible: wp.array[wp.int32]):
    """visible[0]: how many of the first `count` depths, which are sorted, belong to visible Gaussians. One thread."""
    low, high = wp.int32(0), wp.int32(count)
    while low < high:
        middle = (low + high) // 2
        if depths[middle] < CULLED:
            low = middle + 1
        else:
            high = middle
    visible[0] = low


@wp.kernel
def find_stretches(tile_of: wp.array[wp.int32], ends: wp.array[wp.int32], capacity: wp.int32,
                   offsets: wp.array[wp.int32]):  # fmt: skip
    """offsets [T + 1]: where each tile's stretch begins in the sorted pairs."""
    t = wp.tid()
    offsets[t] = first_not_below(tile_of, wp.min(ends[ends.shape[0] - 1], capacity), t)


@wp.kernel
def keep_first_columns(ordered: wp.array2d[wp.float32], kept: wp.array2d[wp.float32]):
    """The columns that compositing needs."""
    r, k = wp.tid()
    kept[r, k] = ordered[r, k]

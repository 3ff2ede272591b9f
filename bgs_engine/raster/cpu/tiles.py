"""Depth-ordered lists of Gaussians per 16 x 16 tile, without a sort of pairs.

Parts of the depth-sorted records are scanned in parallel, once to count and once to fill. Each part has its own stretch
of every list, and the stretches follow each other, so every list is in depth order.
"""

import math

import numpy as np
from numba import prange

from bgs_engine.raster.cpu.jit import inline, parallel
from bgs_engine.raster.cpu.project import CONIC_XX, CONIC_XY, CONIC_YY, EXTENT_X, EXTENT_Y, X, Y

PARTS = 16  # of the records; enough for all threads, and each needs a number for each tile


@inline
def _touches(mx, my, cxx, cxy, cyy, x0, y0, x1, y1, extent_cap):
    """Whether the smallest q over the rectangle of pixel centres is within the cap: exact, two edges suffice."""
    if x0 <= mx <= x1 and y0 <= my <= y1:
        return True
    dx = (x0 if mx < x0 else x1) - mx
    dy = min(max(my - cxy * dx / cyy, y0), y1) - my
    if cxx * dx * dx + 2 * cxy * dx * dy + cyy * dy * dy <= extent_cap:
        return True
    dy = (y0 if my < y0 else y1) - my
    dx = min(max(mx - cxy * dy / cxx, x0), x1) - mx
    return cxx * dx * dx + 2 * cxy * dx * dy + cyy * dy * dy <= extent_cap


@parallel
def tile_lists(records, tiles_x, tiles_y, tile, extent_cap):
    """(offsets int64 [T + 1], ranks int32 [K]): ranks[offsets[t]:offsets[t + 1]] are the records that touch tile t."""
    n = records.shape[0]
    tiles = tiles_x * tiles_y
    half = records.dtype.type(0.5)
    place = np.zeros((PARTS, tiles), np.int64)  # first counts, then the next free place, of each part in each list
    offsets = np.zeros(tiles + 1, np.int64)
    ranks = np.empty(0, np.int32)
    for fill in range(2):
        if fill:
            total = 0
            for i in range(tiles):
                for part in range(PARTS):
                    count = place[part, i]
                    place[part, i] = total
                    total += count
                offsets[i + 1] = total
            ranks = np.empty(total, np.int32)
        for part in prange(PARTS):
            for r in range(part * n // PARTS, (part + 1) * n // PARTS):
                mx, my, ex, ey = records[r, X], records[r, Y], records[r, EXTENT_X], records[r, EXTENT_Y]
                ya = max(0, math.floor((my - ey) / tile))
                yb = min(tiles_y - 1, math.floor((my + ey) / tile))
                xa = max(0, math.floor((mx - ex) / tile))
                xb = min(tiles_x - 1, math.floor((mx + ex) / tile))
                cxx, cxy, cyy = records[r, CONIC_XX], records[r, CONIC_XY], records[r, CONIC_YY]
                single = xa == xb and ya == yb
                for y in range(ya, yb + 1):
                    for x in range(xa, xb + 1):
                        x0, y0 = x * tile + half, y * tile + half
                        x1, y1 = x0 + tile - 1, y0 + tile - 1
                        if single or _touches(mx, my, cxx, cxy, cyy, x0, y0, x1, y1, extent_cap):
                            if fill:
                                ranks[place[part, y * tiles_x + x]] = r
                            place[part, y * tiles_x + x] += 1
    return offsets, ranks

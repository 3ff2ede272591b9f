"""Which Gaussians of a tile's list touch a few of its pixels, and how far each pixel is from them.

Neighbouring pixels share a short list, gathered block by block, as far as one of them looks. It leaves out what none
of them can touch. The columns of a block are contiguous, so distances come several at a time.
"""

import math

import numpy as np

from bgs_engine.raster.cpu.jit import parallel, prange, serial
from bgs_engine.raster.cpu.project import CONIC_XX, CONIC_XY, CONIC_YY, EXTENT_X, EXTENT_Y, X, Y

BANDS = 32  # of a picture's lines or pixels, interleaved: every thread gets its share of the crowded parts of a picture
LANES = 64  # Gaussians of a block; more are gathered in vain where pixels are opaque
# Rows of a block: centre, conic (the middle entry doubled), cutoff, opacity, distances of the last pixel.
NEAR_X, NEAR_Y, NEAR_XX, NEAR_XY, NEAR_YY, CUTOFF, OPACITY, DISTANCE = range(8)
ROWS = 8


@parallel
def opacity_cutoffs(order, opacities, alpha_min, extent_cap):
    """Opacity [M] in depth order, and the q [M] beyond which alpha falls below ALPHA_MIN (-1: nowhere visible)."""
    t = opacities.dtype.type
    opacity = np.empty(order.size, opacities.dtype)
    cutoff = np.empty(order.size, opacities.dtype)
    for r in prange(order.size):
        o = opacities[order[r]]
        opacity[r] = o
        cutoff[r] = min(t(2) * math.log(o / alpha_min), extent_cap) if o > alpha_min else t(-1)
    return opacity, cutoff


@serial
def longest_list(offsets):
    """Length of the longest of the lists that begin and end at offsets [T + 1]."""
    longest = 0
    for cell in range(offsets.size - 1):
        longest = max(longest, offsets[cell + 1] - offsets[cell])
    return longest


@serial
def gather_near(ranks, source, source_end, records, opacity, cutoff, extent_cap, left, right, top, bottom,
                 number, block):  # fmt: skip
    """Fill number [LANES] and block [ROWS, LANES] with the next Gaussians that can touch a rectangle of pixel centres.

    Returns where to go on in `ranks`, and how many were found: less than LANES at the end of the list.
    """
    t = records.dtype.type
    zero = t(0)
    held = 0
    while source < source_end and held < LANES:
        r = ranks[source]
        source += 1
        reach = cutoff[r] * t(1.001)  # a little more, for rounding: no Gaussian is left out that a pixel would take
        dx = max(zero, max(left - records[r, X], records[r, X] - right))
        dy = max(zero, max(top - records[r, Y], records[r, Y] - bottom))
        ex, ey = records[r, EXTENT_X], records[r, EXTENT_Y]
        if dx * dx * extent_cap <= ex * ex * reach and dy * dy * extent_cap <= ey * ey * reach:
            number[held] = r
            block[NEAR_X, held], block[NEAR_Y, held] = records[r, X], records[r, Y]
            block[NEAR_XX, held], block[NEAR_YY, held] = records[r, CONIC_XX], records[r, CONIC_YY]
            block[NEAR_XY, held] = records[r, CONIC_XY] + records[r, CONIC_XY]
            block[CUTOFF, held], block[OPACITY, held] = cutoff[r], opacity[r]
            held += 1
    return source, held


@serial
def find_hits(block, count, x, y, q, hit):
    """Fill q and hit [LANES] with the distances and places of those of a block whose cutoff the point (x, y) is within.

    Returns how many there are. Without a branch: every second one would be mispredicted, which costs more.
    """
    mx, my, cxx, cxy, cyy = block[NEAR_X], block[NEAR_Y], block[NEAR_XX], block[NEAR_XY], block[NEAR_YY]
    cut, all_q = block[CUTOFF], block[DISTANCE][:count]
    for j in range(all_q.size):  # vector instructions: slices have no negative index
        dx, dy = mx[j] - x, my[j] - y
        all_q[j] = cxx[j] * dx * dx + cxy[j] * dx * dy + cyy[j] * dy * dy
    hits = 0
    for j in range(all_q.size):
        hit[hits] = j
        q[hits] = all_q[j]
        hits += 1 if all_q[j] <= cut[j] else 0
    return hits

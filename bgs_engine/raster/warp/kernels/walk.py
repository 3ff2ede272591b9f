"""A pixel's lanes walk its tile's list front to back, as `raster.semantics` says: first counting, then writing."""

import warp as wp

from bgs_engine.raster import semantics
from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.lanes import first_lane, lanes_before, lanes_with, of_lane

wp.set_module_options(NO_ADJOINT)

BLOCK = 64  # threads a block: two pixels on a card

ALPHA_MAX = wp.constant(float(semantics.ALPHA_MAX))
ALPHA_MIN = wp.constant(float(semantics.ALPHA_MIN))
EXTENT_CAP = wp.constant(float(semantics.EXTENT_CAP))
TRANSMITTANCE_MIN = wp.constant(float(semantics.TRANSMITTANCE_MIN))


@wp.func
def row_start(ends: wp.array[wp.int32], p: wp.int32):
    """Where row p begins, if `ends` is the inclusive sum of the rows' lengths."""
    start = wp.int32(0)
    if p > 0:
        start = ends[p - 1]
    return start


@wp.func
def alpha_of(raw: wp.float32):
    """Alpha, from opacity times falloff."""
    return wp.min(ALPHA_MAX, raw)


@wp.func
def mahalanobis(records: wp.array2d[wp.float32], r: wp.int32, x: wp.float32, y: wp.float32):
    """Squared Mahalanobis distance q of the point (x, y) from record r."""
    dx, dy = records[r, 0] - x, records[r, 1] - y
    cross = records[r, 3] + records[r, 3]
    return records[r, 2] * dx * dx + cross * dx * dy + records[r, 4] * dy * dy


@wp.kernel
def opacity_cutoffs(
    order: wp.array[wp.int32],
    opacities: wp.array[wp.float32],
    opacity: wp.array[wp.float32],
    cutoff: wp.array[wp.float32],
):
    """Opacity [M] in depth order, and the q [M] beyond which alpha falls below ALPHA_MIN (-1: nowhere visible)."""
    r = wp.tid()
    o = opacities[order[r]]
    opacity[r] = o
    cutoff[r] = wp.where(o > ALPHA_MIN, wp.min(2.0 * wp.log(o / ALPHA_MIN), EXTENT_CAP), -1.0)


@wp.kernel
def count_fragments(
    px: wp.array[wp.int32],
    py: wp.array[wp.int32],
    tiles_x: wp.int32,
    tile: wp.int32,
    offsets: wp.array[wp.int32],
    ranks: wp.array[wp.int32],
    records: wp.array2d[wp.float32],
    opacity: wp.array[wp.float32],
    cutoff: wp.array[wp.float32],
    lanes: wp.int32,
    counts: wp.array[wp.int32],
):
    """Fragments of each pixel [P]; none where px is -1 (a pixel drawn twice). Threads (pixel, lane)."""
    p, lane = wp.tid()
    count = wp.int32(0)
    if px[p] >= 0:
        x, y = wp.float32(px[p]) + 0.5, wp.float32(py[p]) + 0.5
        cell = (py[p] // tile) * tiles_x + px[p] // tile
        through = wp.float32(1.0)
        k, end = wp.int32(offsets[cell]), wp.int32(offsets[cell + 1])
        while k < end:
            seen, alpha = wp.int32(0), wp.float32(0.0)
            if k + lane < end:
                r = ranks[k + lane]
                q = mahalanobis(records, r, x, y)
                if q <= cutoff[r]:
                    seen = wp.int32(1)
                    alpha = alpha_of(opacity[r] * wp.exp(-0.5 * q))
            k += lanes
            left = lanes_with(seen)
            while left != wp.uint32(0):
                through = through * (1.0 - of_lane(alpha, first_lane(left)))
                left = left & (left - wp.uint32(1))
                if through < TRANSMITTANCE_MIN:
                    left = wp.uint32(0)
                    k = end
                else:
                    count += 1
    if lane == 0:
        counts[p] = count


@wp.kernel
def write_fragments(
    px: wp.array[wp.int32],
    py: wp.array[wp.int32],
    tiles_x: wp.int32,
    tile: wp.int32,
    offsets: wp.array[wp.int32],
    ranks: wp.array[wp.int32],
    records: wp.array2d[wp.float32],
    order: wp.array[wp.int32],
    opacity: wp.array[wp.float32],
    cutoff: wp.array[wp.float32],
    lanes: wp.int32,
    ends: wp.array[wp.int32],
    capacity: wp.int32,
    row: wp.array[wp.int32],
    pixel: wp.array[wp.int32],
    falloff: wp.array[wp.float32],
    weight: wp.array[wp.float32],
    raw: wp.array[wp.float32],
    sort_row: wp.array[wp.int32],
    sort_fragment: wp.array[wp.int32],
    stats: wp.array[wp.int32],
):
    """Fragments of pixel p at ends[p - 1]:ends[p] (ends [P]: inclusive sum of `count_fragments`). Threads (p, lane).

    row: scene number; falloff exp(-q/2); raw: alpha before its cap. sort_row and sort_fragment are to be sorted.
    Where all together exceed `capacity`, nothing is written and `fragment_total` is 0. stats[0]: largest number of
    fragments so far; stats[1]: how often it was too large.
    """
    p, lane = wp.tid()
    total = ends[ends.shape[0] - 1]
    if p == 0 and lane == 0:
        wp.atomic_max(stats, 0, total)
        if total > capacity:
            wp.atomic_add(stats, 1, 1)
    if total > capacity or px[p] < 0:
        return
    w, limit = row_start(ends, p), wp.int32(ends[p])
    x, y = wp.float32(px[p]) + 0.5, wp.float32(py[p]) + 0.5
    cell = (py[p] // tile) * tiles_x + px[p] // tile
    through = wp.float32(1.0)
    k, end = wp.int32(offsets[cell]), wp.int32(offsets[cell + 1])
    while w < limit:
        seen, i = wp.int32(0), wp.int32(0)
        g, a, alpha = wp.float32(0.0), wp.float32(0.0), wp.float32(0.0)
        if k + lane < end:
            r = ranks[k + lane]
            q = mahalanobis(records, r, x, y)
            if q <= cutoff[r]:
                seen = wp.int32(1)
                i = order[r]
                g = wp.exp(-0.5 * q)
                a = opacity[r] * g
                alpha = alpha_of(a)
        k += lanes
        found = lanes_with(seen)
        own, before = w + lanes_before(found, lane), wp.float32(1.0)
        left = found
        while left != wp.uint32(0):
            nearest = first_lane(left)
            left = left & (left - wp.uint32(1))
            if lane == nearest:
                before = through
            through = through * (1.0 - of_lane(alpha, nearest))
            w += 1
        if seen == 1 and own < limit:  # beyond the limit the light is used up
            row[own] = i
            pixel[own] = p
            falloff[own] = g
            raw[own] = a
            weight[own] = alpha * before
            sort_row[own] = i
            sort_fragment[own] = own

"""Label maps with the exact early stop: by the rules of `raster.cpu.label_maps`."""

import warp as wp

from bgs_engine.raster import semantics
from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.lanes import bits_of_lanes, code_of_lane, first_lane, lanes_with, of_lane
from bgs_engine.raster.warp.kernels.walk import TRANSMITTANCE_MIN, alpha_of, mahalanobis

wp.set_module_options(NO_ADJOINT)

BLOCK = 64  # threads a block: one tile of 8 x 8 pixels shares its lists

EMPTY_CODE = wp.constant(wp.uint32(semantics.EMPTY_CODE))

FEW = wp.constant(4)  # codes that stay in registers

BitWeights = wp.types.vector(length=32, dtype=wp.float32)
FewCodes = wp.types.vector(length=4, dtype=wp.uint32)
FewWeights = wp.types.vector(length=4, dtype=wp.float32)


@wp.func
def has_bit(code: wp.uint32, d: wp.int32):
    """Whether bit d of the code is set."""
    return ((code >> wp.uint32(d)) & wp.uint32(1)) == wp.uint32(1)


@wp.struct
class Entry:
    """What a lane knows of one entry of a tile's list: centre, conic, the q beyond which it is not seen, and looks."""

    x: wp.float32
    y: wp.float32
    xx: wp.float32
    xy: wp.float32
    yy: wp.float32
    cap: wp.float32
    opacity: wp.float32
    code: wp.uint32


@wp.func
def entry_of(
    rank: wp.int32,
    records: wp.array2d[wp.float32],
    cap_column: wp.int32,
    order: wp.array[wp.int32],
    opacities: wp.array[wp.float32],
    codes: wp.array[wp.uint32],
):
    """The entry of that rank."""
    entry = Entry()
    entry.x = records[rank, 0]
    entry.y = records[rank, 1]
    entry.xx = records[rank, 2]
    entry.xy = records[rank, 3]
    entry.yy = records[rank, 4]
    entry.cap = records[rank, cap_column]
    entry.opacity = opacities[order[rank]]
    entry.code = codes[order[rank]]
    return entry


@wp.kernel
def label_map_of_few(
    width: wp.int32,
    tiles_x: wp.int32,
    tile: wp.int32,
    offsets: wp.array[wp.int32],
    ranks: wp.array[wp.int32],
    records: wp.array2d[wp.float32],
    cap_column: wp.int32,
    order: wp.array[wp.int32],
    opacities: wp.array[wp.float32],
    codes: wp.array[wp.uint32],
    lanes: wp.int32,
    out: wp.array2d[wp.uint32],
    left_over: wp.array[wp.int32],
    left_over_count: wp.array[wp.int32],
):
    """Code of each pixel in which one code has more than half the weight, or which catches less than half the light.

    The others, and pixels of more than `FEW` codes before that, go to `left_over` for `label_map`, as
    cell x tile^2 + place in the tile. Almost no pixel does, and without arrays that are indexed at run time each takes
    few registers.
    Lanes are pixels that follow each other inside a tile. Each loads one entry of the tile's list; then all look at
    the entries one after the other, until the last of them has its code.
    records: with the q beyond which a Gaussian is not seen in `cap_column`; opacities and codes [N] in scene order.
    """
    cell, inside = wp.tid()
    lane = inside % lanes
    x = (cell % tiles_x) * tile + inside % tile
    y = (cell // tiles_x) * tile + inside // tile
    in_picture = x < width and y < out.shape[0]
    held = FewCodes()
    weights = FewWeights()
    fx, fy = wp.float32(x) + 0.5, wp.float32(y) + 0.5
    through, heaviest = wp.float32(1.0), wp.float32(0.0)
    count = wp.int32(0)
    label = EMPTY_CODE
    k, end = wp.int32(offsets[cell]), wp.int32(offsets[cell + 1])
    going = wp.where(in_picture, 1, 0)
    ahead = Entry()
    rank = wp.int32(0)  # of the entry after `ahead`: a rank must be here before its record can be asked for
    if k < end:
        ahead = entry_of(ranks[wp.min(k + lane, end - 1)], records, cap_column, order, opacities, codes)
        rank = ranks[wp.min(k + lanes + lane, end - 1)]
    while k < end and lanes_with(going) != wp.uint32(0):
        own = ahead
        ahead = entry_of(rank, records, cap_column, order, opacities, codes)
        rank = ranks[wp.min(k + 2 * lanes + lane, end - 1)]
        many = wp.min(lanes, end - k)
        j = wp.int32(0)
        while j < many and lanes_with(going) != wp.uint32(0):
            dx, dy = of_lane(own.x, j) - fx, of_lane(own.y, j) - fy
            cross = of_lane(own.xy, j)
            q = of_lane(own.xx, j) * dx * dx + (cross + cross) * dx * dy + of_lane(own.yy, j) * dy * dy
            furthest, its_opacity, code = of_lane(own.cap, j), of_lane(own.opacity, j), code_of_lane(own.code, j)
            j += 1
            if going == 1 and q <= furthest:
                alpha = alpha_of(its_opacity * wp.exp(-0.5 * q))
                after = through * (1.0 - alpha)
                if after < TRANSMITTANCE_MIN:
                    going = wp.int32(0)
                else:
                    weight = alpha * through
                    through = after
                    slot = count
                    for c in range(4):
                        if c < count and held[c] == code:
                            slot = wp.int32(c)
                    if slot == count:
                        count += 1
                    for c in range(4):
                        if c == slot:
                            held[c] = code
                            weights[c] = weights[c] + weight
                            heaviest = wp.max(heaviest, weights[c])
                            if weights[c] > 0.5:
                                label = code
                    if label != EMPTY_CODE or count > FEW or heaviest + through <= 0.5:
                        going = wp.int32(0)
        k += lanes
    if in_picture:
        if label == EMPTY_CODE and (through < 0.5 or count > FEW):
            left_over[wp.atomic_add(left_over_count, 0, 1)] = cell * tile * tile + inside
        out[y, x] = label


@wp.kernel
def label_map(
    width: wp.int32,
    tiles_x: wp.int32,
    tile: wp.int32,
    bits: wp.int32,
    offsets: wp.array[wp.int32],
    ranks: wp.array[wp.int32],
    records: wp.array2d[wp.float32],
    cap_column: wp.int32,
    order: wp.array[wp.int32],
    opacities: wp.array[wp.float32],
    codes: wp.array[wp.uint32],
    left_over: wp.array[wp.int32],
    left_over_count: wp.array[wp.int32],
    threads: wp.int32,
    lanes: wp.int32,
    out: wp.array2d[wp.uint32],
):
    """Code of each pixel that `label_map_of_few` left over: a bit is set if the codes that set it weigh more than half.

    Where one code weighs more than half, that is this code. Threads (`threads`, lane): the lanes of a pixel share its
    list, and each lane has its own bits. A frame leaves few pixels over. A thread for each pixel of the frame would
    cost more than they do.
    """
    first, lane = wp.tid()
    for t in range(first, left_over_count[0], threads):
        cell, inside = left_over[t] // (tile * tile), left_over[t] % (tile * tile)
        x = (cell % tiles_x) * tile + inside % tile
        y = (cell // tiles_x) * tile + inside // tile
        fx, fy = wp.float32(x) + 0.5, wp.float32(y) + 0.5
        sums = BitWeights()
        through = wp.float32(1.0)
        k, end = wp.int32(offsets[cell]), wp.int32(offsets[cell + 1])
        while k < end:
            seen, alpha, its_code = wp.int32(0), wp.float32(0.0), wp.uint32(0)
            if k + lane < end:
                r = ranks[k + lane]
                q = mahalanobis(records, r, fx, fy)
                if q <= records[r, cap_column]:
                    seen = wp.int32(1)
                    alpha = alpha_of(opacities[order[r]] * wp.exp(-0.5 * q))
                    its_code = codes[order[r]]
            k += lanes
            left = lanes_with(seen)
            while left != wp.uint32(0):
                nearest = first_lane(left)
                left = left & (left - wp.uint32(1))
                its_alpha, code = of_lane(alpha, nearest), code_of_lane(its_code, nearest)
                after = through * (1.0 - its_alpha)
                if after < TRANSMITTANCE_MIN:
                    left = wp.uint32(0)
                    k = end
                else:
                    for d in range(lane, bits, lanes):
                        if has_bit(code, d):
                            sums[d // lanes] = sums[d // lanes] + its_alpha * through
                    through = after
            undecided = wp.int32(0)
            for d in range(lane, bits, lanes):
                if sums[d // lanes] <= 0.5 and sums[d // lanes] + through > 0.5:  # what is behind may still set it
                    undecided = wp.int32(1)
            if lanes_with(undecided) == wp.uint32(0):
                k = end
        label = EMPTY_CODE
        if through < 0.5:
            own = wp.uint32(0)
            for d in range(lane, bits, lanes):
                if sums[d // lanes] > 0.5:
                    own = own | (wp.uint32(1) << wp.uint32(d))
            label = bits_of_lanes(own)
        if lane == 0:
            out[y, x] = label

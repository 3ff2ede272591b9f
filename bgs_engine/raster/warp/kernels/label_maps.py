"""Label maps with the exact early stop: by the rules of `raster.cpu.label_maps`."""

import warp as wp

from bgs_engine.raster import semantics
from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.lanes import code_of_lane, first_lane, lanes_with, of_lane
from bgs_engine.raster.warp.kernels.walk import TRANSMITTANCE_MIN, alpha_of, mahalanobis

wp.set_module_options(NO_ADJOINT)

BLOCK = 64  # threads a block: one tile of 8 x 8 pixels shares its lists

EMPTY_CODE = wp.constant(wp.uint32(semantics.EMPTY_CODE))
CODES_HELD = wp.constant(16)  # different codes a pixel tells apart before it falls back to counting bits

FEW = wp.constant(4)  # codes that stay in registers

Codes = wp.types.vector(length=16, dtype=wp.uint32)
Weights = wp.types.vector(length=16, dtype=wp.float32)
BitWeights = wp.types.vector(length=32, dtype=wp.float32)
FewCodes = wp.types.vector(length=4, dtype=wp.uint32)
FewWeights = wp.types.vector(length=4, dtype=wp.float32)


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
    while k < end and lanes_with(going) != wp.uint32(0):
        mx, my, cxx, cxy, cyy = wp.float32(0.0), wp.float32(0.0), wp.float32(0.0), wp.float32(0.0), wp.float32(0.0)
        cap, opacity, its_code = wp.float32(-1.0), wp.float32(0.0), wp.uint32(0)
        if k + lane < end:
            r = ranks[k + lane]
            i = order[r]
            mx = records[r, 0]
            my = records[r, 1]
            cxx = records[r, 2]
            cxy = records[r, 3]
            cyy = records[r, 4]
            cap = records[r, cap_column]
            opacity = opacities[i]
            its_code = codes[i]
        j = wp.int32(0)
        while j < lanes and lanes_with(going) != wp.uint32(0):
            dx, dy = of_lane(mx, j) - fx, of_lane(my, j) - fy
            cross = of_lane(cxy, j)
            q = of_lane(cxx, j) * dx * dx + (cross + cross) * dx * dy + of_lane(cyy, j) * dy * dy
            furthest, its_opacity, code = of_lane(cap, j), of_lane(opacity, j), code_of_lane(its_code, j)
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
    lanes: wp.int32,
    out: wp.array2d[wp.uint32],
):
    """Code of each pixel that `label_map_of_few` left over, bit by bit where no code has more than half the weight.

    Threads (pixel, lane): the lanes of a pixel share its list.
    """
    t, lane = wp.tid()
    if t >= left_over_count[0]:
        return
    cell, inside = left_over[t] // (tile * tile), left_over[t] % (tile * tile)
    x = (cell % tiles_x) * tile + inside % tile
    y = (cell // tiles_x) * tile + inside // tile
    held = Codes()
    weights = Weights()
    spilled = BitWeights()
    fx, fy = wp.float32(x) + 0.5, wp.float32(y) + 0.5
    through = wp.float32(1.0)
    count = wp.int32(0)
    label = EMPTY_CODE
    k = wp.int32(offsets[cell])
    end = wp.int32(offsets[cell + 1])
    decided = wp.int32(0)
    while decided == 0 and k < end:
        seen, alpha, its_code = wp.int32(0), wp.float32(0.0), wp.uint32(0)
        if k + lane < end:
            r = ranks[k + lane]
            q = mahalanobis(records, r, fx, fy)
            if q <= records[r, cap_column]:
                seen = wp.int32(1)
                i = order[r]
                alpha = alpha_of(opacities[i] * wp.exp(-0.5 * q))
                its_code = codes[i]
        k += lanes
        left = lanes_with(seen)
        while left != wp.uint32(0) and decided == 0:
            nearest = first_lane(left)
            left = left & (left - wp.uint32(1))
            its_alpha = of_lane(alpha, nearest)
            after = through * (1.0 - its_alpha)
            if after < TRANSMITTANCE_MIN:
                decided = wp.int32(1)
            else:
                weight = its_alpha * through
                through = after
                code = code_of_lane(its_code, nearest)
                c = wp.int32(0)
                while c < count and held[c] != code:
                    c += 1
                if c == count:
                    if count == CODES_HELD:  # move what is held to the bit sums and start anew
                        for h in range(CODES_HELD):
                            for d in range(bits):
                                if ((held[h] >> wp.uint32(d)) & wp.uint32(1)) == wp.uint32(1):
                                    spilled[d] = spilled[d] + weights[h]
                        count = wp.int32(0)
                        c = wp.int32(0)
                    held[c] = code
                    weights[c] = wp.float32(0.0)
                    count += 1
                weights[c] = weights[c] + weight
                if weights[c] > 0.5:
                    label = code
                    decided = wp.int32(1)
    if label == EMPTY_CODE and through < 0.5:
        label = wp.uint32(0)
        for d in range(bits):
            s = spilled[d]
            for h in range(count):
                if ((held[h] >> wp.uint32(d)) & wp.uint32(1)) == wp.uint32(1):
                    s += weights[h]
            if s > 0.5:
                label = label | (wp.uint32(1) << wp.uint32(d))
    if lane == 0:
        out[y, x] = label

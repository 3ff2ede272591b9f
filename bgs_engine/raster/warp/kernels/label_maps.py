"""Label maps with the exact early stop: by the rules of `raster.cpu.label_maps`."""

import warp as wp

from bgs_engine.raster import semantics
from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.walk import TRANSMITTANCE_MIN, alpha_of, mahalanobis

wp.set_module_options(NO_ADJOINT)

BLOCK = 64  # threads a block: one tile of 8 x 8 pixels shares its lists

EMPTY_CODE = wp.constant(wp.uint32(semantics.EMPTY_CODE))
CODES_HELD = wp.constant(16)  # different codes a pixel tells apart before it falls back to counting bits
CHECK_EVERY = wp.constant(8)  # Gaussians between two looks at whether all bits are decided

AT_ONCE = wp.constant(4)  # entries of the list whose loads are under way together
FEW = wp.constant(4)  # codes that stay in registers

Codes = wp.types.vector(length=16, dtype=wp.uint32)
Weights = wp.types.vector(length=16, dtype=wp.float32)
BitWeights = wp.types.vector(length=32, dtype=wp.float32)
FewCodes = wp.types.vector(length=4, dtype=wp.uint32)
FewWeights = wp.types.vector(length=4, dtype=wp.float32)
FewRanks = wp.types.vector(length=4, dtype=wp.int32)


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
    out: wp.array2d[wp.uint32],
    left_over: wp.array[wp.int32],
    left_over_count: wp.array[wp.int32],
):
    """Code of each pixel in which one code has more than half the weight, or which catches less than half the light.

    The others, and pixels of more than `FEW` codes before that, go to `left_over` for `label_map`, as
    cell x tile^2 + place in the tile. Almost no pixel does, and without arrays that are indexed at run time each takes
    few registers. Threads follow each other inside a tile, so that a block shares its lists.
    records: with the q beyond which a Gaussian is not seen in `cap_column`; opacities and codes [N] in scene order.
    """
    cell, inside = wp.tid()
    x = (cell % tiles_x) * tile + inside % tile
    y = (cell // tiles_x) * tile + inside // tile
    if x >= width or y >= out.shape[0]:
        return
    held = FewCodes()
    weights = FewWeights()
    fx, fy = wp.float32(x) + 0.5, wp.float32(y) + 0.5
    through = wp.float32(1.0)
    count = wp.int32(0)
    label = EMPTY_CODE
    k = wp.int32(offsets[cell])
    end = wp.int32(offsets[cell + 1])
    going = wp.int32(1)
    while k < end and going == 1:
        rank = FewRanks()
        squares = FewWeights()
        caps = FewWeights()
        for u in range(4):
            rank[u] = ranks[wp.min(k + u, end - 1)]
        for u in range(4):
            squares[u] = mahalanobis(records, rank[u], fx, fy)
            caps[u] = records[rank[u], cap_column]
        for u in range(4):
            if going == 1 and k + u < end and squares[u] <= caps[u]:
                i = order[rank[u]]
                alpha = alpha_of(opacities[i] * wp.exp(-0.5 * squares[u]))
                after = through * (1.0 - alpha)
                if after < TRANSMITTANCE_MIN:
                    going = wp.int32(0)
                else:
                    weight = alpha * through
                    through = after
                    code = codes[i]
                    slot = count
                    for j in range(4):
                        if j < count and held[j] == code:
                            slot = wp.int32(j)
                    if slot == FEW:
                        going = wp.int32(0)
                    if slot == count:
                        count += 1
                    for j in range(4):
                        if j == slot:
                            held[j] = code
                            weights[j] = weights[j] + weight
                            if weights[j] > 0.5:
                                label = code
                                going = wp.int32(0)
        k += AT_ONCE
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
    out: wp.array2d[wp.uint32],
):
    """Code of each pixel that `label_map_of_few` left over, bit by bit where no code has more than half the weight."""
    t = wp.tid()
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
    while decided == 0:
        taken = wp.int32(0)
        while k < end and taken < CHECK_EVERY:
            r = ranks[k]
            k += 1
            q = mahalanobis(records, r, fx, fy)
            if q > records[r, cap_column]:
                continue
            alpha = alpha_of(opacities[order[r]] * wp.exp(-0.5 * q))
            after = through * (1.0 - alpha)
            if after < TRANSMITTANCE_MIN:
                k = end
                break
            weight = alpha * through
            through = after
            taken += 1
            code = codes[order[r]]
            j = wp.int32(0)
            while j < count and held[j] != code:
                j += 1
            if j == count:
                if count == CODES_HELD:  # move what is held to the bit sums and start anew
                    for h in range(CODES_HELD):
                        for d in range(bits):
                            if ((held[h] >> wp.uint32(d)) & wp.uint32(1)) == wp.uint32(1):
                                spilled[d] = spilled[d] + weights[h]
                    count = wp.int32(0)
                    j = wp.int32(0)
                held[j] = code
                weights[j] = wp.float32(0.0)
                count += 1
            weights[j] = weights[j] + weight
            if weights[j] > 0.5:
                label = code
                decided = wp.int32(1)
                break
        if decided == 0 and through < 0.5:
            label = wp.uint32(0)
            decided = wp.int32(1)
            for d in range(bits):
                s = spilled[d]
                for h in range(count):
                    if ((held[h] >> wp.uint32(d)) & wp.uint32(1)) == wp.uint32(1):
                        s += weights[h]
                if s > 0.5:
                    label = label | (wp.uint32(1) << wp.uint32(d))
                elif s + through > 0.5:  # what is behind may still set it
                    decided = wp.int32(0)
        if k >= end:
            decided = wp.int32(1)
    out[y, x] = label

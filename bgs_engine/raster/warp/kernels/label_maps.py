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

Codes = wp.types.vector(length=16, dtype=wp.uint32)
Weights = wp.types.vector(length=16, dtype=wp.float32)
BitWeights = wp.types.vector(length=32, dtype=wp.float32)


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
    out: wp.array2d[wp.uint32],
):
    """Code of each pixel; threads follow each other inside a tile, so that a block shares its lists.

    records: with the q beyond which a Gaussian is not seen in `cap_column`; opacities and codes [N] in scene order.
    """
    cell, inside = wp.tid()
    x = (cell % tiles_x) * tile + inside % tile
    y = (cell // tiles_x) * tile + inside // tile
    if x >= width or y >= out.shape[0]:
        return
    held = Codes()
    weights = Weights()
    spilled = BitWeights()
    fx, fy = wp.float32(x) + 0.5, wp.float32(y) + 0.5
    through = wp.float32(1.0)
    count = wp.int32(0)
    label = EMPTY_CODE
    k = offsets[cell]
    end = offsets[cell + 1]
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

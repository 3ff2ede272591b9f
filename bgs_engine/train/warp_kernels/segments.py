"""The default objective on the device: see `train.objectives.SegmentObjective`."""

import warp as wp

from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.lanes import sum_of_lanes
from bgs_engine.train.warp_kernels import FIXED

wp.set_module_options(NO_ADJOINT)

BLOCK = 64  # threads a block: one thread a pixel, and ten thousand pixels are to fill a large card


@wp.kernel
def segment_hinge(
    features: wp.array2d[wp.float32],
    node: wp.array[wp.int32],
    drawn: wp.array[wp.int32],
    targets: wp.array[wp.uint32],
    trusted: wp.array[wp.int32],
    level_of_bit: wp.array[wp.int32],
    width_of_bit: wp.array[wp.float32],
    margin: wp.float32,
    lanes: wp.int32,
    grad: wp.array2d[wp.float32],
    loss: wp.array[wp.int64],
):
    """dL/dF [P, D] and the loss, of pixels whose node has target bits `targets` and that many trusted levels.

    Threads (pixel, lane); each lane has its own bits.
    """
    p, lane = wp.tid()
    channels = features.shape[1]
    total = wp.float32(0.0)
    for d in range(lane, channels, lanes):
        slope = wp.float32(0.0)
        if node[p] >= 0 and level_of_bit[d] < trusted[node[p]]:
            bit = (targets[node[p]] >> wp.uint32(channels - 1 - d)) & wp.uint32(1)
            sign = wp.where(bit == wp.uint32(1), 1.0, -1.0)
            short = wp.max(margin - sign * (features[p, d] - 0.5), 0.0)
            scale = 1.0 / (wp.float32(drawn[0]) * width_of_bit[d])
            slope = -2.0 * scale * sign * short
            total += short * short * scale
        grad[p, d] = slope
    total = sum_of_lanes(total)
    if lane == 0 and total > 0.0:
        wp.atomic_add(loss, 0, wp.int64(total * FIXED))

"""The optimiser: Adam on the touched rows, see `train.kernels.adam_on_touched`."""

import warp as wp

from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.composite import fragment_total
from bgs_engine.raster.warp.kernels.lanes import int_of_lane, of_lane

wp.set_module_options(NO_ADJOINT)

BLOCK = 128  # threads a block: four stretches on a card
STRETCH = wp.constant(
    8
)  # fragments: the rows of a stretch wait for each other, and stretches without one cost a little


@wp.func
def sigmoid(x: wp.float32):
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + wp.exp(-x))


@wp.kernel
def opacities_of(logits: wp.array[wp.float32], opacities: wp.array[wp.float32]):
    """Opacities [N] of logits [N], to the bit as a step makes them: a resumed run equals an uninterrupted one."""
    i = wp.tid()
    opacities[i] = sigmoid(logits[i])


@wp.kernel
def adam_on_touched(
    ends: wp.array[wp.int32],
    capacity: wp.int32,
    sort_row: wp.array[wp.int32],
    sort_fragment: wp.array[wp.int32],
    pixel: wp.array[wp.int32],
    weight: wp.array[wp.float32],
    grad: wp.array2d[wp.float32],
    alpha_grad: wp.array[wp.float32],
    feature_rate: wp.float32,
    opacity_rate: wp.float32,
    beta1: wp.float32,
    beta2: wp.float32,
    epsilon: wp.float32,
    lanes: wp.int32,
    features: wp.array2d[wp.float32],
    m: wp.array2d[wp.float32],
    v: wp.array2d[wp.float32],
    logits: wp.array[wp.float32],
    opacities: wp.array[wp.float32],
    logit_m: wp.array[wp.float32],
    logit_v: wp.array[wp.float32],
):
    """Sum the fragments of every touched Gaussian in pixel order, and take its step. Threads (stretch, lane).

    A stretch is as many fragments as there are lanes. It takes the Gaussians whose first fragment lies in it. Each
    lane loads one fragment; then all lanes take the fragments one after the other, each for its own channel.
    """
    stretch, lane = wp.tid()
    total = fragment_total(ends, capacity)
    start = stretch * lanes
    if start >= total:
        return
    channels = features.shape[1]
    for block in range((channels + lanes - 1) // lanes):
        d = block * lanes + lane
        i, own = wp.int32(-1), wp.int32(0)  # the Gaussian at hand, and whether this stretch takes it
        if start > 0:
            i = sort_row[start - 1]
        s, g = wp.float32(0.0), wp.float32(0.0)
        k = wp.int32(start)
        going = wp.int32(1)
        while going == 1:
            its_row, its_pixel = wp.int32(-1), wp.int32(0)
            its_weight, its_grad = wp.float32(0.0), wp.float32(0.0)
            if k + lane < total:
                f = sort_fragment[k + lane]
                its_row = sort_row[k + lane]
                its_pixel = pixel[f]
                its_weight = weight[f]
                if opacity_rate > 0.0:
                    its_grad = alpha_grad[f]
            for j in range(lanes):
                row = int_of_lane(its_row, j)
                if going == 1 and row != i:
                    if own == 1 and d < channels:
                        first = beta1 * m[i, d] + (1.0 - beta1) * s
                        second = beta2 * v[i, d] + (1.0 - beta2) * s * s
                        m[i, d] = first
                        v[i, d] = second
                        moved = features[i, d] - feature_rate * first / (wp.sqrt(second) + epsilon)
                        features[i, d] = wp.clamp(moved, 0.0, 1.0)
                    if own == 1 and d == 0 and opacity_rate > 0.0:
                        g = g * opacities[i] * (1.0 - opacities[i])
                        first = beta1 * logit_m[i] + (1.0 - beta1) * g
                        second = beta2 * logit_v[i] + (1.0 - beta2) * g * g
                        logit_m[i] = first
                        logit_v[i] = second
                        logits[i] = logits[i] - opacity_rate * first / (wp.sqrt(second) + epsilon)
                        opacities[i] = sigmoid(logits[i])
                    i, own = row, wp.int32(1)
                    s, g = wp.float32(0.0), wp.float32(0.0)
                    if row < 0 or k + j >= start + lanes:  # behind the last fragment, or another stretch's
                        going = wp.int32(0)
                weighs = of_lane(its_weight, j)
                of_pixel = int_of_lane(its_pixel, j)
                g += of_lane(its_grad, j)
                if going == 1 and own == 1 and d < channels:
                    s += weighs * grad[of_pixel, d]
            k += lanes
            if own == 0 and k >= start + lanes:  # all of it belongs to a Gaussian of a stretch before
                going = wp.int32(0)

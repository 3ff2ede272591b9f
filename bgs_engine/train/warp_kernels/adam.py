"""The optimiser: Adam on the touched rows, see `train.kernels.adam_on_touched`."""

import warp as wp

from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.composite import fragment_total, starts_row
from bgs_engine.raster.warp.kernels.lanes import first_lane, lanes_with

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

    A stretch is `STRETCH` fragments on a card, one on the CPU. Its lanes take the Gaussians whose first fragment lies
    in it one after the other; each lane has its own channels.
    """
    stretch, lane = wp.tid()
    length = wp.min(lanes, STRETCH)
    total = fragment_total(ends, capacity)
    start = stretch * length
    begins = wp.int32(0)
    if lane < length and start + lane < total:
        begins = wp.where(starts_row(sort_row, start + lane), 1, 0)
    left = lanes_with(begins)
    while left != wp.uint32(0):
        k = start + first_lane(left)
        left = left & (left - wp.uint32(1))
        i = sort_row[k]
        for d in range(lane, features.shape[1], lanes):
            s, g = wp.float32(0.0), wp.float32(0.0)
            e = k
            while e < total and sort_row[e] == i:
                f = sort_fragment[e]
                s += weight[f] * grad[pixel[f], d]
                if d == 0 and opacity_rate > 0.0:
                    g += alpha_grad[f]
                e += 1
            first = beta1 * m[i, d] + (1.0 - beta1) * s
            second = beta2 * v[i, d] + (1.0 - beta2) * s * s
            m[i, d] = first
            v[i, d] = second
            features[i, d] = wp.clamp(features[i, d] - feature_rate * first / (wp.sqrt(second) + epsilon), 0.0, 1.0)
            if d == 0 and opacity_rate > 0.0:
                g = g * opacities[i] * (1.0 - opacities[i])
                first = beta1 * logit_m[i] + (1.0 - beta1) * g
                second = beta2 * logit_v[i] + (1.0 - beta2) * g * g
                logit_m[i] = first
                logit_v[i] = second
                logits[i] = logits[i] - opacity_rate * first / (wp.sqrt(second) + epsilon)
                opacities[i] = sigmoid(logits[i])

"""Rendered features of sampled pixels from their fragments, and the gradient of opacity through them."""

import warp as wp

from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.lanes import int_of_lane, of_lane, sum_of_lanes
from bgs_engine.raster.warp.kernels.walk import ALPHA_MAX, alpha_of, row_start

wp.set_module_options(NO_ADJOINT)

BLOCK = 64  # threads a block: one thread a pixel, and ten thousand pixels are to fill a large card


@wp.func
def fragment_total(ends: wp.array[wp.int32], capacity: wp.int32):
    """Number of fragments written: none where they did not fit."""
    total = ends[ends.shape[0] - 1]
    return wp.where(total > capacity, 0, total)


@wp.func
def starts_row(sort_row: wp.array[wp.int32], k: wp.int32):
    """Whether place k of sorted rows is the first of its row."""
    return k == 0 or sort_row[k - 1] != sort_row[k]


@wp.kernel
def forward(
    ends: wp.array[wp.int32],
    capacity: wp.int32,
    row: wp.array[wp.int32],
    weight: wp.array[wp.float32],
    features: wp.array2d[wp.float32],
    out: wp.array2d[wp.float32],
):
    """F [P, D] = sum of weight x feature (equation 2); features [N, D]."""
    p, d = wp.tid()
    total = wp.float32(0.0)
    if fragment_total(ends, capacity) > 0:
        for k in range(row_start(ends, p), ends[p]):
            total += weight[k] * features[row[k], d]
    out[p, d] = total


@wp.kernel
def opacity_gradient(
    ends: wp.array[wp.int32],
    capacity: wp.int32,
    row: wp.array[wp.int32],
    falloff: wp.array[wp.float32],
    weight: wp.array[wp.float32],
    raw: wp.array[wp.float32],
    features: wp.array2d[wp.float32],
    grad: wp.array2d[wp.float32],
    lanes: wp.int32,
    opacity_grad: wp.array[wp.float32],
):
    """dL/d(opacity) of every fragment; 0 where alpha is saturated. Threads (pixel, lane); each lane has own channels.

    With s_k = f_k . dF: dL/d(alpha_k) = T_k s_k - (sum over j behind k of w_j s_j) / (1 - alpha_k).
    """
    p, lane = wp.tid()
    if fragment_total(ends, capacity) == 0:
        return
    behind = wp.float32(0.0)
    first, k = row_start(ends, p), wp.int32(ends[p])
    while k > first:
        at = k - 1 - lane  # each lane loads one fragment and keeps its result, from the farthest on
        i, its_weight, its_raw, slope = wp.int32(0), wp.float32(0.0), wp.float32(0.0), wp.float32(0.0)
        if at >= first:
            i = row[at]
            its_weight = weight[at]
            its_raw = raw[at]
        for j in range(wp.min(lanes, k - first)):
            gaussian, own = int_of_lane(i, j), wp.float32(0.0)
            for d in range(lane, features.shape[1], lanes):
                own += features[gaussian, d] * grad[p, d]
            s, w = sum_of_lanes(own), of_lane(its_weight, j)
            if lane == j:
                alpha = alpha_of(its_raw)
                slope = w / alpha * s - behind / (1.0 - alpha)
            behind += w * s
        if at >= first:
            opacity_grad[at] = wp.where(its_raw < ALPHA_MAX, slope * falloff[at], 0.0)
        k -= lanes


@wp.kernel
def gather_gradients(
    ends: wp.array[wp.int32],
    capacity: wp.int32,
    sort_row: wp.array[wp.int32],
    sort_fragment: wp.array[wp.int32],
    pixel: wp.array[wp.int32],
    weight: wp.array[wp.float32],
    grad: wp.array2d[wp.float32],
    alpha_grad: wp.array[wp.float32],
    grad_features: wp.array2d[wp.float32],
    grad_opacities: wp.array[wp.float32],
):
    """Sums per touched Gaussian, in pixel order, into grad_features [N, D] and grad_opacities [N] (zero before)."""
    k, d = wp.tid()
    total = fragment_total(ends, capacity)
    if k >= total:
        return
    if not starts_row(sort_row, k):
        return  # the thread of the row's first fragment sums the whole row
    i = sort_row[k]
    s, g = wp.float32(0.0), wp.float32(0.0)
    e = k
    while e < total and sort_row[e] == i:
        f = sort_fragment[e]
        s += weight[f] * grad[pixel[f], d]
        g += alpha_grad[f]
        e += 1
    grad_features[i, d] = s
    if d == 0:
        grad_opacities[i] = g

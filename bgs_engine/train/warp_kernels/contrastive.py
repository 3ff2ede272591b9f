"""The paper's objective on the device: see `train.objectives.ContrastiveObjective`.

Masks of all levels of a view have one numbering; siblings (masks of one level inside one coarser mask) follow each
other in it. Counts, means and everything else are of the pixels drawn in this step.
"""

import warp as wp

from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.lanes import sum_of_lanes
from bgs_engine.train.warp_kernels import FIXED

wp.set_module_options(NO_ADJOINT)

BLOCK = 64  # threads a block: one thread a pixel, and ten thousand pixels are to fill a large card


@wp.func
def as_used(value: wp.float32, binarised: wp.int32):
    """A rendered feature as the distances see it: itself, or its bit (straight through)."""
    if binarised != 0:
        return wp.where(value > 0.5, 1.0, 0.0)
    return value


@wp.kernel
def sum_by_mask(
    features: wp.array2d[wp.float32],
    node: wp.array[wp.int32],
    node_mask: wp.array2d[wp.int32],
    level_of_bit: wp.array[wp.int32],
    first_bit: wp.array[wp.int32],
    binarised: wp.int32,
    counts: wp.array[wp.int32],
    sums: wp.array2d[wp.int64],
):
    """Pixels counts [M] and feature sums [M, D] per mask; only the columns of the mask's own level are used."""
    p, d = wp.tid()
    if node[p] < 0:
        return
    level = level_of_bit[d]
    if level >= node_mask.shape[1]:
        return
    mask = node_mask[node[p], level]
    if mask < 0:
        return
    wp.atomic_add(sums, mask, d, wp.int64(as_used(features[p, d], binarised) * FIXED))
    if d == first_bit[level]:
        wp.atomic_add(counts, mask, 1)


@wp.kernel
def means_of_masks(
    counts: wp.array[wp.int32],
    sums: wp.array2d[wp.int64],
    level_of_mask: wp.array[wp.int32],
    first_sibling: wp.array[wp.int32],
    means: wp.array2d[wp.float32],
    present: wp.array[wp.int32],
    members: wp.array[wp.int32],
):
    """Means [M, D]; masks present per level [L]; present siblings of each family [M], at its first mask's number."""
    mask, d = wp.tid()
    count = counts[mask]
    if count == 0:
        return
    means[mask, d] = wp.float32(sums[mask, d]) / FIXED / wp.float32(count)
    if d == 0:
        wp.atomic_add(present, level_of_mask[mask], 1)
        wp.atomic_add(members, first_sibling[mask], 1)


@wp.kernel
def forces(
    features: wp.array2d[wp.float32],
    node: wp.array[wp.int32],
    node_mask: wp.array2d[wp.int32],
    first_bit: wp.array[wp.int32],
    counts: wp.array[wp.int32],
    means: wp.array2d[wp.float32],
    present: wp.array[wp.int32],
    members: wp.array[wp.int32],
    first_sibling: wp.array[wp.int32],
    last_sibling: wp.array[wp.int32],
    binarised: wp.int32,
    virtual_negative: wp.float32,
    epsilon: wp.float32,
    lanes: wp.int32,
    grad: wp.array2d[wp.float32],
    mean_grad: wp.array2d[wp.int64],
    loss: wp.array[wp.int64],
):
    """Attraction, repulsion and virtual negative of a pixel at all levels: its own share of grad, and the means'.

    Threads (pixel, lane); each lane has its own bits. grad [P, D] must be zero before; first_bit [L + 1];
    last_sibling is one past the family's last mask.
    """
    p, lane = wp.tid()
    if node[p] < 0:
        return
    total = wp.float32(0.0)
    for level in range(node_mask.shape[1]):
        mask = node_mask[node[p], level]
        if mask < 0:
            continue
        a, b = first_bit[level] + lane, first_bit[level + 1]
        weight = 1.0 / (wp.float32(counts[mask]) * wp.float32(present[level]))
        siblings = members[first_sibling[mask]]
        furthest = wp.sqrt(wp.float32(b - first_bit[level]))
        for s in range(first_sibling[mask], last_sibling[mask]):
            if counts[s] == 0:
                continue
            square = wp.float32(0.0)
            for d in range(a, b, lanes):
                x = as_used(features[p, d], binarised) - means[s, d]
                square += x * x
            length = wp.sqrt(sum_of_lanes(square) + epsilon)
            pull = weight
            if s == mask:
                total += weight * length
            else:
                pull = -weight / wp.float32(siblings - 1)
                total += -pull * (furthest - length)
            for d in range(a, b, lanes):
                slope = pull / length * (as_used(features[p, d], binarised) - means[s, d])
                grad[p, d] = grad[p, d] + slope
                wp.atomic_sub(mean_grad, s, d, wp.int64(slope * FIXED))
        if level > 0 and siblings == 1 and virtual_negative > 0.0:
            square = wp.float32(0.0)
            for d in range(a, b, lanes):
                x = as_used(features[p, d], binarised)
                square += x * x
            length = wp.sqrt(sum_of_lanes(square) + epsilon)
            total += virtual_negative * weight * length
            for d in range(a, b, lanes):
                grad[p, d] = grad[p, d] + virtual_negative * weight / length * as_used(features[p, d], binarised)
    if lane == 0:
        wp.atomic_add(loss, 0, wp.int64(total * FIXED))


@wp.kernel
def finish(
    features: wp.array2d[wp.float32],
    node: wp.array[wp.int32],
    drawn: wp.array[wp.int32],
    node_mask: wp.array2d[wp.int32],
    level_of_bit: wp.array[wp.int32],
    counts: wp.array[wp.int32],
    mean_grad: wp.array2d[wp.int64],
    regulariser: wp.float32,
    grad: wp.array2d[wp.float32],
    loss: wp.array[wp.int64],
):
    """Add what comes through the masks' means, and the regulariser with its loss (equation 8)."""
    p = wp.tid()
    if node[p] < 0:
        return
    scale = regulariser / wp.float32(drawn[0])
    total = wp.float32(0.0)
    for d in range(features.shape[1]):
        off = features[p, d] - wp.where(features[p, d] > 0.5, 1.0, 0.0)
        total += scale * off * off
        slope = 2.0 * scale * off
        if level_of_bit[d] < node_mask.shape[1]:
            mask = node_mask[node[p], level_of_bit[d]]
            if mask >= 0:
                slope += wp.float32(mean_grad[mask, d]) / FIXED / wp.float32(counts[mask])
        grad[p, d] = grad[p, d] + slope
    wp.atomic_add(loss, 0, wp.int64(total * FIXED))

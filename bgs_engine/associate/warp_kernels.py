"""Warp kernels of the votes: see `associate.vote_kernels`."""

import warp as wp

from bgs_engine.raster.warp.kernels import NO_ADJOINT
from bgs_engine.raster.warp.kernels.composite import fragment_total, starts_row
from bgs_engine.raster.warp.kernels.walk import alpha_of

wp.set_module_options(NO_ADJOINT)

NODES_HELD = wp.constant(16)  # as `associate.vote_kernels.NODES_HELD`
Nodes = wp.types.vector(length=16, dtype=wp.int32)
Weights = wp.types.vector(length=16, dtype=wp.float32)


@wp.kernel
def nodes_of_pixels(
    order: wp.array[wp.int32],
    numbers: wp.array[wp.int32],
    labelled: wp.array[wp.int32],
    first: wp.int32,
    node: wp.array[wp.int32],
):
    """node [P] of the labelled pixels, from their sorted `order` and `numbers` (from 1); the first node is `first`."""
    k = wp.tid()
    node[labelled[order[k]]] = numbers[k] - 1 + first


@wp.kernel
def vote(
    ends: wp.array[wp.int32],
    capacity: wp.int32,
    sort_row: wp.array[wp.int32],
    sort_fragment: wp.array[wp.int32],
    pixel: wp.array[wp.int32],
    weight: wp.array[wp.float32],
    raw: wp.array[wp.float32],
    node_of_pixel: wp.array[wp.int32],
    pixel_area: wp.float32,
    least: wp.float32,
    nodes: wp.array[wp.int32],
    values: wp.array[wp.float32],
    clear: wp.array[wp.float32],
    counts: wp.array[wp.int32],
):
    """Thread k, if fragment k is the first of its Gaussian: sum the Gaussian's contribution to each node, in pixels.

    A Gaussian's votes of at least `least` go to nodes, values and clear [k : k + counts[k]]: never more than its
    fragments.
    """
    k = wp.tid()
    total = fragment_total(ends, capacity)
    counts[k] = 0
    if k >= total:
        return
    if not starts_row(sort_row, k):
        return
    i = sort_row[k]
    held = Nodes()
    sums = Weights()
    sums_clear = Weights()
    count = wp.int32(0)
    e = k
    while e < total and sort_row[e] == i:
        f = sort_fragment[e]
        e += 1
        node = node_of_pixel[pixel[f]]
        if node < 0:
            continue
        j = wp.int32(0)
        while j < count and held[j] != node:
            j += 1
        if j == count:
            if count == NODES_HELD:
                continue
            held[j] = node
            count += 1
        sums[j] = sums[j] + weight[f]
        sums_clear[j] = sums_clear[j] + weight[f] * weight[f] / alpha_of(raw[f])
    kept = wp.int32(0)
    for j in range(count):
        if sums[j] * pixel_area >= least:
            nodes[k + kept] = held[j]
            values[k + kept] = sums[j] * pixel_area
            clear[k + kept] = sums_clear[j] * pixel_area
            kept += 1
    counts[k] = kept


@wp.kernel
def pack(
    counts: wp.array[wp.int32],
    places: wp.array[wp.int32],
    sort_row: wp.array[wp.int32],
    nodes: wp.array[wp.int32],
    values: wp.array[wp.float32],
    clear: wp.array[wp.float32],
    packed_rows: wp.array[wp.int32],
    packed_nodes: wp.array[wp.int32],
    packed_values: wp.array[wp.float32],
    packed_clear: wp.array[wp.float32],
):
    """Votes without the gaps; places: inclusive sum of counts."""
    k = wp.tid()
    start = places[k] - counts[k]
    for j in range(counts[k]):
        packed_rows[start + j] = sort_row[k]
        packed_nodes[start + j] = nodes[k + j]
        packed_values[start + j] = values[k + j]
        packed_clear[start + j] = clear[k + j]

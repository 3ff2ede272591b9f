"""Sorting a view's pixels by their labels at all levels: pixels with the same labels form one node."""

import warp as wp

from bgs_engine.raster.warp.kernels import NO_ADJOINT

wp.set_module_options(NO_ADJOINT)


@wp.kernel
def mark_labelled(maps: wp.array2d[wp.uint16], leading: wp.int32, marks: wp.array[wp.int32]):
    """1 where a pixel has a label at one of the first `leading` levels, else 0, [P]; maps [L, P]."""
    p = wp.tid()
    mark = wp.int32(0)
    for level in range(leading):
        if maps[level, p] > wp.uint16(0):
            mark = wp.int32(1)
    marks[p] = mark


@wp.kernel
def gather_labelled(
    maps: wp.array2d[wp.uint16],
    marks: wp.array[wp.int32],
    places: wp.array[wp.int32],
    ids: wp.array2d[wp.int32],
    flat: wp.array[wp.int32],
):
    """Labels [L, K] and flat numbers [K] of the pixels with a mark; places [P]: inclusive sum of the marks."""
    p = wp.tid()
    if marks[p] == 1:
        k = places[p] - 1
        flat[k] = p
        for level in range(maps.shape[0]):
            ids[level, k] = wp.int32(maps[level, p])


@wp.kernel
def gather_pixels(
    maps: wp.array2d[wp.uint16],
    width: wp.int32,
    px: wp.array[wp.int32],
    py: wp.array[wp.int32],
    some: wp.array2d[wp.uint16],
):
    """Labels [L, K] of the pixels px, py of maps that are `width` pixels wide."""
    k = wp.tid()
    for level in range(maps.shape[0]):
        some[level, k] = maps[level, py[k] * width + px[k]]


@wp.kernel
def level_keys(ids: wp.array2d[wp.int32], level: wp.int32, order: wp.array[wp.int32], keys: wp.array[wp.int32]):
    """keys [P] = ids of one level in the present order; ids [L, P]."""
    k = wp.tid()
    keys[k] = ids[level, order[k]]


@wp.kernel
def count_up(order: wp.array[wp.int32]):
    """0, 1, 2, ..."""
    k = wp.tid()
    order[k] = k


@wp.kernel
def node_heads(ids: wp.array2d[wp.int32], order: wp.array[wp.int32], heads: wp.array[wp.int32]):
    """1 where a pixel's labels differ at any level from those of the pixel before it, [P]."""
    k = wp.tid()
    head = wp.int32(0)
    if k == 0:
        head = 1
    else:
        for level in range(ids.shape[0]):
            if ids[level, order[k]] != ids[level, order[k - 1]]:
                head = 1
    heads[k] = head


@wp.kernel
def write_nodes(
    ids: wp.array2d[wp.int32],
    order: wp.array[wp.int32],
    numbers: wp.array[wp.int32],
    flat: wp.array[wp.int32],
    sorted_flat: wp.array[wp.int32],
    start: wp.array[wp.int32],
    labels: wp.array2d[wp.int32],
):
    """Flat pixel numbers in sorted order [P]; start [K] and labels [K, L] of the nodes; numbers [P] count from 1."""
    k = wp.tid()
    sorted_flat[k] = flat[order[k]]
    node = numbers[k] - 1
    if k == 0 or numbers[k - 1] - 1 != node:
        start[node] = k
        for level in range(ids.shape[0]):
            labels[node, level] = ids[level, order[k]]

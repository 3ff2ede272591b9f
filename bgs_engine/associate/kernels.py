"""Numba kernels of the association."""

import numpy as np
from numba import prange

from bgs_engine.raster.cpu.jit import parallel, serial

NODES_HELD = 16  # different masks one Gaussian can show in one view; a Gaussian over more keeps the first met


@parallel
def gaussian_votes(offsets, fragment, pixel, weight, node_of_pixel, nodes, weights):
    """Per touched Gaussian the masks it contributes to, heaviest not sorted.

    nodes int32 [R, NODES_HELD] (-1 = none) and weights float32 [R, NODES_HELD] are filled; node_of_pixel [P], -1 = no
    mask. A contribution counts in pixels.
    """
    for j in prange(offsets.size - 1):
        count = 0
        for e in range(offsets[j], offsets[j + 1]):
            node = node_of_pixel[pixel[e]]
            if node < 0:
                continue
            k = 0
            while k < count and nodes[j, k] != node:
                k += 1
            if k == count:
                if count == NODES_HELD:
                    continue
                nodes[j, k] = node
                weights[j, k] = 0
                count += 1
            weights[j, k] += weight[fragment[e]]
        for k in range(count, NODES_HELD):
            nodes[j, k] = -1


@serial
def best_per_row(indptr, columns, values, allowed_parent, parent_of_column, best, best_value):
    """Heaviest column of every row of a CSR matrix: best int32 [N] (-1 = none) and its value float32 [N] are filled.

    Only columns whose parent is allowed_parent[row] count; every column where that is -1.
    """
    for i in range(indptr.size - 1):
        top, arg = np.float32(0), -1
        for k in range(indptr[i], indptr[i + 1]):
            c = columns[k]
            inside = allowed_parent[i] < 0 or parent_of_column[c] == allowed_parent[i]
            if inside and (values[k] > top or arg < 0):
                top, arg = values[k], c
        best[i] = arg
        best_value[i] = top

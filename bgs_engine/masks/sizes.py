"""Measures how large the masks of a view appear."""

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.masks.nesting import Forest


def node_sizes(forest: Forest, camera: Camera) -> np.ndarray:
    """Size of every node, float64 [K + 1], radians: twice the spread (root of the summed variances) of its rays.

    The spread changes less than the area when something stands in front. Sizes compare views only if they are taken
    from one distance.
    """
    height, width = forest.node_map.shape
    ys, xs = np.mgrid[0:height, 0:width]
    rays = np.stack([(xs + 0.5 - camera.cx) / camera.fx, (ys + 0.5 - camera.cy) / camera.fy]).reshape(2, -1)
    nodes = forest.node_map.ravel()
    count = forest.count + 1
    local = rays - rays.mean(1, keepdims=True)  # keeps the squares small
    columns: list[np.ndarray] = [np.bincount(nodes, minlength=count).astype(np.float64)]
    columns += [np.bincount(nodes, weights=axis, minlength=count) for axis in local]
    columns.append(np.bincount(nodes, weights=(local**2).sum(0), minlength=count))
    sums = forest.sum_up(np.stack(columns, 1))
    counts = np.maximum(sums[:, 0], 1)
    variance = sums[:, 3] / counts - (sums[:, 1:3] ** 2).sum(1) / counts**2
    return 2 * np.sqrt(np.maximum(variance, 0))

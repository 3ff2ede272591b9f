"""Measures how large the masks of a view are in the world."""

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.masks.nesting import Forest

DEPTH_JUMP = 0.05  # share of the depth; where neighbours differ more, half a pixel may lie on the object behind
SOLID_SHARE = 0.2  # a node shows nothing when less of its own pixels has a depth: background of a rendered view
FEWEST_PIXELS = 8  # with known depth; below this a segment is measured by its pixels at the view's middle depth


def node_sizes(forest: Forest, camera: Camera, depth: np.ndarray | None) -> np.ndarray:
    """Size of every node, float64 [K + 1]: twice the spread (root of the summed variances) of its points.

    depth: float32 [H, W] along the viewing axis, inf where empty. With it sizes are in scene units. Without it they are
    in radians, which compares views only if they are taken from one distance. The spread changes less than the area
    when something stands in front. A node is NaN if its own pixels show no Gaussian.
    """
    height, width = forest.node_map.shape
    ys, xs = np.mgrid[0:height, 0:width]
    rays = np.stack([(xs + 0.5 - camera.cx) / camera.fx, (ys + 0.5 - camera.cy) / camera.fy, np.ones((height, width))])
    rays = rays.reshape(3, -1)
    nodes = forest.node_map.ravel()
    flat_size, _ = _spread(forest, nodes, rays)
    if depth is None:
        return flat_size
    solid = np.isfinite(depth) & (depth > 0)
    if not solid.any():
        return np.full_like(flat_size, np.nan)
    usable = (solid & ~_jumps(depth)).ravel()
    if not usable.any():
        usable = solid.ravel()
    middle = float(np.median(depth.ravel()[usable]))
    points = rays[:, usable] * depth.ravel()[usable]
    size, counts = _spread(forest, nodes[usable], points)
    sizes = np.where(counts >= FEWEST_PIXELS, size, flat_size * middle)
    own = np.bincount(nodes, minlength=len(sizes))
    own_solid = np.bincount(nodes[solid.ravel()], minlength=len(sizes))
    sizes[(own > 0) & (own_solid < SOLID_SHARE * own)] = np.nan
    return sizes


def _jumps(depth: np.ndarray) -> np.ndarray:
    """Pixels beside a jump in depth, bool [H, W]."""
    jumps = np.zeros(depth.shape, bool)
    finite = np.where(np.isfinite(depth), depth, 1e30)
    for axis in (0, 1):
        near, far = [slice(None)] * 2, [slice(None)] * 2
        near[axis], far[axis] = slice(None, -1), slice(1, None)
        a, b = finite[tuple(near)], finite[tuple(far)]
        apart = np.abs(a - b) > DEPTH_JUMP * np.minimum(a, b)
        jumps[tuple(near)] |= apart
        jumps[tuple(far)] |= apart
    return jumps


def _spread(forest: Forest, nodes: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(twice the spread, number of points) of every node with its descendants; nodes [P], points [3, P]."""
    count = forest.count + 1
    centre = points.mean(1, keepdims=True) if points.size else np.zeros((3, 1))  # keeps the squares small
    local = points - centre
    columns: list[np.ndarray] = [np.bincount(nodes, minlength=count).astype(np.float64)]
    columns += [np.bincount(nodes, weights=axis, minlength=count) for axis in local]
    columns.append(np.bincount(nodes, weights=(local**2).sum(0), minlength=count))
    sums = forest.sum_up(np.stack(columns, 1))
    counts = np.maximum(sums[:, 0], 1)
    variance = sums[:, 4] / counts - (sums[:, 1:4] ** 2).sum(1) / counts**2
    return 2 * np.sqrt(np.maximum(variance, 0)), sums[:, 0]

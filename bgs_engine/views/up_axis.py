"""Guessing which way is up from the splat alone: look for the ground.

A ground is a thin layer of flat Gaussians lying across the axis, at the low end of the scene. Every axis direction is
scored by the area in such a layer; most captures have y pointing down (COLMAP), so -y wins ties and near ties.
"""

import numpy as np

from bgs_engine.gaussians import Gaussians

AXES = {
    "x": (1.0, 0.0, 0.0), "-x": (-1.0, 0.0, 0.0),
    "y": (0.0, 1.0, 0.0), "-y": (0.0, -1.0, 0.0),
    "z": (0.0, 0.0, 1.0), "-z": (0.0, 0.0, -1.0),
}  # fmt: skip
LAYER = 0.05  # thickness of the layer, as a share of the scene's bulk along the axis
LOW_END = 0.35  # the ground lies in this lowest share of the bulk
ALIGNED = 0.75  # least |cosine| between a flat Gaussian's normal and the axis
PRIOR = {"-y": 1.5, "z": 1.2}  # how much likelier a convention is than the rest: COLMAP captures, made scenes
MAX_GAUSSIANS = 200_000


def guess_up(gaussians: Gaussians) -> np.ndarray:
    """The up direction, float64 [3]: one of the six axis directions."""
    step = max(1, len(gaussians) // MAX_GAUSSIANS)
    rows = np.flatnonzero(gaussians.valid & (gaussians.opacities > 0.1))[::step]
    if len(rows) < 10:
        return np.array(AXES["-y"])
    g = gaussians.take(rows)
    smallest = g.scales.argmin(1)
    sizes = np.sort(g.scales, 1)
    cap = np.percentile(sizes[:, 2], 95)  # a few huge far splats are usual
    area = g.opacities * np.minimum(sizes[:, 1], cap) * np.minimum(sizes[:, 2], cap)
    normals = _rotation_columns(g.quats, smallest)
    scores = {}
    for name, axis in AXES.items():
        height = g.means @ np.array(axis, np.float32)
        low, high = np.percentile(height, (1, 99))
        place = (height - low) / max(float(high - low), 1e-12)
        flat = np.abs(normals @ np.array(axis, np.float32)) > ALIGNED
        inside = flat & (place > -LAYER) & (place < LOW_END)
        bins = np.bincount(((place[inside] + LAYER) / (LAYER / 2)).astype(int), area[inside], minlength=2)
        layer = float((bins[1:] + bins[:-1]).max())
        scores[name] = layer / float(area.sum()) * PRIOR.get(name, 1.0)
    return np.array(AXES[max(scores, key=lambda name: scores[name])])


def _rotation_columns(quats: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Column `which` [N] of each rotation matrix; quats [N, 4] unit wxyz → [N, 3]."""
    w, x, y, z = quats.T
    columns = np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], 1),
            np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], 1),
            np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], 1),
        ],
        1,
    )
    return columns[np.arange(len(quats)), which]

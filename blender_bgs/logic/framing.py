"""The box and the view to look at after an import, and the radius of each point. Floaters do not affect them."""

import numpy as np
from bgs_engine.core.statistics import weighted_percentiles

SLICES = 50  # of the core's longest side
SLICE_SHARE = 1 / 2000  # share of the opacity that slices of the splat hold at least; those of floaters hold less
SMOOTHING = 3  # slices whose mean counts, because a thin part has few Gaussians in each slice
MARGIN = 1.06  # room around the splat in a view that shows it whole
CORE_SHARE = 0.90  # share of the opacity that must be in view; the rest of a capture is mostly sky and floaters
VISIBLE_OPACITY = 0.1  # fainter Gaussians are haze; as solid points they would hide the Gaussians behind them
LARGEST_QUANTILE = 0.98  # limits the radii, because a few background Gaussians are as large as the scene


def core_box(positions: np.ndarray, opacities: np.ndarray, share: float = CORE_SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner [3] of the box that holds `share` of the opacity along each axis.

    positions [N, 3] in scene units, opacities [N] in 0..1. It samples at most about 200,000 Gaussians.
    """
    step = max(1, len(positions) // 200_000)
    points, weights = positions[::step].astype(np.float64), opacities[::step].astype(np.float64) + 1e-9
    margin = 100 * (1 - share) / 2
    low, high = weighted_percentiles(points, weights, (margin, 100 - margin))
    return low, high


def whole_box(positions: np.ndarray, opacities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner [3] of the box that holds the splat without its floaters.

    The box grows from the core along each axis, slice by slice, while the next slices hold `SLICE_SHARE` of the
    opacity each. It grows at most by the core's longest side in each direction. Arguments as for `core_box`.
    """
    step = max(1, len(positions) // 200_000)
    points, weights = positions[::step].astype(np.float64), opacities[::step].astype(np.float64) + 1e-9
    finite = np.isfinite(points).all(1) & np.isfinite(weights)
    points, weights = points[finite], weights[finite]
    if not len(points):
        return np.zeros(3), np.ones(3)
    low, high = core_box(points, weights)
    most = float((high - low).max())
    if most <= 0:
        return points.min(0), points.max(0)
    size, least = most / SLICES, SLICE_SHARE * weights.sum()
    for axis in range(3):
        values = points[:, axis]
        for corner, sign in ((low, -1.0), (high, 1.0)):
            beyond = (values - corner[axis]) * sign
            inside = (beyond >= 0) & (beyond < most)
            slices = np.bincount((beyond[inside] / size).astype(int), weights[inside], minlength=SLICES)
            held = np.convolve(slices, np.full(SMOOTHING, 1 / SMOOTHING))[SMOOTHING - 1 :]  # of each and the next ones
            empty = np.flatnonzero(held < least)
            reach = size * (empty[0] + 1 if len(empty) else SLICES)  # the last slice reaches to its farthest Gaussian
            corner[axis] += sign * beyond[inside & (beyond < reach)].max(initial=0.0)
    return low, high


def fit_view(points: np.ndarray, width: float, height: float, perspective: bool) -> tuple[np.ndarray, float]:
    """Where to look, and from how far, to see all points as large as possible.

    Args:
        points: [N, 3] in the axes of the view: x to the right, y up, z towards the viewer.
        width: half of the width that is seen at distance 1.
        height: half of the height that is seen at distance 1.
        perspective: whether nearer points appear larger.

    Returns:
        The point to look at [3] in the same axes, and the distance to it.
    """
    low, high = points.min(0), points.max(0)
    center = (low + high) / 2
    away = np.abs(points - center)
    nearer = points[:, 2] - center[2] if perspective else 0.0
    distance = np.maximum(away[:, 0] / width, away[:, 1] / height) * MARGIN + nearer
    return center, float(max(distance.max(), 1e-6))


def point_radii(scales: np.ndarray, opacities: np.ndarray) -> np.ndarray:
    """Display radius [N] in scene units: mean standard deviation x sqrt(opacity), capped; 0 for haze.

    scales [N, 3] are standard deviations in scene units, opacities [N] are in 0..1.
    """
    radii = scales.mean(1) * np.sqrt(opacities)
    visible = opacities >= VISIBLE_OPACITY
    if visible.any():
        step = max(1, len(radii) // 200_000)
        sample = radii[::step][visible[::step]]
        if len(sample):
            np.minimum(radii, np.quantile(sample, LARGEST_QUANTILE), out=radii)
    return np.where(visible, radii, 0).astype(np.float32)

"""The box to look at after an import, and the radius of each point. Haze and far-away floaters do not affect them."""

import numpy as np

CORE_SHARE = 0.90  # share of the opacity that must be in view; the rest of a capture is mostly sky and floaters
VISIBLE_OPACITY = 0.1  # fainter Gaussians are haze; as solid points they would hide the Gaussians behind them
LARGEST_QUANTILE = 0.98  # limits the radii, because a few background Gaussians are as large as the scene


def core_box(positions: np.ndarray, opacities: np.ndarray, share: float = CORE_SHARE) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner [3] of the box that holds `share` of the opacity along each axis.

    positions [N, 3] in scene units, opacities [N] in 0..1. It samples at most about 200,000 Gaussians.
    """
    step = max(1, len(positions) // 200_000)
    points, weights = positions[::step].astype(np.float64), opacities[::step].astype(np.float64) + 1e-9
    low, high = np.empty(3), np.empty(3)
    for axis in range(3):
        order = np.argsort(points[:, axis])
        total = np.cumsum(weights[order])
        margin = (1 - share) / 2 * total[-1]
        ends = np.searchsorted(total, (margin, total[-1] - margin))
        low[axis], high[axis] = points[order[ends.clip(0, len(order) - 1)], axis]
    return low, high


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

"""The bulk of a splat, the place of its opaque mass. A few huge far Gaussians would blow up a bounding box."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.io.gaussians import Gaussians

SAMPLES = 20_000  # enough for percentiles to 1 %
TAIL = 0.02  # share of the opaque mass left out at each end of each axis
MATTER_OPACITY = 0.3  # what counts as opaque matter; haze is fainter
SIGMAS = 3.0  # standard deviations to which a Gaussian is drawn, about
DRAWN_OPACITY = 1 / 255  # fainter Gaussians are not drawn at all (raster.semantics)


@dataclass(frozen=True)
class Bulk:
    """points [S, 3]: drawn in proportion to opacity, without the tails; center [3]; radius: half the diagonal."""

    points: np.ndarray
    center: np.ndarray
    radius: float


def find_bulk(gaussians: Gaussians, seed: int = 0) -> Bulk:
    """Draw points in proportion to opacity and cut the tails of each axis.

    Raises:
        InputError: every Gaussian is transparent.
    """
    weights = gaussians.opacities.astype(np.float64)
    total = weights.sum()
    if weights.max() < DRAWN_OPACITY:
        raise InputError("Every Gaussian of this splat is transparent: there is nothing to see.", "Export it again.")
    offset = np.random.default_rng(seed).random()
    draws = (np.arange(SAMPLES) + offset) / SAMPLES * total
    rows = np.searchsorted(np.cumsum(weights), draws).clip(0, len(weights) - 1)
    points = gaussians.means[rows].astype(np.float64)
    low, high = np.quantile(points, (TAIL, 1 - TAIL), axis=0)
    inside = ((points >= low) & (points <= high)).all(1)
    center = (low + high) / 2
    radius = max(float(np.linalg.norm(high - low)) / 2, 1e-6)
    size = float(np.median(gaussians.scales[rows].max(1)))
    if radius < size:  # one Gaussian, or all in one place: the corners of a cube that holds them stand for them
        radius = SIGMAS * size
        corners = np.array(np.meshgrid(*[(-1.0, 1.0)] * 3)).reshape(3, 8).T
        return Bulk(center + corners * radius / np.sqrt(3), center, radius)
    return Bulk(points[inside], center, radius)

"""The flat surface at a place: a wall, a floor, the top of a table.

Mask models see no border between two walls of one colour, and a floor goes on under furniture that no single mask
spans. The positions of Gaussians tell both: a plane is fitted around the place and grows as far as Gaussians lie on it.
"""

import numpy as np

from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.loose_parts import SOLID, TOUCHING, loose_parts
from bgs_engine.raster.scene import RasterScene

FIRST = 60  # solid Gaussians nearest to the place, on which the first plane is fitted
FEWEST = 30  # Gaussians: less is no surface
GROWTH = 1.7  # of the radius in which the plane is fitted again, from round to round
ROUNDS = 12  # the radius grows to 600 times the first
ENDS = 0.9  # of the radius: a surface that reaches less far has been found whole
DEVIATIONS = 2.5  # beyond so many standard deviations of the height a Gaussian lies off the first plane
ON = 3.0  # standard deviations of the height within which a Gaussian lies on the plane
LEAST_ON, MOST_ON = 0.3, 1.5  # the same at least and at most, in widths of the Gaussians around the place
FLAT = 0.2  # of the second largest extent: what is thicker is no surface
NORMAL = 1.4826  # the standard deviation of a normal distribution, in its median absolute deviations


class SolidGaussians:
    """The solid Gaussians of a scene, kept for every place. rows: int [S]."""

    def __init__(self, scene: RasterScene) -> None:
        self.rows = np.flatnonzero(scene.opacities > SOLID)
        self.means = scene.means[self.rows]
        self.widths = np.sqrt(scene.covs[self.rows][:, [0, 3, 5]].max(1))


def flat_surface(solid: SolidGaussians, place: np.ndarray) -> np.ndarray | None:
    """The solid Gaussians of the flat surface at a place [3], int [M]; None if there is no such surface.

    They lie on one plane, and each touches others of them.
    """
    if len(solid.rows) < FIRST:
        return None
    far = np.sqrt(((solid.means - place.astype(np.float32)) ** 2).sum(1))
    near = np.argpartition(far, FIRST - 1)[:FIRST]
    width = float(np.median(solid.widths[near]))
    points, radius = solid.means[near].astype(np.float64), float(far[near].max())
    origin, normal, spread = _plane(points)
    heights = np.abs((points - origin) @ normal)
    origin, normal, spread = _plane(points[heights <= DEVIATIONS * max(spread, 1e-9)])
    on = near
    for _ in range(ROUNDS):
        radius *= GROWTH
        around = np.flatnonzero(far < radius)
        grown = _connected(solid, around, origin, normal, _tolerance(spread, width), far)
        if grown is None:
            return None
        on = grown
        origin, normal, spread = _plane(solid.means[on].astype(np.float64))
        if float(far[on].max()) < ENDS * radius:
            break
    everywhere = np.arange(len(far))
    found = _connected(solid, everywhere, origin, normal, _tolerance(spread, width), far)
    if found is None or not _is_flat(solid.means[found]):
        return None
    rows: np.ndarray = solid.rows[found]
    return rows


def _tolerance(spread: float, width: float) -> float:
    return min(max(ON * spread, LEAST_ON * width), MOST_ON * width)


def _plane(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The plane of points, float64 [K, 3]: (its origin [3], its normal [3], the usual distance from it)."""
    origin = points.mean(0)
    normal = np.linalg.eigh(np.cov((points - origin).T))[1][:, 0]
    return origin, normal, NORMAL * float(np.median(np.abs((points - origin) @ normal)))


def _connected(
    solid: SolidGaussians, among: np.ndarray, origin: np.ndarray, normal: np.ndarray, tolerance: float, far: np.ndarray
) -> np.ndarray | None:
    """Those `among` which lie on a plane and touch each other up to the one nearest to the place; far: float [S]."""
    heights = (solid.means[among] - origin.astype(np.float32)) @ normal.astype(np.float32)
    on = among[np.abs(heights) < tolerance]
    if len(on) < FEWEST:
        return None
    try:
        piece = loose_parts(
            solid.means[on].astype(np.float64), np.ones(len(on), bool), TOUCHING * float(np.median(solid.widths[on]))
        )
    except UsageError:  # the box is too large for its Gaussians
        return None
    found: np.ndarray = on[piece == piece[int(far[on].argmin())]]
    return found if len(found) >= FEWEST else None


def _is_flat(points: np.ndarray) -> bool:
    """Whether points [K, 3] spread much less along one axis than along the two others."""
    extents = np.sqrt(np.linalg.eigvalsh(np.cov(points.astype(np.float64).T)).clip(0))
    return bool(extents[0] < FLAT * extents[1])

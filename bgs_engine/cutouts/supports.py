"""Finds the surfaces that an object stands on or leans against: the floor below it, the wall behind it.

A surface is a plane (RANSAC: Fischler and Bolles 1981, then reweighted least squares) with a quadratic height over it.
"""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.quaternions import quaternion_columns
from bgs_engine.cutouts.loose_parts import SOLID
from bgs_engine.io.gaussians import Gaussians

MOST_SURFACES = 3  # a corner of a room has three
TRIES = 300  # planes that are tried for each surface
MOST_POINTS = 3000  # Gaussians of the ring that judge a plane
FEWEST_POINTS = 30  # a plane with fewer is no surface
LEAST_SHARE = 0.06  # of the ring's weight: a smaller plane is no surface
CONTACT = 0.3  # of the object's size: an object this close to a surface can hide it from every view
BELOW = 0.15  # of the object's Gaussians may lie below the surface, as feet do that stand in grass
PARALLEL = 0.95  # cosine of the angle between two planes from which they count as one
CURVED = 0.8  # the height's residual over the plane's: a surface counts as curved if it is smaller
EVEN = 0.1  # of the tolerance: a plane whose residual is smaller is flat anyway
SLAB = 0.75  # of the tolerance: Gaussians that spread more are a plane through matter, no surface
TOLERANCES = (1.0, 0.5, 0.25)  # of a Gaussian's width, that planes are tried with
SHARPER = 0.6  # of a plane's weight: half the tolerance is better if it keeps so much. Two sides of a board keep half.


@dataclass(frozen=True)
class Surface:
    """A plane with a height over it.

    origin [3]; axes [3, 3] with the rows u, v and the normal, which points to the object; coefficients [6] of the
    height 1, u, v, u², uv, v², in units of `reach`; spread: the usual distance of its Gaussians from it; reach: how far
    around the origin it was fitted. Lengths are scene units.
    """

    origin: np.ndarray
    axes: np.ndarray
    coefficients: np.ndarray
    spread: float
    reach: float

    @property
    def curved(self) -> bool:
        """Whether it is no plane."""
        return bool(self.coefficients.any())

    def flat(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places on the plane [N, 2] and heights over the surface [N] of points [N, 3]."""
        local = (points - self.origin) @ self.axes.T
        return local[:, :2], local[:, 2] - self.height(local[:, :2])

    def points(self, places: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """The inverse of `flat`, [N, 3]."""
        local = np.concatenate([places, (heights + self.height(places))[:, None]], 1)
        return local @ self.axes + self.origin

    def height(self, places: np.ndarray) -> np.ndarray:
        """Height of the surface over the plane at places [N, 2], [N]. Beyond `reach` it stays as it is there."""
        if not self.curved:
            return np.zeros(len(places))
        return _terms(places / self.reach) @ self.coefficients * self.reach

    def frames(self, places: np.ndarray) -> np.ndarray:
        """Rotations [N, 3, 3] that turn the plane's normal to the surface's normals at places [N, 2]."""
        u, v = (places / self.reach).clip(-1, 1).T
        _, cu, cv, cuu, cuv, cvv = self.coefficients
        slope_u, slope_v = cu + 2 * cuu * u + cuv * v, cv + cuv * u + 2 * cvv * v
        normal = np.stack([-slope_u, -slope_v, np.ones(len(u))], 1) @ self.axes
        return turns(self.axes[2], normal / np.linalg.norm(normal, axis=1, keepdims=True))


def turns(start: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The smallest rotations [N, 3, 3] from a unit vector [3] to unit vectors [N, 3] that are not opposite to it."""
    cross = np.cross(start, ends)
    zero = np.zeros(len(ends))
    x, y, z = cross.T
    skew = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).reshape(-1, 3, 3)
    return np.eye(3) + skew + skew @ skew / (1 + ends @ start)[:, None, None]


def find_supports(ring: Gaussians, thing: np.ndarray, size: float, rng: np.random.Generator) -> list[Surface]:
    """The surfaces among Gaussians around an object that the object touches, best first; at most `MOST_SURFACES`.

    Args:
        ring: Gaussians around the object, without it.
        thing: centres of the object's solid Gaussians, [M, 3].
        size: of the object, scene units.
        rng: draws the tries.
    """
    solid = np.flatnonzero(ring.valid & (ring.opacities > SOLID))
    if len(solid) < FEWEST_POINTS or len(thing) < 3:
        return []
    solid = rng.permutation(solid)[:MOST_POINTS]
    points, normals = ring.means[solid].astype(float), thinnest_axes(ring, solid)
    away = np.maximum(np.maximum(thing.min(0) - points, points - thing.max(0)), 0)
    weights = 1 / (1 + ((away * away).sum(1) / (0.25 * size) ** 2))
    tolerance = max(float(np.median(ring.scales[solid].max(1))), 0.015 * size)
    least, left = LEAST_SHARE * weights.sum(), np.ones(len(points), bool)
    found: list[Surface] = []
    for _ in range(2 * MOST_SURFACES):  # a plane that the object does not touch takes a turn too
        if left.sum() < FEWEST_POINTS or len(found) == MOST_SURFACES:
            break
        plane = _best_plane(points[left], normals[left], weights[left], tolerance, rng)
        if plane is None or plane[2] < least:
            break
        near = np.abs((points - plane[0]) @ plane[1]) < 2.5 * plane[3]
        surface = _fitted(points[near & left], weights[near & left], plane[1], thing, EVEN * tolerance)
        left &= ~near
        if _touches(surface, thing, size, tolerance) and not any(_same(surface, other) for other in found):
            found.append(surface)
    return found


def thinnest_axes(ring: Gaussians, rows: np.ndarray) -> np.ndarray:
    """The thinnest direction of each Gaussian, [K, 3]."""
    columns = np.stack(quaternion_columns(ring.quats[rows]))  # [3 axes, 3, K]
    return columns[ring.scales[rows].argmin(1), :, np.arange(len(rows))]


def _best_plane(
    points: np.ndarray, normals: np.ndarray, weights: np.ndarray, tolerance: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float, float] | None:
    """A point of the plane [3], its normal [3], the weight of what lies on it, and the tolerance that is sharp enough.

    Half of the tries trust a normal.
    """
    share = weights / weights.sum()
    first, second, third = rng.choice(len(points), (3, TRIES), p=share)
    tried = normals[first].copy()
    half = slice(TRIES // 2, None)
    tried[half] = np.cross(points[second] - points[first], points[third] - points[first])[half]
    length = np.linalg.norm(tried, axis=1)
    fine = length > 1e-12
    if not fine.any():
        return None
    tried, first = tried[fine] / length[fine, None], first[fine]
    distance = np.abs(points @ tried.T - (points[first] * tried).sum(1))
    found = None
    for factor in TOLERANCES:
        score = (weights[:, None] * (1 - (distance / (factor * tolerance)).clip(max=1) ** 2)).sum(0)
        best = int(score.argmax())
        if found is not None and score[best] < SHARPER * found[2]:
            break
        found = points[first[best]], tried[best], float(score[best]), factor * tolerance
    return found


def _fitted(points: np.ndarray, weights: np.ndarray, normal: np.ndarray, thing: np.ndarray, even: float) -> Surface:
    """The plane through points by reweighted least squares, and the height over it where that fits clearly better.

    A plane whose residual is below `even`, scene units, has no height over it.
    """
    weights = weights.copy()
    for _ in range(6):
        center = weights @ points / weights.sum()
        spread = (points - center) * np.sqrt(weights)[:, None]
        normal = np.linalg.svd(spread, full_matrices=False)[2][2] if len(points) > 3 else normal
        distance = (points - center) @ normal
        sigma = max(1.4826 * float(np.median(np.abs(distance))), 1e-9)
        weights = _tukey(distance / sigma)
    if np.median((thing - center) @ normal) < 0:
        normal = -normal
    first = np.eye(3)[np.abs(normal).argmin()]
    u = np.cross(normal, first)
    u /= np.linalg.norm(u)
    axes = np.stack([u, np.cross(normal, u), normal])
    origin = center + axes[:2].T @ (axes[:2] @ (np.median(thing, 0) - center))  # below the object
    local = (points - origin) @ axes.T
    reach = float(np.abs(local[:, :2]).max())
    terms, heights = _terms(local[:, :2] / reach), local[:, 2] / reach
    coefficients, kept = np.zeros(6), _tukey((points - center) @ normal / sigma)
    for _ in range(6):
        root = np.sqrt(kept)[:, None]
        ridge = 1e-3 * np.sqrt(len(points)) * np.diag([0.0, 0, 0, 1, 1, 1])  # a hole must not let the height bend
        coefficients = np.linalg.lstsq(
            np.concatenate([terms * root, ridge]), np.concatenate([heights * root[:, 0], np.zeros(6)]), rcond=None
        )[0]
        over = (heights - terms @ coefficients) * reach
        kept = _tukey(over / max(1.4826 * float(np.median(np.abs(over))), 1e-9))
    bent = 1.4826 * float(np.median(np.abs(over)))
    if sigma > even and bent < CURVED * sigma:
        return Surface(origin, axes, coefficients, bent, reach)
    return Surface(origin, axes, np.zeros(6), sigma, reach)


def _terms(places: np.ndarray) -> np.ndarray:
    u, v = places.clip(-1, 1).T
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], 1)


def _tukey(residuals: np.ndarray) -> np.ndarray:
    """Tukey's weights of residuals in standard deviations."""
    return np.asarray((1 - (residuals / 4.685) ** 2).clip(min=0) ** 2)


def _touches(surface: Surface, thing: np.ndarray, size: float, tolerance: float) -> bool:
    """Whether the object lies on one side of a surface and close to it, and the surface is one."""
    _, heights = surface.flat(thing)
    if surface.spread > SLAB * tolerance:
        return False
    low, contact = np.quantile(heights, (BELOW, 0.02))
    return bool(low > -tolerance - surface.spread and contact < CONTACT * size + 2 * tolerance)


def _same(one: Surface, other: Surface) -> bool:
    return bool(abs(one.axes[2] @ other.axes[2]) > PARALLEL)

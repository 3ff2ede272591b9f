"""Guesses the up axis from the ground that a splat shows, or else from the convention of capture tools."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.core.errors import UsageError
from bgs_engine.views.bulk import Bulk

AXES = {"x": (1, 0, 0), "-x": (-1, 0, 0), "y": (0, 1, 0), "-y": (0, -1, 0), "z": (0, 0, 1), "-z": (0, 0, -1)}
COLMAP_UP = np.array([0.0, -1.0, 0.0])  # first camera upright, y down: COLMAP's frame, kept by most trainers
TRIALS = 400  # RANSAC: a plane with 10 % of the mass is hit with probability 1 - (1 - 0.1^3)^400 = 33 % by blind
# triples, and for certain by the axis-aligned trials that come first; real grounds hold far more
POINTS = 3000
THICKNESS = 0.015  # of the bulk's radius: half the thickness of a ground with grass
MIN_SHARE = 0.10  # of the mass that must lie in the ground
MAX_BELOW = 0.03  # of the mass that may lie beneath it
GROUND_REACH = (
    0.85  # ground reaches at least about as far, both ways, as what stands on it; the flat side of a thing does not
)
MIN_ROUNDNESS = 0.4  # a floor 2.5 times as long as wide; narrower is the side of something long
SNAP = np.cos(np.radians(8))  # closer than this to an axis, the axis is meant
PRIOR = 0.15  # what the habit is worth beside the ground's own score


@dataclass(frozen=True)
class Up:
    """direction [3], unit; ground: whether a ground plane was found (nothing to look at from below)."""

    direction: np.ndarray
    ground: bool


def given_up(name: str) -> Up:
    """The axis that a user named: x, -x, y, -y, z or -z. It counts as one without ground.

    Raises:
        UsageError: the name is no axis.
    """
    if name not in AXES:
        raise UsageError(f"'{name}' is no axis.", f"Use one of {', '.join(AXES)}.")
    return Up(np.array(AXES[name], np.float64), ground=False)


def guess_up(bulk: Bulk, seed: int = 0) -> Up:
    """The normal of the largest plane that has the rest of the mass on one side, or COLMAP's -y if there is none.

    A plane scores the share of mass in it times the area over which that mass spreads, because walls are smaller than
    the floor. Of floor and ceiling, the one nearer to the things between them wins.
    """
    rng = np.random.default_rng(seed)
    points = bulk.points[rng.choice(len(bulk.points), min(POINTS, len(bulk.points)), replace=False)]
    scaled = (points - bulk.center) / bulk.radius
    best, direction = 0.0, COLMAP_UP
    for normal in _normals(scaled, rng):
        score = _ground_score(scaled, normal)
        if score > best:
            best, direction = score, normal
    if best == 0:
        return Up(COLMAP_UP, ground=False)
    axis = np.array(max(AXES.values(), key=lambda axis: float(np.dot(axis, direction))), np.float64)
    return Up(axis if axis @ direction > SNAP else direction, ground=True)


def _normals(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unit normals to try, [K, 3]: the axes, then planes through random triples; both signs of each."""
    a, b, c = points[rng.integers(0, len(points), (3, TRIALS))]
    normals = np.concatenate([np.eye(3), np.cross(b - a, c - a)])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    return np.concatenate([normals, -normals])


def _ground_score(points: np.ndarray, normal: np.ndarray) -> float:
    """How much the lowest dense layer along `normal` looks like ground; 0 when it does not."""
    heights = points @ normal
    low = np.quantile(heights, MAX_BELOW)
    layer = np.median(heights[heights <= low + 2 * THICKNESS])
    within = np.abs(heights - layer) <= THICKNESS
    share = float(within.mean())
    if share < MIN_SHARE:
        return 0.0
    wide, narrow = _spread(points[within], normal)
    rest = points[heights > layer + THICKNESS]
    if len(rest) > 2:
        rest_wide, rest_narrow = _spread(rest, normal)
        if wide < GROUND_REACH * rest_wide or narrow < GROUND_REACH * rest_narrow:
            return 0.0
    if narrow < MIN_ROUNDNESS * wide:
        return 0.0
    area = wide * narrow
    above = heights[heights > layer + THICKNESS] - layer
    nearness = 1 - float(np.median(above) / max(above.max(), 1e-9)) if len(above) else 0.0
    return share * area * (1 + 0.5 * nearness) * (1 + PRIOR * max(0.0, float(normal @ COLMAP_UP)))


def _spread(points: np.ndarray, normal: np.ndarray) -> tuple[float, float]:
    """Standard deviations of points [K, 3] across `normal`, larger first."""
    if len(points) < 2:
        return 0.0, 0.0
    across = points - np.outer(points @ normal, normal)
    values = np.linalg.svd(across - across.mean(0), compute_uv=False) / np.sqrt(len(points))
    return float(values[0]), float(values[1])

"""Places cameras on a circle round the bulk of a splat, for turntables."""

import numpy as np

from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.core.statistics import weighted_percentiles
from bgs_engine.io.gaussians import Gaussians

FIELD_OF_VIEW = 50.0  # degrees, the wider side of the picture
ELEVATION = 20.0  # degrees above the horizon
BULK = (5.0, 95.0)  # percentiles of the opaque mass that must fit: a few huge far splats are usual
LEAST_SIZES = 3  # usual sizes of a Gaussian that the radius has at least
DISTANCE = 1.15  # times the distance at which the bulk's sphere just fits


def orbit_cameras(gaussians: Gaussians, up: np.ndarray, count: int, width: int, height: int) -> list[Camera]:
    """`count` cameras in a full circle, `up` [3] pointing up in the pictures."""
    center, radius = sphere_of_bulk(gaussians)
    focal = max(width, height) / 2 / np.tan(np.radians(FIELD_OF_VIEW / 2))
    distance = DISTANCE * radius / np.sin(np.arctan(min(width, height) / 2 / focal))
    up = up / np.linalg.norm(up)
    side = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    side /= np.linalg.norm(side)
    front = np.cross(side, up)
    elevation = np.radians(ELEVATION)
    cameras = []
    for k in range(count):
        angle = 2 * np.pi * k / count
        flat = np.cos(angle) * side + np.sin(angle) * front
        eye = center + distance * (np.cos(elevation) * flat + np.sin(elevation) * up)
        viewmat = look_at(eye, center, up)
        cameras.append(Camera(f"orbit_{k:03d}", width, height, focal, focal, width / 2, height / 2, viewmat))
    return cameras


def sphere_of_bulk(gaussians: Gaussians) -> tuple[np.ndarray, float]:
    """The centre, float64 [3], and the radius of a sphere round the bulk of a splat, also if that is one Gaussian."""
    low, high = weighted_percentiles(gaussians.means, gaussians.opacities, BULK)
    least = LEAST_SIZES * float(np.median(gaussians.scales.max(1)))
    return (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, least, 1e-6)

"""Places possible cameras: on rings outside, in free space inside, and close to Gaussians that other views miss."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.views.bulk import Bulk
from bgs_engine.views.up import Up

USUAL_FOCAL = 0.9  # of the picture's width: 58 degrees across, a usual phone lens
INSIDE_FOCAL = 0.6  # 80 degrees: rooms are tight
MARGIN = 1.2  # air around the bulk in a picture that holds all of it
FRAMED = 0.98  # share of the bulk's points that such a picture holds
GROUND_ELEVATIONS = (6.0, 22.0, 42.0, 68.0)  # degrees; beneath ground there is nothing to see
FREE_ELEVATIONS = (-30.0, -5.0, 15.0, 38.0, 64.0)
AZIMUTHS = 14
CLOSER = 0.62  # of the framing distance, for detail
GRID = 40  # cells along the longest side of the free-space grid
CLEARANCE_CELLS = 3.0  # cells between a camera and matter


@dataclass(frozen=True)
class Lens:
    """Picture size in pixels."""

    width: int
    height: int

    def camera(self, eye: np.ndarray, target: np.ndarray, up: np.ndarray, focal: float = USUAL_FOCAL) -> Camera:
        """A camera at `eye` looking at `target`; focal length as a share of the width."""
        f = focal * self.width
        half = (self.width / 2, self.height / 2)
        return Camera("", self.width, self.height, f, f, *half, look_at(eye, target, up))


def outside_cameras(bulk: Bulk, up: Up, lens: Lens) -> list[Camera]:
    """Rings at several heights, each camera as near as it can frame the bulk, and closer ones for detail."""
    elevations = GROUND_ELEVATIONS if up.ground else FREE_ELEVATIONS
    cameras = []
    for ring, elevation in enumerate(elevations):
        count = max(4, round(AZIMUTHS * np.cos(np.radians(elevation))))
        for k in range(count):
            direction = _direction(up.direction, 2 * np.pi * (k + 0.5 * (ring % 2)) / count, np.radians(elevation))
            distance = framing_distance(bulk.points - bulk.center, direction, up.direction, lens)
            cameras.append(lens.camera(bulk.center + direction * distance, bulk.center, up.direction))
            if k % 2 == 0:
                near = bulk.center + direction * distance * CLOSER
                cameras.append(lens.camera(near, bulk.center, up.direction))
    return cameras


def framing_distance(points: np.ndarray, direction: np.ndarray, up: np.ndarray, lens: Lens) -> float:
    """How far along `direction` a camera looking back at the origin must stand to hold `FRAMED` of points [S, 3].

    A point at (x, y, z) in camera axes with the origin moved to the target is inside when |x| / (d + z) <= tan.
    """
    rotation = look_at(direction, np.zeros(3), up)[:3, :3]
    x, y, z = rotation @ points.T
    tan_x, tan_y = 0.5 / USUAL_FOCAL, 0.5 / USUAL_FOCAL * lens.height / lens.width
    need = np.maximum(np.abs(x) / tan_x, np.abs(y) / tan_y) - z
    return float(np.quantile(need, FRAMED)) * MARGIN


def inside_cameras(bulk: Bulk, up: Up, lens: Lens, occupied: np.ndarray, places: int) -> list[Camera]:
    """Cameras at that many free places within the bulk, looking all round, level and up or down in turn.

    occupied [M, 3]: opaque positions.
    """
    cameras = []
    for place in free_places(bulk, up, occupied, places):
        for k in range(6):
            for elevation in (-10.0, -40.0) if k % 2 else (8.0, -22.0):
                ahead = _direction(up.direction, 2 * np.pi * k / 6, np.radians(elevation))
                cameras.append(lens.camera(place, place + ahead, up.direction, INSIDE_FOCAL))
    return cameras


def free_places(bulk: Bulk, up: Up, occupied: np.ndarray, count: int) -> np.ndarray:
    """Positions [P, 3] away from matter, between a quarter and three quarters of the bulk's height, well spread."""
    low, high = bulk.points.min(0), bulk.points.max(0)
    cell = float((high - low).max()) / GRID
    if cell == 0:  # all matter is in one place
        return np.zeros((0, 3))
    shape = np.ceil((high - low) / cell).astype(int) + 1
    cells_in_use = np.floor((occupied - low) / cell)  # as floats: outliers do not fit integers
    index = cells_in_use[((cells_in_use >= 0) & (cells_in_use < shape)).all(1)].astype(int)
    full = np.zeros(shape, bool)
    full[tuple(index.T)] = True
    distance = ndimage.distance_transform_edt(np.pad(~full, 1, constant_values=True))[1:-1, 1:-1, 1:-1]
    cells = np.argwhere(distance >= CLEARANCE_CELLS)
    places = low + (cells + 0.5) * cell
    heights = places @ up.direction
    span = bulk.points @ up.direction
    bottom, top = span.min(), span.max()
    kept = (heights > bottom + 0.25 * (top - bottom)) & (heights < bottom + 0.75 * (top - bottom))
    kept &= ((places >= low) & (places <= high)).all(1)
    return _spread(places[kept], count, bulk.center)


def close_cameras(missed: np.ndarray, bulk: Bulk, up: Up, lens: Lens, seed: int) -> list[Camera]:
    """Cameras near the positions [M, 3] that other views miss, from all sides, at three distances."""
    cameras = []
    for target in _spread(missed, 7, missed.mean(0)):
        for k in range(8):
            elevation = (55.0, 10.0, -20.0 if not up.ground else 30.0)[k % 3]
            direction = _direction(up.direction, 2.399963 * (k + seed), np.radians(elevation))  # golden angle
            distance = bulk.radius * (0.35, 0.7, 1.2)[k // 3 % 3]
            cameras.append(lens.camera(target + direction * distance, target, up.direction))
    return cameras


def aimed_cameras(
    missed: np.ndarray, bulk: Bulk, up: Up, lens: Lens, occupied: np.ndarray, places: int
) -> list[Camera]:
    """Cameras at free places within the bulk that look at positions [M, 3] which other views miss."""
    targets = _spread(missed, 7, missed.mean(0))
    eyes = free_places(bulk, up, occupied, places)
    return [lens.camera(eye, target, up.direction, INSIDE_FOCAL) for target in targets for eye in eyes]


def _spread(points: np.ndarray, count: int, start: np.ndarray) -> np.ndarray:
    """`count` of the points [M, 3], far from one another (farthest-point sampling), the first nearest to `start`."""
    points = points[:: max(1, len(points) // 20_000)]
    if len(points) <= count:
        return points
    chosen = [int(np.argmin(((points - start) ** 2).sum(1)))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(np.argmax(distance)))
    return points[chosen]


def _direction(up: np.ndarray, azimuth: float, elevation: float) -> np.ndarray:
    """Unit vector at these angles (radians) about `up`."""
    side = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    side /= np.linalg.norm(side)
    level = side * np.cos(azimuth) + np.cross(up, side) * np.sin(azimuth)
    return level * np.cos(elevation) + up * np.sin(elevation)

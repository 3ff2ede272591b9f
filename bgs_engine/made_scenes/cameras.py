"""Places the cameras of a made room on a ring inside it, clear of the furniture."""

import numpy as np
from scipy.spatial import cKDTree

from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.made_scenes.rooms import Rooms

RING = 0.4  # of the room's width and depth: cameras stand inside, a step from the walls
HEIGHTS = (1.3, 2.1)  # metres
CLEARANCE_METRES = 0.45  # metres between a camera and the nearest Gaussian
MADE_FOCAL = 0.8  # of the picture's width: 64 degrees across
TRIES = 50
UP = np.array([0.0, 0.0, 1.0])


def ring_cameras(
    names: list[str],
    rooms: Rooms,
    size: tuple[int, int],
    means: np.ndarray,
    phase: float,
    rng: np.random.Generator,
) -> list[Camera]:
    """One camera a name, around the ring from `phase` (in steps), looking across its room; means float [N, 3].

    Where there are several rooms, they take turns.
    """
    tree, room_count = cKDTree(means), len(rooms.centers)
    return [
        _camera(name, (k + phase) / len(names), rooms.room, rooms.centers[k % room_count], size, tree, rng)
        for k, name in enumerate(names)
    ]


def _camera(
    name: str,
    turn: float,
    room: tuple[float, float],
    center: tuple[float, float],
    size: tuple[int, int],
    tree: cKDTree,
    rng: np.random.Generator,
) -> Camera:
    angle, middle = 2 * np.pi * turn, np.array([*center, 0.0])
    for attempt in range(TRIES):
        ring = RING * (1 + rng.uniform(-0.1, 0.05) - 0.01 * attempt)
        eye = np.array([np.cos(angle) * room[0] * ring, np.sin(angle) * room[1] * ring, rng.uniform(*HEIGHTS)]) + middle
        if tree.query(eye)[0] >= CLEARANCE_METRES:
            break
        angle += rng.uniform(-0.1, 0.1)
    target = np.array([*(rng.uniform(-0.12, 0.12, 2) * room), rng.uniform(0.3, 0.6)]) + middle
    focal = MADE_FOCAL * size[0]
    return Camera(name, *size, focal, focal, size[0] / 2, size[1] / 2, look_at(eye, target, UP))

"""Which photos a mask model is asked about: it takes seconds for each, and a few dozen from all sides say enough."""

from collections.abc import Sequence

import numpy as np

from bgs_engine.core.cameras import Camera

TURN = 0.5  # a quarter turn counts as far as half of the typical distance between cameras and their middle


def chosen_photos(cameras: Sequence[Camera], most: int) -> tuple[Camera, ...]:
    """At most `most` cameras, in their order, far apart in place and direction; all of them for 0.

    Each next camera is the one that is farthest from all chosen ones (Gonzalez, 1985).
    """
    if most <= 0 or len(cameras) <= most:
        return tuple(cameras)
    rotation = np.stack([camera.viewmat[:3, :3] for camera in cameras])
    places = -np.einsum("cji,cj->ci", rotation, np.stack([camera.viewmat[:3, 3] for camera in cameras]))
    middle = np.median(places, 0)
    typical = max(float(np.median(np.linalg.norm(places - middle, axis=1))), 1e-9)
    points = np.concatenate([places / typical, rotation[:, 2] * (TURN / 2**0.5)], 1)
    first = int(np.linalg.norm(places - middle, axis=1).argmin())
    chosen, distance = [first], np.linalg.norm(points - points[first], axis=1)
    while len(chosen) < most:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1))
    return tuple(cameras[k] for k in sorted(chosen))

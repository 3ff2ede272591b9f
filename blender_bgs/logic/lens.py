"""Converts a Blender camera to the engine's camera: OpenCV axes, focal lengths and principal point in pixels."""

from dataclasses import dataclass

import numpy as np

_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])  # Blender looks along -z with y up


@dataclass(frozen=True)
class Lens:
    """Focal lengths fx, fy and principal point cx, cy in pixels.

    For an orthographic camera, fx and fy are pixels per scene unit.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    orthographic: bool


def lens_of(projection: np.ndarray, width: int, height: int) -> Lens:
    """The lens of a projection matrix [4, 4] to OpenGL's clip space. It contains lens shift and pixel aspect."""
    orthographic = projection[3, 2] == 0
    # clip.x / clip.w: perspective P00 x/depth - P02, orthographic P00 x + P03; likewise y, which points up.
    shift_x, shift_y = (projection[0, 3], projection[1, 3]) if orthographic else (-projection[0, 2], -projection[1, 2])
    return Lens(
        float(projection[0, 0] * width / 2),
        float(projection[1, 1] * height / 2),
        float((1 + shift_x) * width / 2),
        float((1 - shift_y) * height / 2),
        bool(orthographic),
    )


def viewmat_of(to_camera: np.ndarray) -> np.ndarray:
    """The world-to-camera matrix [4, 4] with OpenCV axes from Blender's view matrix [4, 4]."""
    return _TO_OPENCV @ to_camera

"""A Blender camera as the engine's: OpenCV axes, focal lengths and centre in pixels."""

from dataclasses import dataclass

import numpy as np

_TO_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])  # Blender looks along -z with y up


@dataclass(frozen=True)
class Lens:
    """fx, fy, cx, cy in pixels (fx, fy pixels per scene unit where rays are parallel)."""

    fx: float
    fy: float
    cx: float
    cy: float
    orthographic: bool


def lens_of(projection: np.ndarray, width: int, height: int) -> Lens:
    """From a projection matrix [4, 4] to OpenGL's clip space; lens shift and pixel aspect are in it already."""
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
    """World → camera with OpenCV axes [4, 4] from Blender's view matrix."""
    return _TO_OPENCV @ to_camera

"""Computes in NumPy which Gaussians lie in an area of the picture that the user drew: a box or a lasso."""

from collections.abc import Sequence

import numpy as np

from .probing import LEAST_WEIGHT, Target

Point = tuple[float, float]


def box(a: Point, b: Point) -> list[Point]:
    """The corners of the box between two points."""
    return [(a[0], a[1]), (b[0], a[1]), (b[0], b[1]), (a[0], b[1])]


def area_of(path: Sequence[Point], size: tuple[int, int]) -> np.ndarray:
    """The pixels inside a closed path, bool [H, W]; row 0 is the lowest. Where the path crosses itself is outside.

    The path is in pixels from the lower left corner of a picture of `size` (width, height). A pixel counts by its
    centre.
    """
    width, height = size
    inside = np.zeros((height, width), bool)
    columns = np.arange(width) + 0.5
    for (x0, y0), (x1, y1) in zip(path, [*path[1:], *path[:1]], strict=True):
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        first, last = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in (y0, y1))
        if first < last:
            rows = np.arange(first, last) + 0.5
            crossing = x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))
            inside[first:last] ^= columns > crossing[:, None]
    return inside


def rows_in(target: Target, projection: np.ndarray, area: np.ndarray) -> np.ndarray:
    """Which Gaussians of an object have their centre in an area, bool [N]. `area` is bool [H, W], see `area_of`.

    Hidden Gaussians and haze never count, because nobody sees them. projection [4, 4] is OpenGL's.
    """
    height, width = area.shape
    arrays, matrix = target.arrays, target.to_view.astype(np.float32)
    view = arrays.means @ matrix[:3, :3].T + matrix[:3, 3]
    perspective = projection[3, 2] != 0
    away = -view[:, 2] if perspective else np.ones(len(view), np.float32)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        x = (projection[0, 0] * view[:, 0] + projection[0, 2] * view[:, 2] + projection[0, 3]) / away
        y = (projection[1, 1] * view[:, 1] + projection[1, 2] * view[:, 2] + projection[1, 3]) / away
        found = (np.abs(x) < 1) & (np.abs(y) < 1) & (away > 0) & visible(target)
    rows = np.flatnonzero(found)
    column = ((x[rows] + 1) * (width / 2)).astype(int).clip(0, width - 1)
    line = ((y[rows] + 1) * (height / 2)).astype(int).clip(0, height - 1)
    found[rows] = area[line, column]
    return found


def visible(target: Target) -> np.ndarray:
    """Which Gaussians of an object are neither hidden nor haze, bool [N]."""
    solid = target.arrays.opacities >= LEAST_WEIGHT
    return solid if target.shown is None else solid & target.shown


def combined(before: bool, hit: bool, mode: str) -> bool:
    """Whether something is selected afterwards. `mode` is Blender's: SET, ADD, SUB, XOR or AND."""
    return {"ADD": before or hit, "SUB": before and not hit, "XOR": before != hit, "AND": before and hit}.get(mode, hit)

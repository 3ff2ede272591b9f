"""Computes in NumPy which Gaussians lie in an area of the picture that the user drew: a box, a lasso or a stroke."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .probing import LEAST_WEIGHT, Target

Point = tuple[float, float]


@dataclass(frozen=True)
class Projected:
    """Where the centres of an object's Gaussians are in a picture, float32 [N] each.

    x, y: pixels from the lower left corner. depth: along the view, in scene units; negative behind the camera.
    """

    x: np.ndarray
    y: np.ndarray
    depth: np.ndarray


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


def stroke(path: Sequence[Point], radius: float, size: tuple[int, int]) -> np.ndarray:
    """The pixels within `radius` pixels of an open path, bool [H, W]; row 0 is the lowest. See `area_of`."""
    width, height = size
    inside = np.zeros((height, width), bool)
    for (x0, y0), (x1, y1) in zip(path[:-1] or path, path[1:] or path, strict=True):
        left, right = (int(np.clip(e, 0, width)) for e in (min(x0, x1) - radius, math.ceil(max(x0, x1) + radius)))
        low, high = (int(np.clip(e, 0, height)) for e in (min(y0, y1) - radius, math.ceil(max(y0, y1) + radius)))
        x, y = np.arange(left, right) + 0.5 - x0, (np.arange(low, high) + 0.5 - y0)[:, None]
        along, length = (x1 - x0, y1 - y0), math.hypot(x1 - x0, y1 - y0)
        share = np.clip((x * along[0] + y * along[1]) / max(length * length, 1e-12), 0, 1)  # of the way, nearest to it
        inside[low:high, left:right] |= np.hypot(x - share * along[0], y - share * along[1]) <= radius
    return inside


def project(target: Target, projection: np.ndarray, size: tuple[int, int]) -> Projected:
    """The centres of an object's Gaussians in a picture of `size` (width, height). projection [4, 4] is OpenGL's."""
    matrix, means = target.to_view.astype(np.float64), target.arrays.means

    def along(row: np.ndarray) -> np.ndarray:
        return np.asarray(means @ row[:3].astype(np.float32) + np.float32(row[3]))

    depth = along(-matrix[2])
    pixels = []
    for axis in range(2):
        row = projection[axis, 0] * matrix[0] + projection[axis, 1] * matrix[1] + projection[axis, 2] * matrix[2]
        row[3] += projection[axis, 3]
        values = along(row)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            if projection[3, 2] != 0:  # perspective
                values /= depth
            values += 1
            values *= size[axis] / 2
        pixels.append(values)
    return Projected(pixels[0], pixels[1], depth)


def rows_in(target: Target, projection: np.ndarray, area: np.ndarray, seen: Projected | None = None) -> np.ndarray:
    """Which Gaussians of an object have their centre in an area, bool [N]. `area` is bool [H, W], see `area_of`.

    Hidden Gaussians and haze never count, because nobody sees them. projection [4, 4] is OpenGL's. `seen` is what
    `project` gave for this picture, if it is known.
    """
    height, width = area.shape
    seen = seen or project(target, projection, (width, height))
    with np.errstate(invalid="ignore"):
        found = visible(target) & (seen.x > 0) & (seen.x < width) & (seen.y > 0) & (seen.y < height)
        if projection[3, 2] != 0:
            found &= seen.depth > 0
    rows = np.flatnonzero(found)
    column, line = (values[rows].astype(np.int32) for values in (seen.x, seen.y))
    found[rows] = area[line, column]
    return found


def visible(target: Target) -> np.ndarray:
    """Which Gaussians of an object are neither hidden nor haze, bool [N]."""
    solid = target.arrays.opacities >= LEAST_WEIGHT
    return solid if target.shown is None else solid & target.shown


def combined(before: bool, hit: bool, mode: str) -> bool:
    """Whether something is selected afterwards. `mode` is Blender's: SET, ADD, SUB, XOR or AND."""
    return {"ADD": before or hit, "SUB": before and not hit, "XOR": before != hit, "AND": before and hit}.get(mode, hit)

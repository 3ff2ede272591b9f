"""Computes in NumPy where the surface is that one sees at a pixel, and which Gaussians of an area are on it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .areas import Projected, project, rows_in
from .probing import BLUR, LEAST_WEIGHT, Target, probe

CELLS = 96  # along the longer side of an area; a surface has a Gaussian in nearly every cell
WIDEST = 3  # cells that a Gaussian covers to each side of its own
BEHIND = 3.0  # standard deviations of a Gaussian, and widths of a cell, by which it may lie behind the front


@dataclass(frozen=True)
class Surface:
    """A place on a surface.

    target: the number of the target. row: the Gaussian that half of the light reaches. place: float64 [3], in the
    space of the target, on the ray through the pixel at the depth of this Gaussian.
    """

    target: int
    row: int
    place: np.ndarray


def surface_at(
    targets: Sequence[Target], projection: np.ndarray, size: tuple[int, int], mouse: tuple[float, float]
) -> Surface | None:
    """The surface at the pixel `mouse` (pixels from the lower left corner), or None if the pixel is nearly empty.

    projection [4, 4] is OpenGL's.
    """
    hits = probe(targets, projection, size, mouse)
    total = np.cumsum(hits.weight)
    if not len(total) or total[-1] < LEAST_WEIGHT:
        return None
    middle = int(np.searchsorted(total, total[-1] / 2).clip(0, len(total) - 1))
    number, row = int(hits.target[middle]), int(hits.row[middle])
    to_view = targets[number].to_view
    depth = -float(to_view[2] @ np.array([*targets[number].arrays.means[row], 1.0]))
    perspective = projection[3, 2] != 0
    seen = []
    for axis in range(2):
        clip = mouse[axis] / size[axis] * 2 - 1
        if perspective:  # clip = P depth' / depth - P02, see `lens.lens_of`
            seen.append((clip + projection[axis, 2]) * depth / projection[axis, axis])
        else:
            seen.append((clip - projection[axis, 3]) / projection[axis, axis])
    place = np.linalg.pinv(to_view) @ np.array([*seen, -depth, 1.0])
    return Surface(number, row, place[:3])


def front_rows(targets: Sequence[Target], projection: np.ndarray, area: np.ndarray) -> list[np.ndarray]:
    """Which Gaussians of each target have their centre in an area and are on the front surface, bool [N] each.

    A coarse depth buffer tells the front: a Gaussian covers the cells within one standard deviation across its narrow
    side. `area` is bool [H, W], see `areas.area_of`. projection [4, 4] is OpenGL's.
    """
    height, width = area.shape
    seen = [project(target, projection, (width, height)) for target in targets]
    inside = [rows_in(target, projection, area, one) for target, one in zip(targets, seen, strict=True)]
    rows = [np.flatnonzero(one) for one in inside]
    if not any(map(len, rows)):
        return inside
    x, y, depth = (
        np.concatenate([getattr(one, name)[mine] for one, mine in zip(seen, rows, strict=True)])
        for name in ("x", "y", "depth")
    )
    reach = np.concatenate([t.arrays.reach[mine] * _scale(t) for t, mine in zip(targets, rows, strict=True)])
    left, bottom = x.min(), y.min()
    cell = max(1.0, float(max(x.max() - left, y.max() - bottom)) / CELLS)
    column, line = (((values - low) / cell).astype(np.int32) + WIDEST for values, low in ((x, left), (y, bottom)))
    front = np.full((line.max() + 1 + WIDEST, column.max() + 1 + WIDEST), np.inf, np.float32)
    np.minimum.at(front, (line, column), depth)
    start = 0
    for target, one, mine in zip(targets, seen, rows, strict=True):
        wide, radius = _wide(target, one, mine, projection, area.shape, cell)
        lines, columns, depths, covered = line[start + wide], column[start + wide], depth[start + wide], radius / cell
        for down, across in itertools.product(range(-WIDEST, WIDEST + 1), repeat=2):
            reached = covered >= np.hypot(down, across)
            np.minimum.at(front, (lines[reached] + down, columns[reached] + across), depths[reached])
        start += len(mine)
    away = depth if projection[3, 2] != 0 else np.ones_like(depth)
    width_of_cell = np.abs(away) * np.float32(cell / (projection[1, 1] * height / 2))  # in scene units
    kept = depth <= front[line, column] + np.float32(BEHIND) * np.maximum(reach, width_of_cell)
    start = 0
    for found, mine in zip(inside, rows, strict=True):
        found[mine] = kept[start : start + len(mine)]
        start += len(mine)
    return inside


def _scale(target: Target) -> np.float32:
    return np.float32(abs(float(np.linalg.det(target.to_view[:3, :3].astype(np.float64)))) ** (1 / 3))


def _wide(
    target: Target, seen: Projected, rows: np.ndarray, projection: np.ndarray, shape: tuple[int, ...], cell: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which of the Gaussians `rows` reach another cell across their narrow side, and their narrow radius in pixels.

    Few are that large. The largest standard deviation tells which may be, so that only these need covariances.
    """
    height, width = shape
    linear = target.to_view[:3, :3].astype(np.float64)
    focal_x, focal_y = projection[0, 0] * width / 2, projection[1, 1] * height / 2
    away = seen.depth[rows] if projection[3, 2] != 0 else np.ones(len(rows), np.float32)
    longest = float(np.linalg.svd(linear, compute_uv=False)[0]) * max(focal_x, focal_y)
    may = np.flatnonzero(target.arrays.reach[rows] * np.float32(longest) >= away * np.float32(max(cell - 1, 0)))
    across, up = linear[0] * focal_x, linear[1] * focal_y
    closer = 1 / np.square(away[may])  # a Gaussian is small, so that perspective bends it little
    factors = [_products(a, b) for a, b in ((across, across), (across, up), (up, up))]
    covs, factors = target.arrays.covs[rows[may]], [one.astype(np.float32) for one in factors]
    xx, xy, yy = (covs @ one * closer for one in factors)
    xx, yy = xx + np.float32(BLUR), yy + np.float32(BLUR)
    radius = np.sqrt(np.maximum((xx + yy) / 2 - np.hypot((xx - yy) / 2, xy), 0))
    wide = radius >= cell
    return may[wide], radius[wide]


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Factors [6] of a covariance's (xx, xy, xz, yy, yz, zz) in the product aᵀ C b. a and b are [3]."""
    full = np.outer(a, b) + np.outer(b, a)
    return np.array([full[0, 0] / 2, full[0, 1], full[0, 2], full[1, 1] / 2, full[1, 2], full[2, 2] / 2])

"""Computes in NumPy where the surface is that one sees at a pixel, and which Gaussians of an area are on it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .areas import rows_in
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
    inside = [rows_in(target, projection, area) for target in targets]
    if not any(rows.any() for rows in inside):
        return inside
    seen = [_seen(target, np.flatnonzero(rows), projection, area) for target, rows in zip(targets, inside, strict=True)]
    x, y, depth, radius, reach = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    left, bottom = x.min(), y.min()
    cell = max(1.0, float(max(x.max() - left, y.max() - bottom)) / CELLS)
    column, line = ((x - left) / cell).astype(int), ((y - bottom) / cell).astype(int)
    front = np.full((line.max() + 1 + 2 * WIDEST, column.max() + 1 + 2 * WIDEST), np.inf)
    line, column = line + WIDEST, column + WIDEST
    np.minimum.at(front, (line, column), depth)
    wide = np.flatnonzero(radius >= cell)  # the others reach no other cell
    lines, columns, depths, covered = line[wide], column[wide], depth[wide], radius[wide] / cell
    for down, across in itertools.product(range(-WIDEST, WIDEST + 1), repeat=2):
        reached = covered >= np.hypot(down, across)
        np.minimum.at(front, (lines[reached] + down, columns[reached] + across), depths[reached])
    away = depth if projection[3, 2] != 0 else np.ones_like(depth)
    width = cell * np.abs(away) / (projection[1, 1] * area.shape[0] / 2)  # of a cell, in scene units
    kept = depth <= front[line, column] + BEHIND * np.maximum(reach, width)
    out, start = [], 0
    for rows in inside:
        mine = rows.copy()
        count = int(rows.sum())
        mine[rows] = kept[start : start + count]
        start += count
        out.append(mine)
    return out


def _seen(target: Target, rows: np.ndarray, projection: np.ndarray, area: np.ndarray) -> tuple[np.ndarray, ...]:
    """Pixel x and y, depth, narrow radius in pixels and reach in scene units of some Gaussians, [K] each."""
    height, width = area.shape
    linear = target.to_view[:3, :3].astype(np.float64)
    view = target.arrays.means[rows] @ linear.T + target.to_view[:3, 3]
    depth = -view[:, 2]
    away = depth if projection[3, 2] != 0 else np.ones(len(view))
    x = (projection[0, 0] * view[:, 0] + projection[0, 2] * view[:, 2] + projection[0, 3]) / away
    y = (projection[1, 1] * view[:, 1] + projection[1, 2] * view[:, 2] + projection[1, 3]) / away
    across, up = linear[0] * (projection[0, 0] * width / 2), linear[1] * (projection[1, 1] * height / 2)
    squared = away * away  # a Gaussian is small, so that perspective bends it little
    factors = [_products(a, b) for a, b in ((across, across), (across, up), (up, up))]
    xx, xy, yy = (target.arrays.covs[rows] @ np.stack(factors, 1).astype(np.float32)).T / squared
    xx, yy = xx + BLUR, yy + BLUR
    narrow = (xx + yy) / 2 - np.hypot((xx - yy) / 2, xy)
    scale = abs(float(np.linalg.det(linear))) ** (1 / 3)
    reach = target.arrays.reach[rows] * scale
    return (x + 1) * (width / 2), (y + 1) * (height / 2), depth, np.sqrt(np.maximum(narrow, 0)), reach


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Factors [6] of a covariance's (xx, xy, xz, yy, yz, zz) in the product aᵀ C b. a and b are [3]."""
    full = np.outer(a, b) + np.outer(b, a)
    return np.array([full[0, 0] / 2, full[0, 1], full[0, 2], full[1, 1] / 2, full[1, 2], full[2, 2] / 2])

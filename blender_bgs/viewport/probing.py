"""Computes in NumPy which Gaussians contribute to one pixel, with the renderer's weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .packing import Arrays

ALPHA_MAX, ALPHA_MIN, BLUR, MARGIN = 0.999, 1 / 255, 0.3, 1.3  # bgs_engine.raster.semantics
WIDEST_STRETCH = 1.7  # a Gaussian's outline at the picture's edge is at most this much longer than in the middle
LEAST_WEIGHT = 0.3  # share of the light that Gaussians must absorb; an emptier pixel shows only haze


@dataclass(frozen=True)
class Target:
    """One object to probe. `to_view` [4, 4] leads from its space to that of the camera, which looks along -z.

    `shown` is bool [N], or None if no Gaussian is hidden.
    """

    arrays: Arrays
    to_view: np.ndarray
    shown: np.ndarray | None = None


@dataclass(frozen=True)
class Hits:
    """The Gaussians that contribute to a pixel, nearest first: target number, row and weight, [K] each."""

    target: np.ndarray
    row: np.ndarray
    weight: np.ndarray


def probe(targets: Sequence[Target], projection: np.ndarray, size: tuple[int, int], mouse: tuple[float, float]) -> Hits:
    """Gaussians that contribute to the pixel at `mouse` (pixels from the lower left corner of a picture of `size`).

    projection [4, 4] is OpenGL's. The time is linear in the number of Gaussians, about 25 ms per million.
    """
    found = [_alphas(target, projection, size, mouse) for target in targets]
    numbers = np.concatenate([np.full(len(rows), n) for n, (rows, _, _) in enumerate(found)]) if found else np.zeros(0)
    if not len(numbers):
        return Hits(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    rows, alphas, depths = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(depths, kind="stable")
    alpha = alphas[order]
    through = np.concatenate([[1.0], np.cumprod(1 - alpha)[:-1]])
    return Hits(numbers[order], rows[order], alpha * through)


def _alphas(
    target: Target, projection: np.ndarray, size: tuple[int, int], mouse: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    arrays, matrix = target.arrays, target.to_view.astype(np.float32)
    perspective = projection[3, 2] != 0
    focal_x, focal_y = projection[0, 0] * size[0] / 2, projection[1, 1] * size[1] / 2
    view = arrays.means @ matrix[:3, :3].T + matrix[:3, 3]
    depth = -view[:, 2]
    away = depth if perspective else np.ones_like(depth)
    scale = abs(float(np.linalg.det(target.to_view[:3, :3]))) ** (1 / 3)
    stretch = float(np.linalg.svd(target.to_view[:3, :3], compute_uv=False)[0]) / max(scale, 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (projection[0, 0] * view[:, 0] + projection[0, 2] * view[:, 2] + projection[0, 3]) / away
        y = (projection[1, 1] * view[:, 1] + projection[1, 2] * view[:, 2] + projection[1, 3]) / away
        dx, dy = (x + 1) * (size[0] / 2) - mouse[0], (y + 1) * (size[1] / 2) - mouse[1]
        # A Gaussian's alpha is below 1/255 beyond 3.33 standard deviations.
        reach = 3.34 * WIDEST_STRETCH * scale * stretch * max(focal_x, focal_y) * arrays.reach / away + 2
        near = dx * dx + dy * dy < reach * reach
    near &= arrays.opacities > ALPHA_MIN
    near &= depth > 0.01 * scale if perspective else np.isfinite(depth)
    if target.shown is not None:
        near &= target.shown
    rows = np.flatnonzero(near)
    v, z = view[rows].astype(np.float64), away[rows].astype(np.float64)
    linear = target.to_view[:3, :3].astype(np.float64)
    jx, jy = np.zeros((len(rows), 3)), np.zeros((len(rows), 3))
    jx[:, 0], jy[:, 1] = focal_x / z, focal_y / z
    if perspective:
        limit_x, limit_y = MARGIN / projection[0, 0], MARGIN / projection[1, 1]
        jx[:, 2] = focal_x * np.clip(v[:, 0] / z, -limit_x, limit_x) / z
        jy[:, 2] = focal_y * np.clip(v[:, 1] / z, -limit_y, limit_y) / z
    ux, uy = jx @ linear, jy @ linear
    covs = arrays.covs[rows][:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3).astype(np.float64)
    px, py = np.einsum("nij,nj->ni", covs, ux), np.einsum("nij,nj->ni", covs, uy)
    xx, xy, yy = (ux * px).sum(1) + BLUR, (uy * px).sum(1), (uy * py).sum(1) + BLUR
    ex, ey = dx[rows], dy[rows]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        q = (yy * ex * ex - 2 * xy * ex * ey + xx * ey * ey) / (xx * yy - xy * xy)
        alpha = np.minimum(ALPHA_MAX, arrays.opacities[rows] * np.exp(-0.5 * q))
    kept = alpha >= ALPHA_MIN  # false if q is NaN
    return rows[kept], alpha[kept].astype(np.float64), depth[rows][kept]


def heaviest(hits: Hits, codes: Sequence[np.ndarray]) -> tuple[int, int] | None:
    """The Gaussian that stands for a pixel, as (target number, row), or None if the pixel is nearly empty.

    It chooses the code with the largest total weight, then the Gaussian of this code with the largest weight. `codes`
    has the codes of each target's rows, [N].
    """
    if hits.weight.sum() < LEAST_WEIGHT:
        return None
    mine = np.array([codes[t][r] for t, r in zip(hits.target.tolist(), hits.row.tolist(), strict=True)])
    unique, inverse = np.unique(mine, return_inverse=True)
    winner = np.argmax(np.bincount(inverse.reshape(-1), hits.weight))
    best = np.argmax(np.where(mine == unique[winner], hits.weight, -1))
    return int(hits.target[best]), int(hits.row[best])

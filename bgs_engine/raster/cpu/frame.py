"""Full frames of colour and depth."""

import math

import numpy as np
from numba import prange

from bgs_engine.raster.cpu.fragments import opacity_cutoffs
from bgs_engine.raster.cpu.jit import parallel
from bgs_engine.raster.cpu.project import DEPTH, mahalanobis
from bgs_engine.raster.cpu.view import View
from bgs_engine.raster.semantics import ALPHA_MAX, ALPHA_MIN, EXTENT_CAP, TILE, TRANSMITTANCE_MIN


@parallel
def _blend(width, height, tiles_x, tile, offsets, ranks, records, opacity, cutoff, colors, alpha_max, t_min,
           image, transmittance, depth):  # fmt: skip
    """Fill image [H, W, 3], transmittance [H, W] and depth [H, W]; colors [M, 3] in depth order."""
    t = records.dtype.type
    half, one = t(0.5), t(1)
    for cell in prange(offsets.size - 1):
        y0, x0 = (cell // tiles_x) * tile, (cell % tiles_x) * tile
        for y in range(y0, min(height, y0 + tile)):
            for x in range(x0, min(width, x0 + tile)):
                through = one
                red, green, blue = t(0), t(0), t(0)
                depth[y, x] = np.inf
                for k in range(offsets[cell], offsets[cell + 1]):
                    r = ranks[k]
                    q = mahalanobis(records, r, x + half, y + half)
                    if q > cutoff[r]:
                        continue
                    alpha = min(alpha_max, opacity[r] * math.exp(-half * q))
                    after = through * (one - alpha)
                    if after < t_min:
                        break
                    weight = alpha * through
                    if after < half and through >= half:
                        depth[y, x] = records[r, DEPTH]
                    through = after
                    red += weight * colors[r, 0]
                    green += weight * colors[r, 1]
                    blue += weight * colors[r, 2]
                image[y, x, 0] = red
                image[y, x, 1] = green
                image[y, x, 2] = blue
                transmittance[y, x] = through


def blend(view: View, opacities: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(image [H, W, 3] before any background, transmittance [H, W], depth [H, W]).

    Depth is that of the Gaussian at which half the light is caught, inf where that never happens.

    Args:
        view: of one camera.
        opacities: float [N], scene order.
        colors: float [M, 3] of the view's Gaussians, depth order.
    """
    t = view.records.dtype.type
    opacity, cutoff = opacity_cutoffs(view.order, opacities.astype(t, copy=False), t(ALPHA_MIN), t(EXTENT_CAP))
    shape = (view.height, view.width)
    image, transmittance, depth = np.empty((*shape, 3), t), np.empty(shape, t), np.empty(shape, t)
    _blend(
        view.width, view.height, view.tiles_x, TILE, view.offsets, view.ranks, view.records, opacity, cutoff,
        colors.astype(t, copy=False), t(ALPHA_MAX), t(TRANSMITTANCE_MIN), image, transmittance, depth,
    )  # fmt: skip
    return image, transmittance, depth

"""Full frames of colour and depth."""

import math

import numpy as np
from numba import prange

from bgs_engine.raster.cpu.jit import parallel
from bgs_engine.raster.cpu.near import (
    BANDS,
    LANES,
    OPACITY,
    ROWS,
    find_hits,
    gather_near,
    longest_list,
    opacity_cutoffs,
)
from bgs_engine.raster.cpu.project import DEPTH
from bgs_engine.raster.cpu.view import View
from bgs_engine.raster.semantics import ALPHA_MAX, ALPHA_MIN, EXTENT_CAP, TILE, TRANSMITTANCE_MIN


@parallel
def _blend(width, height, tiles_x, tile, offsets, ranks, records, opacity, cutoff, colors, alpha_max, t_min,
           extent_cap, image, transmittance, depth):  # fmt: skip
    """Fill image [H, W, 3], transmittance [H, W] and depth [H, W]; colors [M, 3] in depth order."""
    t = records.dtype.type
    half, one = t(0.5), t(1)
    room = longest_list(offsets) // LANES + 2
    for band in prange(BANDS):
        blocks = np.empty((room, ROWS, LANES), records.dtype)
        number = np.empty((room, LANES), np.int32)
        count = np.empty(room, np.int64)
        q = np.empty(LANES + 1, records.dtype)
        hit = np.empty(LANES + 1, np.int64)
        for y in range(band, height, BANDS):
            for column in range(tiles_x):
                x0, x1 = column * tile, min(width, (column + 1) * tile)
                cell = (y // tile) * tiles_x + column
                source, source_end, held = offsets[cell], offsets[cell + 1], 0
                for x in range(x0, x1):
                    through = one
                    red, green, blue = t(0), t(0), t(0)
                    depth[y, x] = np.inf
                    k = 0
                    done = False
                    while not done:
                        if k == held:
                            source, count[k] = gather_near(
                                ranks, source, source_end, records, opacity, cutoff, extent_cap,
                                t(x0) + half, t(x1) - half, t(y) + half, t(y) + half, number[k], blocks[k],
                            )  # fmt: skip
                            if not count[k]:
                                break
                            held += 1
                        raw = blocks[k, OPACITY]
                        hits = find_hits(blocks[k], count[k], t(x) + half, t(y) + half, q, hit)
                        for h in range(hits):
                            alpha = min(alpha_max, raw[hit[h]] * math.exp(-half * q[h]))
                            after = through * (one - alpha)
                            if after < t_min:
                                done = True
                                break
                            weight = alpha * through
                            r = number[k, hit[h]]
                            if after < half and through >= half:
                                depth[y, x] = records[r, DEPTH]
                            through = after
                            red += weight * colors[r, 0]
                            green += weight * colors[r, 1]
                            blue += weight * colors[r, 2]
                        k += 1
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
        colors.astype(t, copy=False), t(ALPHA_MAX), t(TRANSMITTANCE_MIN), t(EXTENT_CAP), image, transmittance, depth,
    )  # fmt: skip
    return image, transmittance, depth

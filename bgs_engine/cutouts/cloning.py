"""Copies Gaussians of a surface into a hole of it: moved, and turned with the surface."""

import numpy as np

from bgs_engine.core.harmonics import BANDS, basis
from bgs_engine.core.quaternions import matrices_quaternions, quaternion_matrices
from bgs_engine.cutouts.surface_map import SurfaceMap
from bgs_engine.io.gaussians import SH_C0, Gaussians

TOO_WIDE = 1.5  # cells, a standard deviation: a wider Gaussian reaches out of the hole and is not copied,
USUAL = 0.97  # unless this share of the surface's Gaussians is not wider either
DIRECTIONS = 48  # in which harmonics are compared; more than coefficients


def cloned(
    picture: SurfaceMap, around: Gaussians, sources: np.ndarray, tints: np.ndarray
) -> tuple[Gaussians, np.ndarray]:
    """The copies, and the number in `around` of the Gaussian that each was copied from, int [K].

    Args:
        picture: of the surface.
        around: the Gaussians that the picture's rows count in, with colours.
        sources: int [H, W], the cell that each cell is copied from; -1 for none.
        tints: [H, W, 3], what is added to the colours in each cell.
    """
    widths = around.scales[picture.rows].max(1)
    narrow = widths <= max(TOO_WIDE * picture.cell, float(np.quantile(widths, USUAL)))
    rows, at = picture.rows[narrow], picture.cell_of[narrow]
    order = np.argsort(at, kind="stable")
    rows, at = rows[order], at[order]
    ends = np.searchsorted(at, np.arange(sources.size + 1))
    cells = np.flatnonzero(sources.ravel() >= 0)
    given = sources.ravel()[cells]
    counts = ends[given + 1] - ends[given]
    into = np.repeat(np.arange(len(cells)), counts)  # which of `cells` each copy goes to
    first = np.repeat(ends[given] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    taken = rows[first + np.arange(len(into))]
    width = picture.shape[1]
    y, x = (
        np.array(one) - np.array(other)
        for one, other in zip(np.divmod(cells, width), np.divmod(given, width), strict=True)
    )
    places, heights = picture.surface.flat(around.means[taken])
    places = places + (np.stack([x, y], 1) * picture.cell)[into]
    copies = around.take(taken)
    sh = copies.sh
    assert sh is not None
    sh = sh.copy()
    quats = copies.quats
    if picture.surface.curved:
        centers = picture.centers()
        before, after = picture.surface.frames(centers[given]), picture.surface.frames(centers[cells])
        turn = after @ before.transpose(0, 2, 1)
        quats = matrices_quaternions(turn[into] @ quaternion_matrices(quats)).astype(np.float32)
        sh = turned_harmonics(sh, turn, into)
    sh[:, 0] += (tints.reshape(-1, 3)[cells][into] / SH_C0).astype(np.float32)
    means = picture.surface.points(places, heights).astype(np.float32)
    return Gaussians(means, quats, copies.scales, copies.opacities, sh, copies.valid, copies.offset), taken


def turned_harmonics(sh: np.ndarray, turns: np.ndarray, turn_of: np.ndarray) -> np.ndarray:
    """Coefficients [K, C, 3] after rotations; turns [T, 3, 3], turn_of [K] says whose turn is which."""
    count = sh.shape[1]
    out = sh.copy()
    if count == 1:
        return out
    directions = np.random.default_rng(0).normal(size=(DIRECTIONS, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    here = basis(directions)
    there = basis((directions @ turns).reshape(-1, 3)).reshape(len(turns), DIRECTIONS, -1)
    for band in BANDS[1:]:
        if band.stop <= count:  # basis(d) c' = basis(R^T d) c, as `core.harmonics` says
            matrices = (np.linalg.pinv(here[:, band]) @ there[:, :, band]).astype(np.float32)
            out[:, band] = matrices[turn_of] @ sh[:, band]
    return out

"""The solid that Gaussians enclose, on a grid: where they absorb light, and all that one cannot reach from outside."""

from dataclasses import dataclass

import numpy as np

from bgs_engine.cutouts.absorption import absorbed, extents
from bgs_engine.cutouts.loose_parts import SOLID, loose_parts
from bgs_engine.io.gaussians import Gaussians

HAZE = 0.03  # opacity; fainter Gaussians are left out
OPAQUE = 0.5  # share of the light that is absorbed where the surface lies
HOLES = 1  # cells; an opening that is at most twice as wide is closed
MARGIN = 4  # empty cells on each side
SMALLEST_PIECE = 0.02  # of the size of the largest piece; smaller pieces are floaters
FEWEST = 0.002  # of the number of Gaussians of the largest piece; a few huge ones far away are floaters too
BOX_DETAIL = 64  # cells along the longest side, by which pieces are told apart if no other number is given
TAIL = 0.02  # share of the Gaussians at each end that may be floaters until the pieces are known


@dataclass(frozen=True)
class Solid:
    """Nodes of a grid: `inside`, bool [X, Y, Z], and two shares of the light from 0 to 1, float32 [X, Y, Z].

    `wall` is what the Gaussians at a node absorb; it is largest in the middle of a wall. `opacity` is that, or what is
    absorbed on the way to the node, whichever is more; it is above `OPAQUE` in the solid. Node (0, 0, 0) is at `low`,
    float64 [3]. Neighbours are `cell` apart, in scene units.
    """

    inside: np.ndarray
    opacity: np.ndarray
    wall: np.ndarray
    low: np.ndarray
    cell: float


def box_of(gaussians: Gaussians) -> tuple[np.ndarray, np.ndarray] | None:
    """The lowest and the highest corner, float64 [3] each, of an object without haze and floaters; None without any."""
    seen = gaussians.take(np.flatnonzero(gaussians.valid & (gaussians.opacities >= HAZE)))
    if not len(seen):
        return None
    return _box(seen.take(np.flatnonzero(_in_large_pieces(seen, BOX_DETAIL))))


def _box(gaussians: Gaussians) -> tuple[np.ndarray, np.ndarray]:
    dense = gaussians.take(np.flatnonzero(gaussians.opacities >= min(SOLID, np.median(gaussians.opacities))))
    spread = extents(dense)
    return (dense.means - spread).min(0).astype(np.float64), (dense.means + spread).max(0).astype(np.float64)


def solid_of(gaussians: Gaussians, detail: int) -> Solid | None:
    """The solid of an object, or None if its Gaussians absorb too little light.

    Args:
        gaussians: of one object.
        detail: cells along the longest side of the object.
    """
    seen = gaussians.valid & (gaussians.opacities >= HAZE)
    if not seen.any():
        return None
    those = gaussians.take(np.flatnonzero(seen))
    those = those.take(np.flatnonzero(_in_large_pieces(those, detail)))
    low, high = _box(those)
    cell = float((high - low).max()) / detail
    if not cell > 0:
        return None
    low = low - MARGIN * cell
    size = np.ceil((high - low) / cell).astype(int) + MARGIN + 1
    wall, opacity = absorbed(those, low, cell, size)
    for axis in range(3):
        layers = np.moveaxis(opacity, axis, 0)
        layers[: HOLES + 1] = layers[-HOLES - 1 :] = 0  # faint Gaussians may reach out of the grid
    shell = opacity > OPAQUE
    inside = manifold(filled(shell))
    if not inside.any():
        return None
    return Solid(_large_pieces(inside), opacity, wall, low, cell)


def _in_large_pieces(gaussians: Gaussians, detail: int) -> np.ndarray:
    """Which Gaussians belong to large connected pieces, bool [N]."""
    points = gaussians.means.astype(np.float64)
    box = np.quantile(points, [TAIL, 1 - TAIL], axis=0)
    distance = max(2 * float((box[1] - box[0]).max()) / detail, 2 * float(np.median(gaussians.scales.max(1))))
    piece = loose_parts(points, gaussians.opacities >= min(SOLID, np.median(gaussians.opacities)), distance)
    area = np.sort(gaussians.scales, axis=1)[:, 1:].astype(np.float64).prod(1) * gaussians.opacities
    sizes, counts = np.bincount(piece, area), np.bincount(piece)
    large: np.ndarray = (sizes >= SMALLEST_PIECE * sizes.max()) & (counts >= FEWEST * counts[sizes.argmax()])
    return large[piece]


def filled(shell: np.ndarray) -> np.ndarray:
    """The shell, bool [X, Y, Z], with all nodes that one cannot reach from the grid's border.

    The shell is `HOLES` cells thicker while that is found out, so openings of up to twice the width are closed.
    """
    thick = shell
    for _ in range(HOLES):
        thick = grown(thick)
    outside = reached(~thick)
    for _ in range(HOLES):
        outside = grown(outside)
    return shell | ~outside


def grown(nodes: np.ndarray) -> np.ndarray:
    """Nodes with their six neighbours, bool [X, Y, Z]."""
    out = nodes.copy()
    for axis in range(3):
        a, b = np.moveaxis(out, axis, 0), np.moveaxis(nodes, axis, 0)
        a[1:] |= b[:-1]
        a[:-1] |= b[1:]
    return out


def reached(free: np.ndarray) -> np.ndarray:
    """The free nodes that are connected to node (0, 0, 0) by steps along the axes, bool [X, Y, Z].

    Each sweep follows all straight lines of one direction to their ends.
    """
    out = np.zeros_like(free)
    out[0, 0, 0] = free[0, 0, 0]
    count = -1
    while count != (count := int(out.sum())):
        for axis in range(3):
            for step in (1, -1):
                line, open_ = np.moveaxis(out, axis, 0)[::step], np.moveaxis(free, axis, 0)[::step]
                number = np.arange(1, len(line) + 1, dtype=np.int32)[:, None, None]
                met = np.maximum.accumulate(np.where(line, number, 0))
                wall = np.maximum.accumulate(np.where(open_, 0, number))
                line |= met > wall
    return out


def manifold(inside: np.ndarray) -> np.ndarray:
    """The nodes and a few added ones: no two touch at an edge or a corner only, so the surface around is a manifold.

    See Latecki, Eckhardt, Rosenfeld 1995, "Well-composed sets".
    """
    out = inside.copy()
    while True:
        before = int(out.sum())
        for one, other in ((0, 1), (0, 2), (1, 2)):
            p = np.moveaxis(out, (one, other), (0, 1))
            a, b, c, d = p[:-1, :-1], p[1:, :-1], p[:-1, 1:], p[1:, 1:]
            bad = (a & d & ~b & ~c) | (b & c & ~a & ~d)
            for corner in (a, b, c, d):
                corner |= bad
        low, high = slice(None, -1), slice(1, None)
        corners = {(x, y, z): out[(low, high)[x], (low, high)[y], (low, high)[z]]
                   for x in (0, 1) for y in (0, 1) for z in (0, 1)}  # fmt: skip
        number = np.zeros(corners[0, 0, 0].shape, np.int8)
        for nodes in corners.values():
            number += nodes
        for x, y, z in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)):
            a, b = corners[x, y, z], corners[1 - x, 1 - y, 1 - z]
            bad = (a & b & (number == 2)) | (~a & ~b & (number == 6))
            if bad.any():
                for nodes in corners.values():
                    nodes |= bad
        if int(out.sum()) == before:
            return out


def _large_pieces(inside: np.ndarray) -> np.ndarray:
    """The nodes of the large connected pieces, bool [X, Y, Z]."""
    nodes = np.argwhere(inside)
    piece = loose_parts(nodes, np.ones(len(nodes), bool), 1.0)
    sizes = np.bincount(piece)
    out = np.zeros_like(inside)
    out[tuple(nodes[sizes[piece] >= SMALLEST_PIECE * sizes.max()].T)] = True
    return out

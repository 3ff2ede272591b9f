"""How much light Gaussians absorb at the nodes of a grid, and on the way there from outside."""

import itertools

import numpy as np

from bgs_engine.core.quaternions import quaternion_matrices
from bgs_engine.io.gaussians import Gaussians

FLOOR = 0.5  # least standard deviation in cells, so that a thin sheet between two nodes reaches both
REACH = 2.2  # standard deviations to which a Gaussian counts; it keeps 9 % of its strength there
PAIRS = 1 << 20  # pairs of a Gaussian and a node that are computed at a time
ODD_SIZES = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128, 192, 256, 512])
_ENDS = {0: slice(None), 1: slice(1, None), -1: slice(None, -1)}  # the nodes that have a neighbour before or behind


def absorbed(gaussians: Gaussians, low: np.ndarray, cell: float, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shares of the light that Gaussians absorb, see `Solid`: (wall, opacity), float32 [X, Y, Z] each.

    The share is 1 - exp(-t). For the wall, t is the sum of s_i exp(-d_i^2 / 2). d_i is the distance in standard
    deviations. s_i is the optical depth -log(1 - a) at the centre of a Gaussian of opacity a. Small Gaussians are
    widened to `FLOOR` cells and lose strength as they win area, so a speck of dust does not become a solid cell.

    Many faint Gaussians behind each other look as solid as one dense sheet, although t is small at each node. So for
    the opacity, t is at least the optical depth between the node and the outside.
    """
    peak, depth = _strengths(gaussians, low, cell, size)
    wall, opacity = (1 - np.exp(-t) for t in (peak, np.maximum(peak, _unseen(depth))))
    return wall.astype(np.float32), opacity.astype(np.float32)


def extents(gaussians: Gaussians, least: float = 0.0) -> np.ndarray:
    """How far Gaussians reach along the axes, [N, 3] scene units. No scale counts as smaller than `least`."""
    wide = np.maximum(gaussians.scales, least).astype(np.float64)
    return REACH * np.sqrt(np.einsum("nij,nj->ni", quaternion_matrices(gaussians.quats) ** 2, wide**2))


def _strengths(gaussians: Gaussians, low: np.ndarray, cell: float, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over all Gaussians at the nodes, [X, Y, Z] each: the strength, and the optical depth of one cell.

    The second one is the strength divided by the length that it stands for, sqrt(2 pi) standard deviations across the
    flat side of the Gaussian. Summed along a line across a sheet it gives the optical depth of the sheet.
    """
    wide = np.maximum(gaussians.scales, FLOOR * cell).astype(np.float32)
    covered = np.sort(gaussians.scales, 1)[:, 1:].prod(1) / np.sort(wide, 1)[:, 1:].prod(1)
    strength = -np.log1p(-np.minimum(gaussians.opacities * covered, 0.99)).astype(np.float32)
    turns = quaternion_matrices(gaussians.quats)
    half = extents(gaussians, FLOOR * cell) / cell
    center = (gaussians.means - low) / cell
    first = np.clip(np.ceil(center - half), 0, size - 1).astype(int)
    last = np.clip(np.floor(center + half), 0, size - 1).astype(int)
    nodes = ODD_SIZES[np.searchsorted(ODD_SIZES, np.minimum(np.maximum(last - first + 1, 1), ODD_SIZES[-1]))]
    nodes = np.minimum(nodes, size)
    first = np.minimum(first, size - nodes)
    # d = to_unit @ (node - center); the columns of `turns` are the axes of the ellipsoid.
    to_unit = (np.swapaxes(turns, 1, 2) * (cell / wide[:, :, None])).astype(np.float32)
    begin = np.einsum("nij,nj->ni", to_unit, (first - center)).astype(np.float32)
    place = (first[:, 0] * size[1] + first[:, 1]) * size[2] + first[:, 2]
    thin = (cell / np.sqrt(2 * np.pi) / wide.min(1)).astype(np.float32)
    peak, depth = np.zeros(int(size.prod())), np.zeros(int(size.prod()))
    kinds, kind = np.unique(nodes, axis=0, return_inverse=True)
    order = np.argsort(kind.reshape(-1), kind="stable")
    bounds = np.searchsorted(kind.reshape(-1)[order], np.arange(len(kinds) + 1))
    for shape, start, end in zip(kinds, bounds[:-1], bounds[1:], strict=True):
        offsets = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, 3)
        steps = (offsets[:, 0] * size[1] + offsets[:, 1]) * size[2] + offsets[:, 2]
        offsets = np.ascontiguousarray(offsets.T, np.float32)  # [3, P]
        most = max(1, PAIRS // len(steps))
        for chunk in range(start, end, most):
            rows = order[chunk : min(chunk + most, end)]
            squared = np.zeros((len(rows), len(steps)), np.float32)
            for k in range(3):
                d = to_unit[rows, k] @ offsets
                d += begin[rows, k, None]
                d *= d
                squared += d
            squared *= -0.5
            weight = np.exp(squared, out=squared)
            weight *= strength[rows, None]
            places = place[rows, None] + steps
            _add(peak, places, weight)
            weight *= thin[rows, None]
            _add(depth, places, weight)
    return peak.reshape(size), depth.reshape(size)


def _unseen(depth: np.ndarray) -> np.ndarray:
    """The least optical depth between each node and the outside, along 26 directions, [X, Y, Z].

    `depth` is the optical depth of one cell at each node.
    """
    least = np.full(depth.shape, np.inf)
    for axis in range(3):
        for step in (1, -1):
            values, out = np.moveaxis(depth, axis, 0)[::step], np.moveaxis(least, axis, 0)[::step]
            for way in itertools.product((-1, 0, 1), repeat=2):
                # Each direction once: the first axis along which it goes is the one of the loop.
                if (axis > 0 and way[1]) or (axis > 1 and way[0]):
                    continue
                length = np.sqrt(1 + np.abs(way).sum())
                so_far = np.zeros(values.shape[1:])
                for layer, best in zip(values, out, strict=True):
                    np.minimum(best, so_far + 0.5 * length * layer, out=best)
                    so_far = _shifted(so_far + length * layer, way)
    return least


def _shifted(layer: np.ndarray, way: tuple[int, ...]) -> np.ndarray:
    """The layer moved by one node or none along both axes. Zeros come in."""
    if way == (0, 0):
        return layer
    out = np.zeros_like(layer)
    (a, b), (c, d) = ((_ENDS[w], _ENDS[-w]) for w in way)
    out[a, c] = layer[b, d]
    return out


def _add(total: np.ndarray, places: np.ndarray, weights: np.ndarray) -> None:
    """Add weights to places of an array. Places may repeat. Only the used part of the array is touched."""
    low = int(places.min())
    found = np.bincount((places - low).ravel(), weights.ravel())
    total[low : low + len(found)] += found

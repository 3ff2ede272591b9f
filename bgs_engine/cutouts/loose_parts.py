"""Finds the pieces of a set of points that do not touch each other."""

import itertools

import numpy as np

from bgs_engine.core.errors import UsageError

MOST_CELLS = 1 << 20  # cells along an axis, so that the number of a cell fits 64 bits
TOUCHING = 6.0  # two Gaussians touch if each is within three of its standard deviations of the point between them
SOLID = 0.3  # opacity from which a Gaussian connects its neighbours; haze would connect everything
# Half of the 26 neighbours of a cell; the other half are the same pairs.
_OFFSETS = [offset for offset in itertools.product((-1, 0, 1), repeat=3) if offset > (0, 0, 0)]


def touching_distance(scales: np.ndarray) -> float:
    """The distance at which typical Gaussians of these scales, [N, 3] standard deviations, touch."""
    return TOUCHING * float(np.median(scales.max(1))) if len(scales) else 0.0


def loose_parts(points: np.ndarray, solid: np.ndarray, distance: float) -> np.ndarray:
    """The piece of each point, int [N]; piece 0 is the largest, and so on.

    Points belong together if their cells touch in a grid of cells that are `distance` wide. So points that are at most
    that far apart always belong together. Only points that are `solid`, bool [N], connect others. The other ones take
    the piece of their cell or of a cell beside it, else piece 0.

    Raises:
        UsageError: the distance is not positive, or too small for the size of the points' box.
    """
    if not len(points):
        return np.zeros(0, int)
    place, strides = _grid(points, distance)
    cells, cell_of = np.unique(place, return_inverse=True)
    cell_of = cell_of.reshape(-1)
    filled = np.bincount(cell_of[solid], minlength=len(cells)) > 0
    pairs = [_neighbours(cells, int(np.dot(offset, strides))) for offset in _OFFSETS]
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    both = filled[first] & filled[second]
    root = connected(len(cells), first[both], second[both])
    piece = np.where(filled, root, -1)
    for a, b in ((first, second), (second, first)):
        lone = (piece[a] < 0) & filled[b]
        piece[a[lone]] = root[b[lone]]
    return _largest_first(piece[cell_of])


def near(points: np.ndarray, those: np.ndarray, distance: float) -> np.ndarray:
    """Which points have their cell among or beside the cells of the points `those`, bool [N], in a grid as above.

    Raises:
        UsageError: the distance is not positive, or too small for the size of the points' box.
    """
    if not those.any():
        return np.zeros(len(points), bool)
    place, strides = _grid(points, distance)
    cells = np.unique(place[those])
    steps = [int(np.dot(offset, strides)) for offset in itertools.product((-1, 0, 1), repeat=3)]
    around = np.unique(np.concatenate([cells + step for step in steps]))
    return around[np.searchsorted(around, place).clip(max=len(around) - 1)] == place


def _grid(points: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """The number of each point's cell, int64 [N], and how much it grows along each axis, [3]."""
    low, high = points.min(0), points.max(0)
    if not distance > 0 or float((high - low).max()) / distance >= MOST_CELLS - 4:
        raise UsageError(f"The distance {distance:g} is too small.", "Give a larger one.")
    place = ((points - low) / distance).astype(np.int64) + 1
    size = place.max(0) + 2  # an empty cell on each side, so that neighbours never wrap round
    strides = np.array([size[1] * size[2], size[2], 1])
    return place @ strides, strides


def _neighbours(cells: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of cells that are `step` apart. `cells` is ascending."""
    at = np.searchsorted(cells, cells + step)
    found = np.flatnonzero((at < len(cells)) & (cells[at.clip(max=len(cells) - 1)] == cells + step))
    return found, at[found]


def connected(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The smallest number in the component of each of `count` nodes, int [count]. Each round halves the trees."""
    root = np.arange(count)
    while True:
        a, b = root[first], root[second]
        apart = a != b
        if not apart.any():
            return root
        np.minimum.at(root, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while True:
            above = root[root]
            if np.array_equal(above, root):
                break
            root = above


def _largest_first(piece: np.ndarray) -> np.ndarray:
    """Numbers the pieces by their size. Points without a piece (-1) count to the largest."""
    found, index, counts = np.unique(piece, return_inverse=True, return_counts=True)
    lone = found == -1
    order = np.lexsort((found, -counts, lone))
    rank = np.empty(len(found), int)
    rank[order] = np.arange(len(found))
    rank[lone] = 0
    return rank[index.reshape(-1)]

"""Which Gaussians of one label touch each other, and what lies round them, at all sizes of Gaussians at once.

A stack of grids does this. The cells of each grid are twice as wide as those of the grid below. A Gaussian enters the
grid whose cells fit its size, and counts in all wider ones. So a large Gaussian touches what is near in its own
measure, and a small one what is near in a smaller measure. No length of the scene is needed.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bgs_engine.cutouts.loose_parts import connected

CELL = 1.5  # width of the cell that a Gaussian enters at least, in its own standard deviations
MOST_GRIDS = 24  # the widest cells are 2^23 times as wide as the narrowest
FINEST, COARSEST = 0.01, 0.999  # quantiles of the sizes that have grids of their own
SAMPLED = 100_000  # Gaussians that are enough for quantiles
REACH = 16.0  # of the middle of the scene; what lies farther counts as lying there, so that the cells stay narrow
_OFFSETS = [offset for offset in itertools.product((-1, 0, 1), repeat=3) if offset > (0, 0, 0)]


@dataclass(frozen=True)
class Grid:
    """The occupied cells of one width; each is a node. All arrays have one value for each node, [C].

    keys: int64, ascending: the number of the cell times the number of labels, plus the label. entered: the opacities
    of the Gaussians that enter here, added up; held: the same with those of narrower grids. best: the row of the most
    opaque Gaussian. parents: the node of the wider grid that contains it, counted in
    that grid; none in the widest.
    """

    keys: np.ndarray
    entered: np.ndarray
    held: np.ndarray
    best: np.ndarray
    parents: np.ndarray
    first: int  # the number of its first node


@dataclass(frozen=True)
class Touching:
    """The grids, the piece of each node, and the node that each Gaussian enters.

    pieces: int [nodes]; the numbers have gaps. nodes: int [N]. labels: the number of labels.
    """

    cells: "Cells"
    grids: list[Grid]
    pieces: np.ndarray
    nodes: np.ndarray
    labels: int

    def step(self, offset: tuple[int, ...]) -> int:
        """How much the key of a node differs from that of the same label in the cell that is `offset` [3] away."""
        return self.cells.number(*offset) * self.labels

    def held_at(self, points: np.ndarray, octaves: np.ndarray, label: np.ndarray) -> np.ndarray:
        """The opacity that a label holds in the cell of each point, [M], in the grids with the numbers `octaves`."""
        held = np.zeros(len(points))
        for octave, grid in enumerate(self.grids):
            rows = np.flatnonzero(octaves == octave)
            keys = self.cells.number(*(self.cells.places(points[rows]) >> octave).T) * self.labels + label[rows]
            at = np.searchsorted(grid.keys, keys).clip(max=len(grid.keys) - 1)
            held[rows] = np.where(grid.keys[at] == keys, grid.held[at], 0)
        return held


@dataclass(frozen=True)
class Cells:
    """The narrowest grid. `low` [3]: the corner at which it starts; bits: of a cell's number for each axis."""

    low: np.ndarray
    reach: float
    width: float
    bits: int

    @classmethod
    def around(cls, means: np.ndarray, width: float, bits: int) -> "Cells":
        """Cells that are at least `width` wide, round means [N, 3]."""
        sample = means[:: max(1, len(means) // SAMPLED)]
        low, middle, high = np.percentile(sample, (1, 50, 99), axis=0)
        reach = REACH * max(float((high - low).max()), 1e-30)
        return cls(middle - reach, 2 * reach, max(width, 2 * reach / ((1 << bits) - 4)), bits)

    def places(self, points: np.ndarray) -> np.ndarray:
        """The cell of each point, int64 [N, 3], from 1."""
        return ((points - self.low).clip(0, self.reach) / self.width).astype(np.int64) + 1

    def octaves(self, lengths: np.ndarray, count: int) -> np.ndarray:
        """The first of `count` grids whose cells are as wide as the lengths [N] at least, int64 [N]."""
        return np.ceil(np.log2(np.maximum(lengths / self.width, 1e-30))).clip(0, count - 1).astype(np.int64)

    def number(self, x: Any, y: Any, z: Any) -> Any:
        """The number of the cell at a place, which grows along x first."""
        return (x << 2 * self.bits) + (y << self.bits) + z

    def wider(self, numbers: np.ndarray) -> np.ndarray:
        """The number of the cell of the next grid that contains each cell."""
        mask = (1 << self.bits) - 1
        return self.number(numbers >> 2 * self.bits + 1, (numbers >> self.bits & mask) >> 1, (numbers & mask) >> 1)


def touching(
    means: np.ndarray, sizes: np.ndarray, opacities: np.ndarray, labels: np.ndarray, count: int, solid: float
) -> Touching:
    """Sort Gaussians into grids and connect those of one label that touch.

    A cell in which the opacities of a label add up to `solid` connects its neighbours. A fainter one belongs to the
    piece beside it and connects nothing.

    Args:
        means: [N, 3].
        sizes: [N], standard deviations, above 0.
        opacities: [N] in 0..1.
        labels: int [N] in 0..count-1.
        count: the number of labels.
        solid: opacity.
    """
    small, large = np.quantile(sizes[:: max(1, len(sizes) // SAMPLED)], (FINEST, COARSEST)) * CELL
    cells = Cells.around(means, float(small), (63 - int(count).bit_length()) // 3)
    octaves = cells.octaves(sizes * CELL, MOST_GRIDS)
    octaves = octaves.clip(max=int(cells.octaves(np.array([large]), MOST_GRIDS)[0]))
    places = cells.places(means)
    by_rank = np.argsort(opacities, kind="stable")
    ranks = np.empty(len(means), np.int64)
    ranks[by_rank] = np.arange(len(means))
    out: list[Grid] = []
    nodes = np.zeros(len(means), np.int64)
    joins: list[tuple[np.ndarray, np.ndarray]] = []
    leans: list[tuple[np.ndarray, np.ndarray]] = []
    start = 0
    for octave in range(int(octaves.max()) + 1):
        rows = np.flatnonzero(octaves == octave)
        below = out[-1] if out else None
        own_keys = cells.number(*(places[rows] >> octave).T) * count + labels[rows]
        lifted = np.zeros(0, np.int64) if below is None else _lifted(cells, below.keys, count)
        grid, own, parents = _grid(own_keys, lifted, opacities[rows], ranks[rows], below, start)
        nodes[rows] = own + start
        joined, leaning, close = _beside(grid, [cells.number(*offset) * count for offset in _OFFSETS], solid)
        joins.append(joined)
        leans.append(leaning)
        if below is not None:
            out[-1] = replace(below, parents=parents)
            joins.append(_above(out[-1], close, start))
        out.append(grid)
        start += len(grid.keys)
    pieces = connected(start, *(np.concatenate(ends) for ends in zip(*joins, strict=True)))
    lone, host = (np.concatenate(ends) for ends in zip(*leans, strict=True))
    out = [replace(grid, best=by_rank[grid.best]) for grid in out]
    return Touching(cells, out, _attached(pieces, lone, host), nodes, count)


def _beside(
    grid: Grid, steps: list[int], solid: float
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray], np.ndarray]:
    """The pairs of nodes of one grid that touch; the faint nodes and one beside each; which nodes are near solid ones.

    A Gaussian that enters here reaches the cells beside its own. Narrower ones do not.
    """
    heavy, full = grid.entered >= solid, grid.held >= solid
    close, beside = heavy.copy(), np.full(len(grid.keys), -1, np.int64)
    pairs = []
    for step in steps:
        a, b = neighbours(grid.keys, step)
        for one, other in ((a, b), (b, a)):
            close[other[heavy[one]]] = True
            helps = full[one] & ~full[other]
            beside[other[helps]] = one[helps]
        both = (heavy[a] & full[b]) | (heavy[b] & full[a])
        pairs.append((a[both], b[both]))
    first, second = (np.concatenate(ends) + grid.first for ends in zip(*pairs, strict=True))
    faint = np.flatnonzero(beside >= 0)
    return (first, second), (faint + grid.first, beside[faint] + grid.first), close


def _above(grid: Grid, close: np.ndarray, start: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of nodes and parents that touch. `close`, bool [C]: which parents are near a solid Gaussian.

    Such a Gaussian connects all that the parent holds. Else the parent stands for its most opaque child alone.
    """
    best = np.full(len(close), -1, np.int64)
    np.maximum.at(best, grid.parents, grid.best)
    child = np.flatnonzero(close[grid.parents] | (best[grid.parents] == grid.best))
    return child + grid.first, grid.parents[child] + start


def neighbours(keys: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of nodes whose keys are `step` apart. `keys` is ascending."""
    at = np.searchsorted(keys, keys + step)
    found = np.flatnonzero(keys[at.clip(max=len(keys) - 1)] == keys + step)
    return found, at[found]


def _attached(pieces: np.ndarray, lone: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """The pieces after each piece of a faint node `lone` has joined the piece of the node `beside` it."""
    target = np.arange(len(pieces))
    target[pieces[lone]] = pieces[beside]
    target[pieces[beside]] = pieces[beside]  # a piece that others join stays, so that there are no chains
    return target[pieces]


def _grid(
    own_keys: np.ndarray, lifted: np.ndarray, opacities: np.ndarray, ranks: np.ndarray, below: Grid | None, start: int
) -> tuple[Grid, np.ndarray, np.ndarray]:
    """One grid, the node in it of each Gaussian that enters, and of each node of the grid `below`.

    `best` has the ranks of Gaussians by opacity instead of their rows.
    """
    keys, index = np.unique(np.concatenate([own_keys, lifted]), return_inverse=True)
    index = index.reshape(-1)
    own, parents = index[: len(own_keys)], index[len(own_keys) :]
    held = entered = np.bincount(own, opacities, minlength=len(keys))
    best = np.full(len(keys), -1, np.int64)
    np.maximum.at(best, own, ranks)
    if below is not None:
        held = entered + np.bincount(parents, below.held, minlength=len(keys))
        np.maximum.at(best, parents, below.best)
    return Grid(keys, entered, held, best, np.zeros(0, np.int64), start), own, parents


def _lifted(cells: Cells, keys: np.ndarray, count: int) -> np.ndarray:
    """The keys of nodes in the next grid."""
    numbers, labels = np.divmod(keys, count)
    return cells.wider(numbers) * count + labels

"""Finds the Gaussians near chosen ones, with a grid of cells for each half octave of sizes."""

from collections.abc import Iterator

import numpy as np

from bgs_engine.cutouts.loose_parts import MOST_CELLS

CHUNK = 1 << 14  # Gaussians asked for at a time; bounds the memory
_COLUMNS = np.array([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)])  # of 3 cells each, contiguous in the order


class CellGrid:
    """Points in cells of one width. Cells that follow each other along z are beside each other in `order`."""

    def __init__(self, points: np.ndarray, width: float) -> None:
        """points: [N, 3], finite, N >= 1. The cells become wider where their number would not fit 64 bits."""
        self._low = points.min(0)
        span = float((points.max(0) - self._low).max())
        self.width = max(width, span / (MOST_CELLS - 8), np.finfo(np.float32).tiny)
        place = self.places(points)
        self._size = place.max(0) + 3  # an empty cell on each side, so that neighbours never wrap round
        number = self.numbers(place)
        self.order = np.argsort(number, kind="stable")
        self.cells, self._first = np.unique(number[self.order], return_index=True)
        self._ends = np.append(self._first[1:], len(points))

    def places(self, points: np.ndarray) -> np.ndarray:
        """The cell of each point along each axis, int64 [M, 3]."""
        return ((points - self._low) / self.width).astype(np.int64) + 1

    def numbers(self, places: np.ndarray) -> np.ndarray:
        """The number of each cell, int64 [M]."""
        return (places[..., 0] * self._size[1] + places[..., 1]) * self._size[2] + places[..., 2]

    def ranges(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(starts, ends) int64 [M, 9] into `order` of the points in the 27 cells around each point."""
        place = self.places(points)
        columns = np.repeat(place[:, None], len(_COLUMNS), 1)
        columns[..., :2] += _COLUMNS
        middle = self.numbers(columns)
        first = np.searchsorted(self.cells, middle - 1)
        last = np.searchsorted(self.cells, middle + 1, side="right")
        starts = np.append(self._first, len(self.order))[first]
        return starts, np.where(last > first, self._ends[last - 1], starts)

    def sampled(self, points: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """(At most `most` row numbers near each point, int64 [M, most], -1 where there are fewer; how many are near).

        Near are the rows in the 27 cells around the point. The chosen ones are evenly spread over them.
        """
        starts, ends = self.ranges(points)
        counts = ends - starts
        before = np.cumsum(counts, 1) - counts
        total = counts.sum(1)
        k = np.arange(most)
        # The k-th of `most` evenly spread ranks, or simply the k-th where all fit.
        rank = np.where(total[:, None] > most, k * total[:, None] // most, k)
        column = (rank[:, :, None] >= before[:, None, :]).sum(2) - 1
        within = rank - np.take_along_axis(before, column, 1)
        at = np.take_along_axis(starts, column, 1) + within
        found = rank < total[:, None]
        return np.where(found, self.order[np.where(found, at, 0)], -1), total


def by_size(sizes: np.ndarray, rows: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """(Largest size, row numbers) for each half octave of the sizes of `rows`. sizes: float [N], all positive."""
    usual = float(np.median(sizes))  # so that the unit of the scene does not matter
    step = np.ceil(2 * np.log2(sizes[rows] / usual)).astype(int)
    for one in np.unique(step):
        yield usual * float(2.0 ** (one / 2)), rows[step == one]

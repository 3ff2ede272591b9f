"""Sorts Gaussians into the cells of one grid. A cell with Gaussians of a label is a node of that label."""

from dataclasses import dataclass

import numpy as np

SOLID_OPACITY = 0.1  # fainter Gaussians do not count: haze touches everything
CELL = 3.0  # width of a cell in usual standard deviations: neighbours on a surface lie about half of it apart
FEWEST = 2.5  # Gaussians in a cell on average; else the cells become twice as wide
MOST_DOUBLINGS = 12
OPAQUE = 0.5  # a fainter Gaussian does not reach beyond its cell, however large it is
SAMPLED = 100_000  # Gaussians that are enough for quantiles
REACH = 16.0  # of the middle of the scene, in spans; what lies farther counts as lying there


@dataclass(frozen=True)
class Nodes:
    """M nodes, sorted by cell, then by label. The frame has its third axis upwards.

    labels: int64 [M], 0 to count - 1. places: int64 [M, 3], the cell. middles: float64 [M, 3], the mean position of the
    Gaussians, in cell widths. sizes: float64 [M], the standard deviation of the largest opaque Gaussian along its
    second axis, in cell widths. cells: int64 [C], the numbers of the cells, ascending. first: int64 [C + 1], the first
    node of each cell. width: of a cell, scene units. bits: of a cell's number for each axis.
    """

    labels: np.ndarray
    places: np.ndarray
    middles: np.ndarray
    sizes: np.ndarray
    cells: np.ndarray
    first: np.ndarray
    width: float
    bits: int
    count: int

    def numbers(self, places: np.ndarray) -> np.ndarray:
        """The number of each cell, int64 [...], which grows along the last axis first."""
        return np.asarray((places[..., 0] << 2 * self.bits) + (places[..., 1] << self.bits) + places[..., 2])


def upright(up: np.ndarray) -> np.ndarray:
    """A rotation [3, 3]; `points @ rotation.T` have the third axis along `up` [3]. The identity for (0, 0, 1)."""
    z = np.asarray(up, np.float64) / np.linalg.norm(up)
    x = np.eye(3)[0 if abs(z[0]) < 0.9 else 1]
    x = x - (x @ z) * z
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def make_nodes(
    means: np.ndarray, scales: np.ndarray, opacities: np.ndarray, labels: np.ndarray, count: int, up: np.ndarray
) -> Nodes | None:
    """The nodes of the solid Gaussians; None if there are none.

    Args:
        means: float [N, 3], scene units.
        scales: float [N, 3], scene units.
        opacities: float [N] in 0..1.
        labels: int [N], below `count`.
        count: the number of labels.
        up: float [3], the direction upwards.
    """
    with np.errstate(invalid="ignore"):
        solid = np.flatnonzero((opacities >= SOLID_OPACITY) & np.isfinite(means.sum(1)) & np.isfinite(scales.sum(1)))
    if not len(solid):
        return None
    bits = (62 - int(count).bit_length()) // 3
    points = means[solid].astype(np.float64) @ upright(up).T
    x, y, z = scales[solid].T
    sizes = np.maximum(np.minimum(x, y), np.minimum(np.maximum(x, y), z))
    low, middle, high = np.percentile(points[:: max(1, len(points) // SAMPLED)], (1, 50, 99), axis=0)
    width = CELL * float(np.median(sizes[:: max(1, len(sizes) // SAMPLED)]))
    reach = max(REACH * float((high - low).max()), 4 * width, 1e-30)
    width = max(width, 2 * reach / ((1 << bits) - 64))
    points = (points - (middle - reach)).clip(0, 2 * reach) / width + 16  # room for cells beside all
    places, own = points.astype(np.int64), labels[solid].astype(np.int64)
    for doubling in range(MOST_DOUBLINGS + 1):
        if doubling:
            places, points, width = places >> 1, points / 2, 2 * width
        key = ((places[:, 0] << 2 * bits) + (places[:, 1] << bits) + places[:, 2]) * count + own
        order = np.argsort(key)
        keys = key[order]
        starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
        number = keys[starts] // count
        first = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
        if FEWEST * len(first) <= len(solid):
            break
    counts = np.diff(np.append(starts, len(keys)))
    points, opaque = points[order], np.where(opacities[solid] >= OPAQUE, sizes, 0)[order]
    return Nodes(
        labels=keys[starts] % count,
        places=places[order[starts]],
        middles=np.stack([np.add.reduceat(points[:, k], starts) for k in range(3)], 1) / counts[:, None],
        sizes=np.maximum.reduceat(opaque, starts) / width,
        cells=number[first],
        first=np.append(first, len(starts)),
        width=width,
        bits=bits,
        count=count,
    )

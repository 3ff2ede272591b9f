"""Asks at points of a Gaussian's ellipsoid how solid its own label is there.

The points are on the Gaussian's principal axes, within two standard deviations. At a point x the neighbours j of the
same label have the optical depth
    T(x) = sum_j -ln(1 - o_j exp(-q_j(x) / 2)),
o_j being their opacity and q_j the squared Mahalanobis distance. A share 1 - exp(-T) of the light stops there.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bgs_engine.core.quaternions import quaternion_matrices
from bgs_engine.cutouts.neighbours import CHUNK, CellGrid, by_size
from bgs_engine.io.gaussians import Gaussians

CELL = 1.5  # standard deviations of the largest Gaussian: the cells around a Gaussian reach as far at least
LOOKED_AT = 64  # Gaussians near each; where there are more, these stand for all
NEIGHBOURS = 24  # of them and of the same label, the nearest, decide what is solid
FEW = 4.0  # Gaussians: where one stands for more, holes between the ones looked at would count as air
FAINTEST = 0.02  # opacity of Gaussians that are looked at: fainter ones do not show
THINNEST = 0.15  # of its width: a neighbour counts as at least as thick as this
OPAQUEST = 0.99
SOLID_ALONE = 0.94  # opacity; Gaussians that are more opaque are solid themselves and are not asked for
USUAL = 0.8  # opacity of solid things, mean by opacity
FURTHEST = 1e15  # usual sizes from the origin
SMALLEST = 1e-6  # of the usual size: smaller Gaussians count as so small, and larger ones than its inverse as that
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
THREADS = 2  # NumPy lets go of Python's lock in its loops


def _ring(radius: float, count: int) -> list[tuple[float, float]]:
    turns = 2 * np.pi * np.arange(count) / count
    return list(zip(radius * np.cos(turns), radius * np.sin(turns), strict=True))


POINTS = np.array([(0.0, 0.0), *_ring(1.0, 4), *_ring(2.0, 6)], np.float32)  # along the two longer axes
# The mass of the part of a disc around each point: the Gaussian there, times the area.
_AREA = np.array([0.5, *[1.2] * 4, *[2.0] * 6], np.float32)
WEIGHTS = _AREA * np.exp(-(POINTS**2).sum(1) / 2)
WEIGHTS /= WEIGHTS.sum()


@dataclass(frozen=True)
class Around:
    """How solid it is around K Gaussians, at P points each.

    rows int [K]; axes int [K, 3]: their axes, longest first; own float32 [K, P]: the share of the light that neighbours
    of the same label stop.
    """

    rows: np.ndarray
    axes: np.ndarray
    own: np.ndarray


def look_around(gaussians: Gaussians, labels: np.ndarray) -> Iterator[Around]:
    """What is around the Gaussians that are visible but not opaque, some at a time. labels: int [N]."""
    sized = gaussians.scales.max(1) > 0
    visible = np.flatnonzero(gaussians.valid & sized & (gaussians.opacities >= FAINTEST))
    if not len(visible):
        return
    shapes = _Shapes(gaussians, labels, visible)

    def around_size(size: tuple[float, np.ndarray]) -> list[Around]:
        largest, rows = size
        grid = CellGrid(shapes.means, CELL * largest)
        with np.errstate(over="ignore", invalid="ignore"):  # very far ones are infinitely far
            return [shapes.around(rows[start : start + CHUNK], grid) for start in range(0, len(rows), CHUNK)]

    asked = np.flatnonzero(shapes.opacities < SOLID_ALONE)
    with ThreadPoolExecutor(THREADS) as pool:
        for found in pool.map(around_size, by_size(shapes.scales[:, 0], asked)):
            yield from found


class _Shapes:
    """The visible Gaussians, float32, with the axes of each sorted by length."""

    def __init__(self, gaussians: Gaussians, labels: np.ndarray, visible: np.ndarray) -> None:
        self.visible, self.labels = visible, labels[visible]
        unit = float(np.median(gaussians.scales[visible].max(1)))  # so that no unit of the scene overflows
        self.means = (gaussians.means[visible] / np.float64(unit)).clip(-FURTHEST, FURTHEST).astype(np.float32)
        self.opacities = relative_opacities(gaussians.opacities[visible], self.labels)
        self.order = np.argsort(-gaussians.scales[visible], axis=1, kind="stable")
        scales = np.take_along_axis(gaussians.scales[visible], self.order, 1) / np.float64(unit)
        self.scales = scales.clip(SMALLEST, 1 / SMALLEST).astype(np.float32)
        turn = quaternion_matrices(gaussians.quats[visible]).astype(np.float32)
        turn = np.take_along_axis(turn, self.order[:, None, :], 2)
        self.longer = turn[:, :, :2] * self.scales[:, None, :2]
        root = turn / np.maximum(self.scales, THINNEST * self.scales[:, :1])[:, None, :]
        self.precision = np.stack([(root[:, a] * root[:, b]).sum(1) for a, b in _PAIRS], 1)

    def around(self, rows: np.ndarray, grid: CellGrid) -> Around:
        """What is around `rows` [K]."""
        near, total = grid.sampled(self.means[rows], LOOKED_AT)
        near, there = self._nearest(rows, near)
        stands_for = np.maximum(total / LOOKED_AT, 1).astype(np.float32)[:, None, None]
        # Where one stands for many, it is as wide as these beside each other.
        light = np.exp(-0.5 / np.maximum(stands_for / FEW, 1) * self._squares(rows, near))
        light *= (self.opacities[near] * there)[:, None]
        # -ln(1 - a) to its third power: where it is too small, a is large and no light is left in any case.
        depth = light * (1 + light * (0.5 + light / 3))
        depth *= np.minimum(stands_for, FEW)
        return Around(self.visible[rows], self.order[rows], 1 - np.exp(-depth.sum(2)))

    def _nearest(self, rows: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(The nearest of the same label among `near` [K, L]; bool: whether there are so many), [K, M] each."""
        there = (near >= 0) & (near != rows[:, None])
        near = np.where(there, near, 0)
        there &= self.labels[near] == self.labels[rows][:, None]
        apart = self.means[near] - self.means[rows][:, None]
        # In sizes of the neighbour: a large one reaches further.
        distance = np.einsum("kli,kli->kl", apart, apart) / self.scales[near, 0] ** 2
        best = np.argpartition(np.where(there, distance, np.inf), NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        return np.take_along_axis(near, best, 1), np.take_along_axis(there, best, 1)

    def _squares(self, rows: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Squared Mahalanobis distance of the points of `rows` [K] from `near` [K, M], float32 [K, P, M]."""
        d = self.means[rows][:, None] - self.means[near]
        precision = self.precision[near]
        xx, yy, zz, xy, xz, yz = (precision[..., k] for k in range(6))
        x, y, z = (d[..., k] for k in range(3))
        px, py, pz = xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z
        terms = np.stack([px * x + py * y + pz * z, px, py, pz, xx, yy, zz, xy, xz, yz], 1)
        offsets = POINTS @ self.longer[rows].transpose(0, 2, 1)
        x, y, z = (offsets[..., k] for k in range(3))
        basis = np.stack(
            [np.ones_like(x), 2 * x, 2 * y, 2 * z, x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], 2
        )
        return np.nan_to_num(basis @ terms, nan=np.inf, posinf=np.inf).clip(0)


def relative_opacities(opacities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Opacities [N], raised in labels that are faint as a whole, so that glass holds together like wood."""
    _, label = np.unique(labels, return_inverse=True)
    label = label.reshape(-1)
    typical = np.bincount(label, opacities**2) / np.maximum(np.bincount(label, opacities), 1e-12)
    raised = opacities * np.maximum(1, USUAL / np.maximum(typical, 1e-6))[label]
    return raised.clip(max=OPAQUEST).astype(np.float32)

"""What one asks of labels to select them: how large, how many, how opaque, which colour, how sure, and where."""

from dataclasses import dataclass

import numpy as np
from bgs_engine.core.label_table import SOLID_OPACITY
from bgs_engine.likeness.signature import oklab


@dataclass(frozen=True)
class LabelStatistics:
    """Of L labels, in the order of their numbers. Lengths are in the units of the positions.

    counts: int64 [L], Gaussians. low, high: float32 [L, 3], the box of the Gaussians that are not faint, or of all if
    all are. opacities: float64 [L], the mean, in 0..1. colors: float64 [L, 3], the mean colour in Oklab, weighted by
    opacity. confidences: float64 [L], the mean, in 0..1, or None.
    """

    counts: np.ndarray
    low: np.ndarray
    high: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray
    confidences: np.ndarray | None

    @property
    def sizes(self) -> np.ndarray:
        """The longest side of each box, float32 [L]."""
        return np.asarray((self.high - self.low).max(1, initial=0))

    @property
    def heights(self) -> np.ndarray:
        """Where the middle of each box is along Z, float32 [L]."""
        return np.asarray((self.low[:, 2] + self.high[:, 2]) / 2)


def statistics(
    of: np.ndarray,
    count: int,
    positions: np.ndarray,
    opacities: np.ndarray,
    colors: np.ndarray,
    confidence: np.ndarray | None = None,
) -> LabelStatistics:
    """The statistics of `count` labels.

    Args:
        of: the label of each Gaussian, int [N] in 0..count-1. Every label has one at least.
        count: how many labels there are.
        positions: float32 [N, 3].
        opacities: float32 [N] in 0..1.
        colors: float32 [N, 3], sRGB in 0..1.
        confidence: float32 [N] in 0..1, or None.
    """
    counts = np.bincount(of, minlength=count)
    weight = np.maximum(np.bincount(of, opacities, count), 1e-30)
    mean = np.stack([np.bincount(of, opacities * colors[:, k], count) / weight for k in range(3)], 1)
    solid = opacities >= SOLID_OPACITY
    solid |= (np.bincount(of[solid], minlength=count) == 0)[of]
    low, high = _boxes(of, count, positions, solid)
    per_label = np.maximum(counts, 1)
    sure = None if confidence is None else np.bincount(of, confidence, count) / per_label
    opaque = np.bincount(of, opacities, count) / per_label
    return LabelStatistics(counts, low, high, opaque, oklab(mean.clip(0, 1)), sure)


def _boxes(of: np.ndarray, count: int, positions: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper corners of the box of each label, float32 [L, 3]. `used`, bool [N], is what counts."""
    rows = np.flatnonzero(used)
    small = of[rows].astype(np.uint16 if count <= 1 << 16 else np.int32)  # a short number sorts in one sweep
    order = rows[np.argsort(small, kind="stable")]
    starts = np.searchsorted(of[order], np.arange(count))
    if not len(order):
        return np.zeros((count, 3), np.float32), np.zeros((count, 3), np.float32)
    columns = [positions[:, axis][order] for axis in range(3)]
    low, high = (np.stack([f.reduceat(c, starts) for c in columns], 1) for f in (np.minimum, np.maximum))
    return low, high


def alike_in_color(colors: np.ndarray, wanted: tuple[float, float, float], tolerance: float) -> np.ndarray:
    """Which colours, Oklab [L, 3], are at most `tolerance` from the wanted one, sRGB in 0..1; bool [L].

    Black and white are 1 apart. The difference that one just sees is about 0.02.
    """
    apart = colors - oklab(np.array([wanted], np.float64))
    return np.asarray(np.linalg.norm(apart, axis=1) <= tolerance)


def shares(of: np.ndarray, count: int, rows: np.ndarray) -> np.ndarray:
    """The share of each label's Gaussians that `rows`, bool [N], has; float64 [L]."""
    return np.asarray(np.bincount(of[rows], minlength=count) / np.maximum(np.bincount(of, minlength=count), 1))


def in_box(positions: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which positions, [N, 3], lie in a box with the corners `low` and `high` [3]; bool [N]."""
    inside = np.ones(len(positions), bool)
    for axis in range(3):
        inside &= (positions[:, axis] >= low[axis]) & (positions[:, axis] <= high[axis])
    return inside


def in_sphere(positions: np.ndarray, middle: np.ndarray, radius: float) -> np.ndarray:
    """Which positions, [N, 3], lie in a sphere; bool [N]."""
    square = np.zeros(len(positions), np.float32)
    for axis in range(3):
        square += (positions[:, axis] - np.float32(middle[axis])) ** 2
    return square <= np.float32(radius) ** 2

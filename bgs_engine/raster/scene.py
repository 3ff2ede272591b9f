"""A splat prepared for rasterising: Morton-ordered, covariances built once. Geometry never changes in training."""

from dataclasses import dataclass, replace

import numpy as np

from bgs_engine.io.gaussians import Gaussians
from bgs_engine.raster.cpu.project import covariances

_MORTON_BITS = 10  # per axis: 1024 cells an axis is finer than any cache line can use


@dataclass(frozen=True)
class RasterScene:
    """N Gaussians in Morton order, so that neighbours in space are neighbours in memory (2-3x faster access).

    means [N, 3], covs [N, 6] (xx, xy, xz, yy, yz, zz), opacities [N], sh [N, K, 3] or None, all float32;
    rows int32 [N]: file row of each. Rows that are not valid are left out, so N can be smaller than the file's count.
    """

    means: np.ndarray
    covs: np.ndarray
    opacities: np.ndarray
    sh: np.ndarray | None
    rows: np.ndarray
    file_count: int

    @classmethod
    def from_gaussians(cls, gaussians: Gaussians) -> "RasterScene":
        """Order the valid Gaussians and build their covariances."""
        valid = np.flatnonzero(gaussians.valid)
        rows = valid[morton_order(gaussians.means[valid])].astype(np.int32)
        covs = covariances(gaussians.quats[rows], gaussians.scales[rows])
        sh = None if gaussians.sh is None else gaussians.sh[rows]
        return cls(gaussians.means[rows], covs, gaussians.opacities[rows], sh, rows, len(gaussians))

    def __len__(self) -> int:
        return len(self.means)

    def to_file_order(self, values: np.ndarray, missing: float = 0) -> np.ndarray:
        """Values [N, ...] in file row order; rows that were left out get `missing`."""
        out = np.full((self.file_count, *values.shape[1:]), missing, values.dtype)
        out[self.rows] = values
        return out

    def from_file_order(self, values: np.ndarray) -> np.ndarray:
        """Values given per file row, in this scene's order."""
        return np.ascontiguousarray(values[self.rows])

    def largest(self, count: int) -> "RasterScene":
        """The scene of the `count` Gaussians with the most opaque area, in their order: enough for small pictures."""
        if len(self) <= count:
            return self
        area = self.covs[:, [0, 3, 5]].sum(1) * self.opacities
        keep = np.sort(np.argpartition(area, -count)[-count:])
        return replace(
            self,
            means=self.means[keep],
            covs=self.covs[keep],
            opacities=self.opacities[keep],
            sh=None if self.sh is None else self.sh[keep],
            rows=self.rows[keep],
        )


def morton_order(means: np.ndarray) -> np.ndarray:
    """Row numbers sorted along a Z-order curve through the bulk of the points; means float32 [N, 3]."""
    low, high = np.percentile(means[:: max(1, len(means) // 100_000)], (1, 99), axis=0)  # a few far splats are usual
    span = max(float((high - low).max()), 1e-12)
    cells = ((means - low) / span).clip(0, 1) * ((1 << _MORTON_BITS) - 1)
    key = np.zeros(len(means), np.uint32)
    for axis in range(3):
        key |= _spread(cells[:, axis].astype(np.uint32)) << np.uint32(axis)
    return np.argsort(key, kind="stable")


def _spread(x: np.ndarray) -> np.ndarray:
    """Put two zero bits between the ten bits of each value."""
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        x = (x | (x << np.uint32(shift))) & np.uint32(mask)
    return x

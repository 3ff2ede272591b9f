"""A splat prepared for rasterising: Morton-ordered, covariances built once. Geometry never changes in training."""

from dataclasses import dataclass, replace

import numpy as np

from bgs_engine.core.morton import morton_order
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.raster.cpu.project import covariances


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

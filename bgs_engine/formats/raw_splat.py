"""A splat in the values that a 3DGS PLY stores: what all formats are read into and written from.

Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", SIGGRAPH 2023, and the files of its code.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from bgs_engine.core.codes import CODE_BYTE_NAMES, BitLayout, code_bytes
from bgs_engine.core.label_table import LabelTable
from bgs_engine.io.gaussians import read_sh
from bgs_engine.io.ply import SPLAT_PROPERTIES, SplatPly

_GEOMETRY = (
    ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3"), ("opacity",),
)  # fmt: skip


@dataclass(frozen=True)
class SplatLabels:
    """The labels of N Gaussians: codes int32 [N] with their bit layout, and the label table with the names."""

    codes: np.ndarray
    layout: BitLayout
    table: LabelTable

    def take(self, rows: np.ndarray) -> "SplatLabels":
        """The labels of these Gaussians: row numbers int [K] in any order. The table stays as it is."""
        return replace(self, codes=self.codes[rows])


@dataclass(frozen=True)
class RawSplat:
    """N Gaussians, all arrays float32.

    means [N, 3] in scene units, less `offset`; scales [N, 3], natural logarithms of scene units; quats [N, 4] as
    (w, x, y, z), of any length; opacities [N], logits, of which +-inf are legal; sh [N, K, 3] coefficients, K = 1, 4,
    9, 16 or 25.

    offset: float64 [3], whole numbers, 0 near the origin, as `SplatPly.offset`.
    labels: None for a splat without codes.
    """

    means: np.ndarray
    scales: np.ndarray
    quats: np.ndarray
    opacities: np.ndarray
    sh: np.ndarray
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    labels: SplatLabels | None = None

    def __len__(self) -> int:
        return len(self.means)

    @property
    def degree(self) -> int:
        """The degree of the spherical harmonics, 0 to 4."""
        return round(self.sh.shape[1] ** 0.5) - 1

    def take(self, rows: np.ndarray) -> "RawSplat":
        """The Gaussians with these row numbers, int [K] in any order, and their labels."""
        means, scales, quats, opacities, sh = (
            values[rows] for values in (self.means, self.scales, self.quats, self.opacities, self.sh)
        )
        labels = self.labels.take(rows) if self.labels else None
        return RawSplat(means, scales, quats, opacities, sh, self.offset, labels)

    @classmethod
    def of_ply(cls, ply: SplatPly, labels: SplatLabels | None = None) -> "RawSplat":
        """The Gaussians of a PLY in file order. Properties that no splat needs are left out.

        Raises:
            InputError: the file can no longer be read.
        """
        scales, quats, opacities = (np.empty((ply.count, len(group)), np.float32) for group in _GEOMETRY)
        for start, parts in ply.column_blocks(_GEOMETRY):  # one pass over the file
            for whole, part in zip((scales, quats, opacities), parts, strict=True):
                whole[start : start + len(part)] = part
        return cls(ply.positions(), scales, quats, opacities.ravel(), read_sh(ply), ply.offset, labels)

    def to_ply(self, path: Path) -> SplatPly:
        """The same as rows in memory that pass for the PLY `path`: with the bytes of the codes, if there are labels.

        Positions are doubles if there is an offset.
        """
        rest = self.sh.shape[1] - 1
        place = "<f8" if self.offset.any() else "<f4"
        names = [(name, place) for name in SPLAT_PROPERTIES[:3]] + [(name, "<f4") for name in SPLAT_PROPERTIES[3:6]]
        names += [(f"f_rest_{k}", "<f4") for k in range(3 * rest)]
        names += [(name, "<f4") for name in SPLAT_PROPERTIES[6:]]
        names += [(name, "u1") for name in CODE_BYTE_NAMES] if self.labels else []
        rows = np.empty(len(self), np.dtype(names))
        for axis, name in enumerate("xyz"):
            rows[name] = (
                self.means[:, axis].astype(place) + self.offset[axis] if self.offset.any() else self.means[:, axis]
            )
            rows[f"f_dc_{axis}"] = self.sh[:, 0, axis]
            rows[f"scale_{axis}"] = self.scales[:, axis]
            for k in range(rest):
                rows[f"f_rest_{axis * rest + k}"] = self.sh[:, 1 + k, axis]
        for k in range(4):
            rows[f"rot_{k}"] = self.quats[:, k]
        rows["opacity"] = self.opacities
        if self.labels:
            for name, column in zip(CODE_BYTE_NAMES, code_bytes(self.labels.codes).T, strict=True):
                rows[name] = column
        return SplatPly.of_rows(path, rows)

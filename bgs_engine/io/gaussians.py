"""A splat as arrays, with the activations that every 3DGS trainer uses applied once (Kerbl et al. 2023).

A file stores raw values. Scales are logarithms, opacities are logits, quaternions (w, x, y, z) have any length, and
colours are spherical-harmonics coefficients.
"""

from dataclasses import dataclass, field

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.io.odd_values import odd_values
from bgs_engine.io.ply import SplatPly

SH_C0 = 0.28209479177387814  # 1 / (2 sqrt(pi)), the constant spherical harmonic
_GEOMETRY = (
    ("x", "y", "z"), ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3"), ("opacity",),
)  # fmt: skip
LOGIT_LIMIT = 15.0  # sigmoid(15) rounds to 1 - 3e-7: opacity logits of +-inf are legal in files


@dataclass(frozen=True)
class Gaussians:
    """N Gaussians in file row order, activated.

    means [N, 3] scene units; quats [N, 4] unit, (w, x, y, z); scales [N, 3] scene units; opacities [N] in 0..1;
    sh [N, K, 3] coefficients (K = 1, 4, 9, 16 or 25), or None when colours were not asked for; valid [N] bool:
    position, scale and rotation are finite. Rows that are not valid keep neutral values and opacity 0, so nothing
    draws them.

    offset: float64 [3], whole numbers. `means` are the file's positions less this offset, which is 0 near the origin.
    oddities: sentences for the user about values that look wrong.
    """

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    sh: np.ndarray | None
    valid: np.ndarray
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    oddities: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.means)

    @property
    def base_colors(self) -> np.ndarray:
        """View-independent colour, float32 [N, 3], 0..1."""
        if self.sh is None:
            raise ValueError("these Gaussians were loaded without colour")
        return (self.sh[:, 0] * np.float32(SH_C0) + np.float32(0.5)).clip(0, 1)

    def take(self, rows: np.ndarray) -> "Gaussians":
        """The Gaussians with these row numbers, in that order."""
        return Gaussians(
            self.means[rows],
            self.quats[rows],
            self.scales[rows],
            self.opacities[rows],
            None if self.sh is None else self.sh[rows],
            self.valid[rows],
            self.offset,
            self.oddities,
        )


def load_gaussians(ply: SplatPly, colors: bool = True) -> Gaussians:
    """Read all Gaussians of a PLY and activate their values.

    Raises:
        InputError: no Gaussian has a finite position, scale and rotation.
    """
    means, scales, quats, raw = (np.empty((ply.count, len(group)), np.float32) for group in _GEOMETRY)
    for start, parts in ply.column_blocks(_GEOMETRY):  # one pass over the file
        for whole, part in zip((means, scales, quats, raw), parts, strict=True):
            whole[start : start + len(part)] = part
    oddities = odd_values(ply, scales, raw)
    if ply.offset.any():
        means = ply.positions()
    opacities = sigmoid(raw.ravel())
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        scales = np.exp(scales, out=scales)
        quats /= np.linalg.norm(quats, axis=1, keepdims=True)
        valid = np.isfinite(means).all(1) & np.isfinite(scales).all(1) & np.isfinite(quats).all(1)
        valid &= np.isfinite(scales.max(1) ** 2)
    if not valid.any():
        raise InputError(f"{ply.path.name} has no Gaussian with finite values.", "Export it from your trainer again.")
    means[~valid] = 0
    scales[~valid] = 1e-6
    quats[~valid] = (1, 0, 0, 0)
    opacities[~valid] = 0
    return Gaussians(means, quats, scales, opacities, read_sh(ply) if colors else None, valid, ply.offset, oddities)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Opacities in 0..1 from logits of any shape. Infinite logits are legal, and NaN counts as transparent."""
    clipped = np.nan_to_num(logits, nan=-LOGIT_LIMIT).clip(-LOGIT_LIMIT, LOGIT_LIMIT)
    return (1 / (1 + np.exp(-clipped))).astype(np.float32)


def logit(opacities: np.ndarray) -> np.ndarray:
    """The inverse of `sigmoid`, finite for 0 and 1."""
    p = opacities.astype(np.float64).clip(1e-9, 1 - 1e-9)
    return np.log(p / (1 - p)).clip(-LOGIT_LIMIT, LOGIT_LIMIT).astype(np.float32)


def read_sh(ply: SplatPly) -> np.ndarray:
    """Spherical-harmonics coefficients, float32 [N, K, 3], K = 1, 4, 9, 16 or 25.

    Values that are not finite count as 0. In the file f_rest is channel-major: all of red, then green, then blue.
    """
    rest = ply.rest_count // 3
    sh = np.empty((ply.count, 1 + rest, 3), np.float32)
    groups = [("f_dc_0", "f_dc_1", "f_dc_2"), [f"f_rest_{i}" for i in range(3 * rest)]]
    for start, (constant, higher) in ply.column_blocks(groups):  # in blocks: whole columns would double the memory
        block = sh[start : start + len(constant)]
        block[:, 0] = constant
        block[:, 1:] = higher.reshape(len(higher), 3, rest).transpose(0, 2, 1)
        np.nan_to_num(block, copy=False, nan=0, posinf=0, neginf=0)
    return sh

"""Packs Gaussians into texels. Data textures are the only bulk input of a shader that every Blender since 4.2 has."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# RGBA32F texels per Gaussian: mean and opacity; cov xx xy xz yy; cov yz zz, 0, confidence; raw DC.
GEOMETRY_TEXELS = 4
SH_TEXELS = {0: 0, 3: 3, 8: 6, 15: 12}  # coefficients per channel → RGBA texels for the three channels
WIDEST = 8192  # texels per row; every graphics card that Blender supports can do this


@dataclass(frozen=True)
class Arrays:
    """The arrays of one cloud, all float32, lengths in scene units.

    means [N, 3]; covs [N, 6] (xx, xy, xz, yy, yz, zz); opacities [N] in 0..1; dc [N, 3], raw; confidence [N] in 0..1;
    reach [N], the largest standard deviation.
    """

    means: np.ndarray
    covs: np.ndarray
    opacities: np.ndarray
    dc: np.ndarray
    confidence: np.ndarray
    reach: np.ndarray

    def __len__(self) -> int:
        return len(self.means)


def arrays_of(
    position: np.ndarray, scale: np.ndarray, rotation: np.ndarray, base: np.ndarray, confidence: np.ndarray | None
) -> Arrays:
    """The arrays of a cloud's attributes.

    position, scale [N, 3]; rotation [N, 4] unit (w, x, y, z); base [N, 4], raw DC and opacity; confidence [N] or None,
    which counts as 1.
    """
    count = len(position)
    if confidence is None:
        confidence = np.ones(count, np.float32)
    return Arrays(
        position,
        covariances(rotation, scale),
        np.ascontiguousarray(base[:, 3]),
        np.ascontiguousarray(base[:, :3]),
        confidence.astype(np.float32, copy=False),
        scale.max(1) if count else np.zeros(0, np.float32),
    )


def covariances(quats: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Covariances R diag(s²) Rᵀ as upper triangles (xx, xy, xz, yy, yz, zz), float32 [N, 6].

    quats [N, 4] are unit quaternions (w, x, y, z); scales [N, 3] are standard deviations.
    """
    w, x, y, z = (np.ascontiguousarray(quats[:, k]) for k in range(4))
    a, b, c = (np.square(scales[:, k]) for k in range(3))
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    out = np.empty((len(quats), 6), np.float32)
    for k, (i, j) in enumerate(((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))):
        p, q = rows[i], rows[j]
        out[:, k] = p[0] * q[0] * a + p[1] * q[1] * b + p[2] * q[2] * c
    return out


def fill_geometry(out: np.ndarray, arrays: Arrays) -> None:
    """Write one cloud's texels to out [N, GEOMETRY_TEXELS, 4]."""
    out[:, 0, :3], out[:, 0, 3] = arrays.means, arrays.opacities
    out[:, 1], out[:, 2, :2] = arrays.covs[:, :4], arrays.covs[:, 4:]
    out[:, 2, 2], out[:, 2, 3] = 0, arrays.confidence
    out[:, 3, :3], out[:, 3, 3] = arrays.dc, 0


def fill_harmonics(out: np.ndarray, read: Callable[[int], np.ndarray | None], coefficients: int) -> None:
    """Write SH coefficients to out [N, 4 x SH_TEXELS]. `read(k)` returns coefficient k, [N, 3], or None for zeros."""
    for k in range(coefficients):
        values = read(k)
        if values is not None:
            out[:, 3 * k : 3 * k + 3] = values


def rows_for(count: int, texels: int, width: int) -> int:
    """The number of texture rows for `count` items of `texels` texels each, at least one."""
    return max(1, -(-count * texels // width))


def fingerprint(arrays: list[np.ndarray]) -> int:
    """A number that changes with edits of the float32 arrays: a wrapping sum of their bits, weighted by position.

    It takes a few milliseconds per million values, so it can be computed after every change of a cloud.
    """
    total = np.uint64(len(arrays))
    with np.errstate(over="ignore"):
        for array in arrays:
            bits = np.ascontiguousarray(array).view(np.uint32).ravel()
            whole = len(bits) // 64 * 64
            columns = bits[:whole].reshape(-1, 64).sum(0, dtype=np.uint64)
            places = np.arange(1, 65, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            total = total * np.uint64(31) + (columns * places).sum() + bits[whole:].sum(dtype=np.uint64)
    return int(total)

"""Rotates spherical-harmonics colours together with an object.

The basis is the real one of the 3DGS renderer (degree 0 to 3, with its signs), and degree 4 as its successors continue
it. A rotation never mixes bands. Band l has 2 l + 1 coefficients and a (2 l + 1)-square matrix of its own, which is
fitted to the band's values in many directions.
"""

import numpy as np

BANDS = (slice(0, 1), slice(1, 4), slice(4, 9), slice(9, 16), slice(16, 25))
_C1 = 0.4886025119029199  # sqrt(3 / (4 pi)); the other constants are norms of real harmonics too
_C2 = (1.0925484305920792, 0.31539156525252005, 0.5462742152960396)
_C3 = (0.5900435899266435, 2.890611442640554, 0.4570457994644658, 0.3731763325901154, 1.445305721320277)
_C4 = (
    2.5033429417967046, 1.7701307697799304, 0.9461746957575601, 0.6690465435572892, 0.10578554691520431,
    0.47308734787878004, 0.6258357354491761,
)  # fmt: skip
_C0 = 0.28209479177387814


def basis(directions: np.ndarray) -> np.ndarray:
    """The 25 harmonics of degree 0 to 4, float64 [P, 25], in unit `directions` [P, 3]."""
    x, y, z = np.asarray(directions, np.float64).T
    xx, yy, zz = x * x, y * y, z * z
    return np.stack(
        [
            np.full_like(x, _C0),
            -_C1 * y,
            _C1 * z,
            -_C1 * x,
            _C2[0] * x * y,
            -_C2[0] * y * z,
            _C2[1] * (2 * zz - xx - yy),
            -_C2[0] * x * z,
            _C2[2] * (xx - yy),
            -_C3[0] * y * (3 * xx - yy),
            _C3[1] * x * y * z,
            -_C3[2] * y * (4 * zz - xx - yy),
            _C3[3] * z * (2 * zz - 3 * xx - 3 * yy),
            -_C3[2] * x * (4 * zz - xx - yy),
            _C3[4] * z * (xx - yy),
            -_C3[0] * x * (xx - 3 * yy),
            _C4[0] * x * y * (xx - yy),
            -_C4[1] * y * z * (3 * xx - yy),
            _C4[2] * x * y * (7 * zz - 1),
            -_C4[3] * y * z * (7 * zz - 3),
            _C4[4] * (zz * (35 * zz - 30) + 3),
            -_C4[3] * x * z * (7 * zz - 3),
            _C4[5] * (xx - yy) * (7 * zz - 1),
            -_C4[1] * x * z * (xx - 3 * yy),
            _C4[6] * (xx * (xx - 3 * yy) - yy * (3 * xx - yy)),
        ],
        axis=1,
    )


def rotation_matrix(rotation: np.ndarray, coefficients: int) -> np.ndarray:
    """The matrix [K, K] that rotates a channel's K = `coefficients` (1, 4, 9, 16 or 25).

    `rotation` is orthogonal, [3, 3]; reflections are allowed. The rotated function in direction d equals the old one
    in direction R^T d. The new coefficients c' of a band therefore solve basis(d) c' = basis(R^T d) c. It is solved
    over more directions than the band has coefficients.
    """
    directions = np.random.default_rng(0).normal(size=(64, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    here, there = basis(directions), basis(directions @ np.asarray(rotation, np.float64))
    out = np.zeros((coefficients, coefficients))
    for band in BANDS:
        if band.stop <= coefficients:
            out[band, band] = np.linalg.lstsq(here[:, band], there[:, band], rcond=None)[0]
    return out


def turned_each(coefficients: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Coefficients [N, K, 3] above the constant one, K = 3, 8, 15 or 24, each rotated by its own matrix [N, 3, 3].

    It solves the equations of `rotation_matrix` for one common set of directions, so nothing is fitted per row.
    """
    directions = np.random.default_rng(0).normal(size=(25, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    here = basis(directions)
    turned = directions @ np.asarray(rotations, np.float64)  # [N, 25, 3]
    there = basis(turned.reshape(-1, 3)).reshape(*turned.shape[:2], -1)  # [N, 25, 25]
    out = np.empty(coefficients.shape)
    for band in BANDS[1:]:
        if band.stop <= coefficients.shape[1] + 1:
            own = slice(band.start - 1, band.stop - 1)
            seen = there[:, :, band] @ coefficients[:, own].astype(np.float64)  # [N, 25, 3]
            out[:, own] = np.linalg.pinv(here[:, band]) @ seen
    return out.astype(coefficients.dtype)

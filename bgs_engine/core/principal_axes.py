"""Singular values and left singular vectors of many 3 x 3 matrices, vectorised over the matrices."""

from collections.abc import Sequence

import numpy as np

SWEEPS = 12  # the Jacobi method converges quadratically; a sweep more than about six is never needed
ORTHOGONAL = 1e-12  # cosine of the angle between two columns at which they count as orthogonal
SHORTEST = 1e-140  # squares of shorter columns are too small for float64


def principal_axes(columns: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Lengths [3, N] and directions (three arrays [3, N], right-handed) of the principal axes of N matrices.

    `columns` are the three columns of the matrices, [3, N] each. An ellipsoid is the image of the unit ball under its
    matrix. The lengths are in no order.

    One-sided Jacobi method (Hestenes 1958): it turns pairs of columns until all are orthogonal. In contrast to the
    eigenvectors of A Aᵀ, it does not square the condition number, so the short axes of thin ellipsoids stay exact.
    """
    turned = [np.array(column, np.float64) for column in columns]
    for _ in range(SWEEPS):
        if not any([_make_orthogonal(turned, p, q) for p, q in ((0, 1), (0, 2), (1, 2))]):
            break
    lengths = np.stack([np.sqrt(_dot(column, column)) for column in turned])
    short = np.flatnonzero(lengths.min(0, initial=np.inf) < SHORTEST)
    with np.errstate(divide="ignore", invalid="ignore"):
        directions = [column / length for column, length in zip(turned, lengths, strict=True)]
    if len(short):  # a column without length has no direction
        u, singular, _ = np.linalg.svd(np.stack([column[:, short] for column in columns], 2).transpose(1, 0, 2))
        lengths[:, short] = singular.T
        for k in range(3):
            directions[k][:, short] = u[:, :, k].T
    x, y, z = directions
    handed = (
        (x[1] * y[2] - x[2] * y[1]) * z[0] + (x[2] * y[0] - x[0] * y[2]) * z[1] + (x[0] * y[1] - x[1] * y[0]) * z[2]
    )
    directions[2] *= np.where(handed < 0, -1, 1)
    return lengths, directions


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def _make_orthogonal(columns: list[np.ndarray], p: int, q: int) -> bool:
    """Turn the columns p and q of all matrices in their plane, so that they are orthogonal. Returns whether any was."""
    a, b = columns[p], columns[q]
    aa, bb, ab = _dot(a, a), _dot(b, b), _dot(a, b)
    wrong = np.abs(ab) > ORTHOGONAL * np.sqrt(aa * bb)
    if not wrong.any():
        return False
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        zeta = (bb - aa) / (2 * ab)
        tangent = np.where(zeta < 0, -1.0, 1.0) / (np.abs(zeta) + np.sqrt(1 + zeta * zeta))
    tangent[~wrong] = 0
    cosine = 1 / np.sqrt(1 + tangent * tangent)
    sine = cosine * tangent
    columns[p], columns[q] = cosine * a - sine * b, sine * a + cosine * b
    return True

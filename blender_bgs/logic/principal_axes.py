"""Singular values and left singular vectors of many 3 x 3 matrices, vectorised over the matrices."""

import numpy as np

SWEEPS = 12  # the Jacobi method converges quadratically; a sweep more than about six is never needed
ORTHOGONAL = 1e-12  # cosine of the angle between two columns at which they count as orthogonal
SHORTEST = 1e-140  # squares of shorter columns are too small for float64


def principal_axes(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths [N, 3] and directions [N, 3, 3] (columns, right-handed) of the principal axes of `matrices` [N, 3, 3].

    The ellipsoid is the image of the unit ball under the matrix. The lengths are in no order.

    One-sided Jacobi method (Hestenes 1958): it turns pairs of columns until all are orthogonal. In contrast to the
    eigenvectors of A Aᵀ, it does not square the condition number, so the short axes of thin ellipsoids stay exact.
    """
    columns = [np.ascontiguousarray(matrices[:, :, k].T, np.float64) for k in range(3)]  # each [3, N]
    for _ in range(SWEEPS):
        turned = [_make_orthogonal(columns, p, q) for p, q in ((0, 1), (0, 2), (1, 2))]
        if not any(turned):
            break
    lengths = np.stack([np.sqrt((column * column).sum(0)) for column in columns], 1)
    flat = np.flatnonzero(lengths.min(1, initial=np.inf) < SHORTEST)
    with np.errstate(divide="ignore", invalid="ignore"):
        directions = np.stack([column / length for column, length in zip(columns, lengths.T, strict=True)], 2)
        directions = np.ascontiguousarray(directions.transpose(1, 0, 2))
    if len(flat):  # a column without length has no direction
        directions[flat], lengths[flat], _ = np.linalg.svd(matrices[flat])
    x, y, z = directions[:, :, 0].T, directions[:, :, 1].T, directions[:, :, 2].T
    left_handed = (
        (x[1] * y[2] - x[2] * y[1]) * z[0] + (x[2] * y[0] - x[0] * y[2]) * z[1] + (x[0] * y[1] - x[1] * y[0]) * z[2]
    ) < 0
    directions[left_handed, :, 2] *= -1
    return lengths, directions


def _make_orthogonal(columns: list[np.ndarray], p: int, q: int) -> bool:
    """Turn the columns p and q of all matrices in their plane, so that they are orthogonal. Returns whether any was."""
    a, b = columns[p], columns[q]
    aa, bb, ab = (a * a).sum(0), (b * b).sum(0), (a * b).sum(0)
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

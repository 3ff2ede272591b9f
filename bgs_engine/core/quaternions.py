"""Quaternions (w, x, y, z) and rotation matrices, many at a time."""

from collections.abc import Sequence

import numpy as np


def multiply_quaternions(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton products [N, 4] of `a` [4] with each of `b` [N, 4], (w, x, y, z): b's rotation comes first."""
    w, x, y, z = a
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return b @ left.T.astype(b.dtype)  # a product of mixed types is several times slower


def quaternion_columns(quats: np.ndarray) -> list[np.ndarray]:
    """The three columns, float64 [3, N] each, of the rotation matrices of quaternions [N, 4] of any length."""
    quats = quats.T.astype(np.float64)
    w, x, y, z = quats / np.sqrt((quats * quats).sum(0))
    return [
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)]),
        np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)]),
        np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)]),
    ]


def quaternion_matrices(quats: np.ndarray) -> np.ndarray:
    """Rotation matrices [N, 3, 3] of quaternions [N, 4] of any length."""
    return np.stack(quaternion_columns(quats), 2).transpose(1, 0, 2)


def matrix_quaternion(matrix: np.ndarray) -> np.ndarray:
    """The unit quaternion [4], (w, x, y, z), of one rotation matrix [3, 3]."""
    return matrices_quaternions(matrix[None])[0]


def matrices_quaternions(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions [N, 4], (w, x, y, z), w >= 0, of rotation matrices [N, 3, 3]."""
    return column_quaternions([matrices[:, :, k].T for k in range(3)])


def column_quaternions(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Unit quaternions [N, 4], (w, x, y, z), w >= 0, of rotation matrices that are given as three columns [3, N].

    Shepperd 1978: the largest of w², x², y² and z² is computed first, and the others from it, so that no digit is lost.
    """
    (a, d, g), (b, e, h), (c, f, i) = columns  # rows of the matrices: a b c, d e f, g h i
    squares = np.stack([1 + a + e + i, 1 + a - e - i, 1 - a + e - i, 1 - a - e + i])  # 4 w², 4 x², 4 y², 4 z²
    wx, wy, wz, xy, xz, yz = h - f, c - g, d - b, b + d, c + g, f + h  # 4 times the product of each two components
    largest = squares.argmax(0)
    quats = np.stack([
        np.choose(largest, (squares[0], wx, wy, wz)), np.choose(largest, (wx, squares[1], xy, xz)),
        np.choose(largest, (wy, xy, squares[2], yz)), np.choose(largest, (wz, xz, yz, squares[3])),
    ])  # fmt: skip
    quats *= np.where(quats[0] < 0, -1, 1) / np.sqrt((quats * quats).sum(0))
    return quats.T

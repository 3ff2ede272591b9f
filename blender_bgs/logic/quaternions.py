"""Quaternions (w, x, y, z) and rotation matrices, many at a time."""

import numpy as np


def multiply_quaternions(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton products [N, 4] of `a` [4] with each of `b` [N, 4], (w, x, y, z): b's rotation comes first."""
    w, x, y, z = a
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return b @ left.T.astype(b.dtype)  # a product of mixed types is several times slower


def quaternion_matrices(quats: np.ndarray) -> np.ndarray:
    """Rotation matrices [N, 3, 3] of quaternions [N, 4] of any length."""
    w, x, y, z = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).T
    return np.stack(
        [
            np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], 1),
            np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], 1),
            np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], 1),
        ],
        1,
    )


def matrix_quaternion(matrix: np.ndarray) -> np.ndarray:
    """The unit quaternion [4], (w, x, y, z), of one rotation matrix [3, 3]."""
    return matrices_quaternions(matrix[None])[0]


def matrices_quaternions(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions [N, 4], (w, x, y, z), w >= 0, of rotation matrices [N, 3, 3].

    Shepperd 1978: the largest of w², x², y² and z² is computed first, and the others from it, so that no digit is lost.
    """
    m = matrices
    a, b, c = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    squares = np.stack([1 + a + b + c, 1 + a - b - c, 1 - a + b - c, 1 - a - b + c], 1)  # 4 w², 4 x², 4 y², 4 z²
    products = np.empty((len(m), 4, 4))  # 4 times the product of each two components
    products[:, range(4), range(4)] = squares
    for i, j, value in (
        (0, 1, m[:, 2, 1] - m[:, 1, 2]), (0, 2, m[:, 0, 2] - m[:, 2, 0]), (0, 3, m[:, 1, 0] - m[:, 0, 1]),
        (1, 2, m[:, 1, 0] + m[:, 0, 1]), (1, 3, m[:, 0, 2] + m[:, 2, 0]), (2, 3, m[:, 2, 1] + m[:, 1, 2]),
    ):  # fmt: skip
        products[:, i, j] = products[:, j, i] = value
    quats = products[np.arange(len(m)), squares.argmax(1)]
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    return quats * np.where(quats[:, :1] < 0, -1, 1)

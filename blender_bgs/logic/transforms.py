"""Applies object transforms to splat rows: to positions, rotations, scales, spherical harmonics and normals."""

import numpy as np

from .harmonics import rotation_matrix

UP_AXES = ("NEG_Y", "Z", "Y")
# Rotations that bring the named axis of the file to Blender's +Z; the camera's forward (+Z of a capture) becomes +Y.
_UP_ROTATIONS = {
    "NEG_Y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "Y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "Z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}
LARGEST_LOG = 88.0  # of a scale; its exponential still fits float32
IDENTITY_TOLERANCE = 1e-6  # relative; rounding error of float32 object matrices that are multiplied and inverted


def up_matrix(up_axis: str) -> np.ndarray:
    """The matrix [4, 4] from file space to Blender's Z-up space.

    `up_axis` is NEG_Y (captures, where y points down), Z or Y.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = _UP_ROTATIONS[up_axis]
    return matrix


def change_since_import(world: np.ndarray, imported: np.ndarray) -> np.ndarray | None:
    """The transform of an object since its import, [4, 4] in file space, or None if it did not change.

    `world` and `imported` are the object-to-world matrices [4, 4] now and at import.
    """
    change = np.linalg.inv(imported) @ world
    # The tolerance of a translation is relative to its length, because scenes have different units.
    size = max(1.0, float(np.abs(change[:3, 3]).max()), float(np.abs(imported[:3, 3]).max()))
    close = np.abs(change[:3, :3] - np.eye(3)).max() < IDENTITY_TOLERANCE
    return None if close and np.abs(change[:3, 3]).max() < IDENTITY_TOLERANCE * size else change


def moved_origin(matrix: np.ndarray, offset: tuple[float, float, float]) -> np.ndarray:
    """The transform `matrix` [4, 4] of an object's space as one of the file's, whose origin is at -`offset`."""
    there, back = np.eye(4), np.eye(4)
    there[:3, 3], back[:3, 3] = offset, np.negative(offset)
    return there @ matrix @ back


def transform_rows(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Copies of structured splat rows with the transform `matrix` [4, 4] baked into them.

    A rotation with uniform scale multiplies quaternions and adds to log scales. Non-uniform scale, shear and mirroring
    use the eigenvectors of the covariance A S A^T. Spherical harmonics and normals follow the rotation nearest to A
    (its polar part). Rows without a usable shape (a quaternion of length 0, a value that is not finite) keep it.
    """
    out = rows.copy()
    linear = np.asarray(matrix[:3, :3], np.float64)
    points = _stack(rows, ("x", "y", "z")) @ linear.T + matrix[:3, 3]
    _unstack(out, ("x", "y", "z"), points)
    u, singular, vt = np.linalg.svd(linear)
    turn = u @ vt
    scale_names, rot_names = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3")
    logs, quats = _stack(rows, scale_names), _stack(rows, rot_names)
    if singular.max() - singular.min() <= 1e-6 * singular.max() and np.linalg.det(turn) > 0:
        if np.abs(turn - np.eye(3)).max() > IDENTITY_TOLERANCE:
            _unstack(out, rot_names, multiply_quaternions(matrix_quaternion(turn), quats))
        if abs(singular.mean() - 1) > IDENTITY_TOLERANCE:
            _unstack(out, scale_names, logs + np.log(singular.mean()))
    else:
        usable = _usable_shapes(logs, quats)
        logs[usable], quats[usable] = _transform_shapes(logs[usable], quats[usable], linear)
        _unstack(out, scale_names, logs)
        _unstack(out, rot_names, quats)
    if np.abs(turn - np.eye(3)).max() > IDENTITY_TOLERANCE:
        _turn_colors(rows, out, turn)
        normal_names = ("nx", "ny", "nz")
        if all(name in (rows.dtype.names or ()) for name in normal_names):
            _unstack(out, normal_names, _stack(rows, normal_names) @ turn.T)
    return out


def _turn_colors(rows: np.ndarray, out: np.ndarray, turn: np.ndarray) -> None:
    rest = sum(name.startswith("f_rest_") for name in rows.dtype.names or ()) // 3
    if not rest:
        return
    matrix = rotation_matrix(turn, rest + 1)[1:, 1:]
    for channel in range(3):
        names = tuple(f"f_rest_{channel * rest + k}" for k in range(rest))
        _unstack(out, names, _stack(rows, names) @ matrix.T)


def _usable_shapes(logs: np.ndarray, quats: np.ndarray) -> np.ndarray:
    """Rows whose shape is a Gaussian, bool [N]. A logarithm of -inf is one: a scale of 0."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(quats, axis=1)
        return np.isfinite(lengths) & (lengths > 0) & (logs < LARGEST_LOG).all(1)


def _transform_shapes(logs: np.ndarray, quats: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    axes = linear @ (quaternion_matrices(quats) * np.exp(logs)[:, None, :])
    # The SVD of the transformed axes gives the covariance's eigenvectors without squaring the condition number.
    u, singular, _ = np.linalg.svd(axes)
    u[np.linalg.det(u) < 0, :, 2] *= -1
    return np.log(np.maximum(singular, np.finfo(np.float32).tiny)), matrices_quaternions(u)


def multiply_quaternions(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton products [N, 4] of `a` [4] with each of `b` [N, 4], (w, x, y, z): b's rotation comes first."""
    w, x, y, z = a
    left = np.array([[w, -x, -y, -z], [x, w, -z, y], [y, z, w, -x], [z, -y, x, w]])
    return b @ left.T


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
    """Unit quaternions [N, 4], (w, x, y, z), of rotation matrices [N, 3, 3].

    Bar-Itzhack 2000: the quaternion is the eigenvector of a 4 x 4 matrix with the largest eigenvalue.
    """
    m = matrices
    k = np.empty((len(m), 4, 4))
    trace = m[:, 0, 0] + m[:, 1, 1] + m[:, 2, 2]
    k[:, 0, 0] = trace
    vector = np.stack([m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]], 1)
    k[:, 0, 1:] = k[:, 1:, 0] = vector
    k[:, 1:, 1:] = m + m.transpose(0, 2, 1) - trace[:, None, None] * np.eye(3)
    quats = np.linalg.eigh(k)[1][:, :, -1]
    return quats * np.where(quats[:, :1] < 0, -1, 1)


def _stack(rows: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    return np.stack([rows[name] for name in names], axis=1).astype(np.float64)


def _unstack(rows: np.ndarray, names: tuple[str, ...], values: np.ndarray) -> None:
    for k, name in enumerate(names):
        rows[name] = values[:, k]

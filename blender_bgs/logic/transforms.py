"""Applies affine maps to splats: to positions, shapes (rotations and scales), spherical harmonics and normals.

`Change` says what a map does to each of them. `transform_rows` applies it to PLY rows, `logic.following` to attributes.
"""

from dataclasses import dataclass

import numpy as np
from bgs_engine.core.harmonics import rotation_matrix
from bgs_engine.core.principal_axes import principal_axes
from bgs_engine.core.quaternions import column_quaternions, matrix_quaternion, multiply_quaternions, quaternion_columns

UP_AXES = ("NEG_Y", "Z", "Y")
# Rotations that bring the named axis of the file to Blender's +Z; the camera's forward (+Z of a capture) becomes +Y.
_UP_ROTATIONS = {
    "NEG_Y": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "Y": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    "Z": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
}
IDENTITY_TOLERANCE = 1e-6  # relative; rounding error of float32 object matrices that are multiplied and inverted
FLAT = 1e-6  # a map that shrinks one direction this much more than another leaves no shape in float32
TINY_SCALE = 1e-6  # scene units; replaces a scale that is not finite, so that nothing divides by zero
CHUNK = 1 << 15  # rows that are computed at a time, so that the intermediate arrays stay in the processor's cache


def up_matrix(up_axis: str) -> np.ndarray:
    """The matrix [4, 4] from file space to Blender's Z-up space.

    `up_axis` is NEG_Y (captures, where y points down), Z or Y.
    """
    matrix = np.eye(4)
    matrix[:3, :3] = _UP_ROTATIONS[up_axis]
    return matrix


def change_since_import(world: np.ndarray, imported: np.ndarray, reach: float = 1.0) -> np.ndarray | None:
    """The transform of an object since its import, [4, 4] in file space, or None if it did not change.

    `world` and `imported` are the object-to-world matrices [4, 4] now and at import. `reach` is the largest number that
    was added in them and has cancelled out since.
    """
    if is_flat(imported):  # it has no inverse
        if np.allclose(world, imported, rtol=IDENTITY_TOLERANCE):
            return None
        change = np.linalg.pinv(imported) @ world
    else:
        change = np.linalg.inv(imported) @ world
    # The tolerance of a translation is relative to its length, because scenes have different units.
    size = max(1.0, reach, float(np.abs(change[:3, 3]).max()), float(np.abs(imported[:3, 3]).max()))
    close = np.abs(change[:3, :3] - np.eye(3)).max() < IDENTITY_TOLERANCE
    return None if close and np.abs(change[:3, 3]).max() < IDENTITY_TOLERANCE * size else change


def moved_origin(matrix: np.ndarray, offset: tuple[float, float, float]) -> np.ndarray:
    """The transform `matrix` [4, 4] of an object's space as one of the file's, whose origin is at -`offset`."""
    there, back = np.eye(4), np.eye(4)
    there[:3, 3], back[:3, 3] = offset, np.negative(offset)
    return there @ matrix @ back


def is_flat(matrix: np.ndarray) -> bool:
    """Whether a map [4, 4] squeezes space into a plane, a line or a point, or is not finite. No shape can follow it."""
    if not np.isfinite(matrix).all():
        return True
    singular = np.linalg.svd(np.asarray(matrix, np.float64)[:3, :3], compute_uv=False)
    return bool(singular[2] <= FLAT * singular[0])


def polar(linear: np.ndarray) -> np.ndarray:
    """The orthogonal matrix [3, 3] nearest to a matrix [3, 3]: its rotation, or a reflection if it mirrors."""
    u, _, vt = np.linalg.svd(linear)
    return np.asarray(u @ vt)


@dataclass(frozen=True)
class Change:
    """What an affine map does to Gaussians.

    `linear` [3, 3] changes covariances to A S Aᵀ, and `rotation` [3, 3] is its polar part. `even` is the factor if the
    map is a rotation with uniform scale, else None. Spherical harmonics and normals follow the orthogonal matrix `turn`
    [3, 3]. It is a reflection if the map mirrors.
    """

    linear: np.ndarray
    rotation: np.ndarray
    even: float | None
    turn: np.ndarray

    @classmethod
    def of(cls, matrix: np.ndarray, turn: np.ndarray | None = None) -> "Change":
        """The change by a map [4, 4] that `is_flat` does not refuse. Without `turn`, colours follow the polar part."""
        linear = np.array(matrix, np.float64)[:3, :3]
        singular, rotation = np.linalg.svd(linear, compute_uv=False), polar(linear)
        is_even = singular.max() - singular.min() <= 1e-6 * singular.max() and np.linalg.det(rotation) > 0
        even = float(singular.mean()) if is_even else None
        return cls(linear, rotation, even, rotation if turn is None else turn)

    @property
    def turns_colors(self) -> bool:
        """Whether spherical harmonics and normals change."""
        return _differs(self.turn)

    @property
    def keeps_shapes(self) -> bool:
        """Whether rotations and scales stay the same: the map moves only."""
        return self.even is not None and abs(self.even - 1) <= IDENTITY_TOLERANCE and not _differs(self.rotation)

    def shapes(self, logs: np.ndarray, quats: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        """The logarithmic scales [N, 3] and quaternions [N, 4] after the map; None for what does not change.

        A rotation with uniform scale multiplies quaternions and adds to log scales. Uneven scale, shear and mirroring
        use the principal axes of the transformed ellipsoid. `logs` and `quats` have to be finite, `quats` not 0.
        """
        if self.even is not None:
            same_size = abs(self.even - 1) <= IDENTITY_TOLERANCE
            turned = _differs(self.rotation)
            with np.errstate(invalid="ignore"):  # quaternions that are not finite
                new = multiply_quaternions(matrix_quaternion(self.rotation), quats) if turned else None
            return None if same_size else logs + np.log(self.even), new
        new_logs, new_quats = np.empty((len(logs), 3), np.float32), np.empty((len(quats), 4), np.float32)
        for start in range(0, len(logs), CHUNK):
            rows = slice(start, start + CHUNK)
            scales, axes = np.exp(logs[rows].T.astype(np.float64)), quaternion_columns(quats[rows])
            columns = [self.linear @ (axis * scale) for axis, scale in zip(axes, scales, strict=True)]
            lengths, directions = principal_axes(columns)
            new_logs[rows] = np.log(np.maximum(lengths, np.finfo(np.float32).tiny)).T
            new_quats[rows] = column_quaternions(directions)
        return new_logs, new_quats

    def harmonics(self, rest: int) -> np.ndarray:
        """The matrix [rest, rest] for a channel's coefficients above the constant one; `rest` is 3, 8, 15 or 24."""
        return rotation_matrix(self.turn, rest + 1)[1:, 1:]


def _differs(orthogonal: np.ndarray) -> bool:
    """Whether a matrix [3, 3] differs from the identity by more than rounding."""
    return bool(np.abs(orthogonal - np.eye(3)).max() > IDENTITY_TOLERANCE)


def transform_points(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Positions [N, 3] after the map [4, 4], float64."""
    matrix = np.asarray(matrix, np.float64)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def transform_rows(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Copies of structured splat rows with the map `matrix` [4, 4] baked into them. See `Change`.

    A scale or rotation that no renderer can use (not finite, or a zero quaternion) stays as it is under a rotation with
    uniform scale. Other maps replace it by what is shown instead of it, a tiny ball.
    """
    out = rows.copy()
    _unstack(out, ("x", "y", "z"), transform_points(_stack(rows, ("x", "y", "z")), matrix))
    change = Change.of(matrix)
    scale_names, rot_names = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3")
    if not change.keeps_shapes:
        logs, quats = _stack(rows, scale_names), _stack(rows, rot_names)
        if change.even is None:
            logs, quats = usable_shapes(logs, quats)
        new_logs, new_quats = change.shapes(logs, quats)
        if new_logs is not None:
            _unstack(out, scale_names, new_logs)
        if new_quats is not None:
            _unstack(out, rot_names, new_quats)
    if change.turns_colors:
        _turn_colors(rows, out, change)
        normal_names = ("nx", "ny", "nz")
        if all(name in (rows.dtype.names or ()) for name in normal_names):
            normals = _stack(rows, normal_names)
            if normals.any():
                _unstack(out, normal_names, normals @ change.turn.T)
    return out


def usable_shapes(logs: np.ndarray, quats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithmic scales [N, 3] and quaternions [N, 4] that are finite and not 0.

    They replace bad values as the import does (`logic.attributes`): a tiny scale, and no rotation.
    """
    bad_logs = ~np.isfinite(logs) | (logs > np.log(np.finfo(np.float32).max))
    flat = np.isneginf(logs)
    length = np.einsum("ij,ij->i", quats, quats)
    bad_quats = ~np.isfinite(length) | (length == 0)
    if bad_logs.any():
        logs = np.where(bad_logs, np.where(flat, np.log(np.finfo(np.float32).tiny), np.log(TINY_SCALE)), logs)
    if bad_quats.any():
        quats = np.where(bad_quats[:, None], np.array((1.0, 0.0, 0.0, 0.0)), quats)
    return logs, quats


def _turn_colors(rows: np.ndarray, out: np.ndarray, change: Change) -> None:
    rest = sum(name.startswith("f_rest_") for name in rows.dtype.names or ()) // 3
    if not rest:
        return
    matrix = change.harmonics(rest)
    for channel in range(3):
        names = tuple(f"f_rest_{channel * rest + k}" for k in range(rest))
        _unstack(out, names, _stack(rows, names) @ matrix.T)


def _stack(rows: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    return np.stack([rows[name] for name in names], axis=1).astype(np.float64)


def _unstack(rows: np.ndarray, names: tuple[str, ...], values: np.ndarray) -> None:
    for k, name in enumerate(names):
        rows[name] = values[:, k]

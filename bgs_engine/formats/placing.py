"""Moves Gaussians by a matrix: the transforms of scene nodes, on positions, shapes and colours alike."""

from dataclasses import replace

import numpy as np

from bgs_engine.core.harmonics import rotation_matrix
from bgs_engine.core.principal_axes import principal_axes
from bgs_engine.core.quaternions import column_quaternions, matrix_quaternion, multiply_quaternions, quaternion_columns
from bgs_engine.formats.activation import lengths_of, logarithms_of
from bgs_engine.formats.axes import quat_signs, sh_signs
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.io.ply import FAR, FARTHEST

BLOCK = 1 << 16  # rows at a time
_SAME = 1e-6  # relative; float32 rotations of other programs are as exact


def offset_of(translation: np.ndarray) -> np.ndarray:
    """The offset of a splat whose origin lies at `translation` [3]: whole numbers, 0 on axes on which it is near."""
    far = (np.abs(translation) >= FAR) & (np.abs(translation) < FARTHEST)
    return np.where(far, np.round(translation), 0.0)


def placed(splat: RawSplat, rows: list[slice], matrices: list[np.ndarray], turn: np.ndarray) -> RawSplat:
    """The Gaussians moved, in place, by the transforms of their nodes, and then by `turn`, which changes signs alone.

    Args:
        splat: as the nodes have the Gaussians.
        rows: the Gaussians of each node, in order.
        matrices: from each node to the scene, float64 [4, 4].
        turn: from the axes of the scene to those of a PLY, [4, 4].

    Raises:
        ValueError: a transform that flattens space.
    """
    offset = offset_of(matrices[0][:3, 3])
    joined: list[tuple[np.ndarray, slice]] = []  # neighbours with equal matrices, such as labels by the thousand
    for matrix, own in zip(matrices, rows, strict=True):
        if joined and np.array_equal(joined[-1][0], matrix):
            own = slice(joined.pop()[1].start, own.stop)
        joined.append((matrix, own))
    for matrix, own in joined:
        near = matrix.copy()
        near[:3, 3] -= offset
        move(splat, own, turn @ near)
    return replace(splat, offset=turn[:3, :3] @ offset + 0.0)  # + 0: no -0


def move(splat: RawSplat, rows: slice, matrix: np.ndarray) -> None:
    """Move Gaussians of a splat in place by an affine matrix, float64 [4, 4], without perspective.

    A matrix that only changes signs changes no other bit. One with unequal scales or shear changes shape and rotation,
    and colours turn with the nearest rotation.
    """
    linear, shift = matrix[:3, :3], matrix[:3, 3]
    if not np.isfinite(matrix).all() or np.linalg.matrix_rank(linear) < 3:
        raise ValueError("a transform without size")
    signs = np.diag(linear)
    only_signs = np.array_equal(np.diag(signs), linear) and (np.abs(signs) == 1).all()
    with np.errstate(all="ignore"):  # odd values of a damaged file stay odd
        for start in range(rows.start, rows.stop, BLOCK):
            block = slice(start, min(start + BLOCK, rows.stop))
            if only_signs:
                _change_signs(splat, block, signs)
            else:
                _turn(splat, block, linear)
            if shift.any():
                splat.means[block] = splat.means[block] + shift


def _change_signs(splat: RawSplat, rows: slice, signs: np.ndarray) -> None:
    if (signs == 1).all():
        return
    x, y, z = signs.tolist()
    splat.means[rows] *= signs.astype(np.float32)
    splat.quats[rows] *= quat_signs((x, y, z))
    splat.sh[rows] *= sh_signs((x, y, z), splat.sh.shape[1])[:, None]


def _turn(splat: RawSplat, rows: slice, linear: np.ndarray) -> None:
    splat.means[rows] = splat.means[rows] @ linear.T
    left, stretch, right = np.linalg.svd(linear)
    rotation = left @ right  # the nearest one; a reflection stays one
    if stretch[0] - stretch[2] < _SAME * stretch[0]:
        proper = rotation * np.sign(np.linalg.det(rotation))  # an ellipsoid looks the same from the other side
        splat.quats[rows] = multiply_quaternions(matrix_quaternion(proper), splat.quats[rows])
        splat.scales[rows] += np.float32(np.log(stretch.mean()))
    else:
        lengths = lengths_of(splat.scales[rows]).astype(np.float64)
        columns = [linear @ column * lengths[:, k] for k, column in enumerate(quaternion_columns(splat.quats[rows]))]
        sizes, axes = principal_axes(columns)
        splat.quats[rows] = column_quaternions(axes)
        splat.scales[rows] = logarithms_of(sizes.T)
    if splat.sh.shape[1] > 1:
        splat.sh[rows] = rotation_matrix(rotation, splat.sh.shape[1]).astype(np.float32) @ splat.sh[rows]

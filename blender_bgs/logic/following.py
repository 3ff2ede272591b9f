"""Lets the attributes of Gaussians follow an affine map of their points, so that shapes and colours stay true."""

import numpy as np

from . import attributes as at
from .attribute_rows import Getter, raw_rotation, raw_scale
from .transforms import CHUNK, Change, transform_points, usable_shapes

NORMALS = ("nx", "ny", "nz")


def followed(
    get: Getter, matrix: np.ndarray, *, turn: np.ndarray | None = None, points: bool = True
) -> list[at.Column]:
    """The attributes that the map `matrix` [4, 4] changes, with their new values.

    Args:
        get: returns an array of an attribute's values, [N] or [N, width], or None. The array may be changed.
        matrix: a map that `transforms.is_flat` does not refuse.
        turn: the orthogonal matrix [3, 3] that colours and normals follow; None means the map's polar part.
        points: whether the positions have to be transformed; False if they were already.
    """
    out: list[at.Column] = []
    position = get(at.POSITION)
    if points and position is not None:
        moved = transform_points(position.astype(np.float64), matrix).astype(np.float32)
        out.append(at.Column(at.POSITION, "FLOAT_VECTOR", moved))
    change = Change.of(matrix, turn)
    if not change.keeps_shapes:
        out += _shapes(get, change)
    if change.turns_colors:
        out += _colors(get, change)
        out += _normals(get, change)
    return out


def _shapes(get: Getter, change: Change) -> list[at.Column]:
    logs, quats = raw_scale(get), raw_rotation(get)
    if logs is None or quats is None:
        return []
    if change.even is None:
        logs, quats = usable_shapes(logs, quats)
    new_logs, new_quats = change.shapes(logs, quats)
    out = []
    if new_logs is not None:
        file_scale = new_logs.astype(np.float32)
        out.append(at.Column(at.RAW_SCALE, "FLOAT_VECTOR", file_scale))
        out.append(at.Column(at.SCALE, "FLOAT_VECTOR", at.activate_scale(file_scale)))
    if new_quats is not None:
        file_rotation = new_quats.astype(np.float32)
        out.append(at.Column(at.RAW_ROTATION, "FLOAT_COLOR", file_rotation))
        out.append(at.Column(at.ROTATION, "QUATERNION", at.activate_rotation(file_rotation)))
    return out


def _colors(get: Getter, change: Change) -> list[at.Column]:
    """The coefficients that depend on the direction. Bands do not mix, so a band's coefficients change together."""
    rest = next((n for n in at.RESTS if get(at.harmonic(n - 1)) is not None), 0)
    matrix = change.harmonics(rest).astype(np.float32)
    out = []
    for band in (slice(0, 3), slice(3, 8), slice(8, 15), slice(15, 24)):
        if band.stop > rest:
            break
        names = [at.harmonic(k) for k in range(band.start, band.stop)]
        found = [get(name) for name in names]
        count = next(len(values) for values in found if values is not None)
        values_of = [np.zeros((count, 3), np.float32) if values is None else values for values in found]
        for start in range(0, count, CHUNK):
            rows = slice(start, start + CHUNK)
            table = np.stack([values[rows] for values in values_of])  # [coefficients, K, 3]
            table = (matrix[band, band] @ table.reshape(len(table), -1)).reshape(table.shape)
            for values, new in zip(values_of, table, strict=True):
                values[rows] = new
        out += [at.Column(name, "FLOAT_VECTOR", values) for name, values in zip(names, values_of, strict=True)]
    return out


def _normals(get: Getter, change: Change) -> list[at.Column]:
    columns = [get(name) for name in NORMALS]
    found = [column for column in columns if column is not None and column.dtype == np.float32]
    if len(found) < 3:
        return []
    normals = np.stack(found, 1)
    if not normals.any():
        return []  # most trainers write zeros
    normals = (normals @ change.turn.T).astype(np.float32)
    return [at.Column(name, "FLOAT", np.ascontiguousarray(normals[:, k])) for k, name in enumerate(NORMALS)]

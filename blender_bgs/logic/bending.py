"""Lets the attributes of Gaussians follow a map that bends space, by its Jacobian at each Gaussian."""

import numpy as np
from bgs_engine.core.errors import InputError
from bgs_engine.core.harmonics import turned_each
from bgs_engine.core.principal_axes import principal_axes
from bgs_engine.core.quaternions import column_quaternions, quaternion_columns

from . import attributes as at
from .attribute_rows import Getter, raw_rotation, raw_scale
from .following import NORMALS
from .transforms import CHUNK, FLAT, usable_shapes


def bent(get: Getter, shifts: np.ndarray, jacobians: np.ndarray) -> list[at.Column]:
    """The attributes that a map changes, with their new values. Rows that it leaves alone keep every bit.

    A Gaussian is small against the bends, so the map is affine there: the covariance S becomes J S Jᵀ, and spherical
    harmonics and normals follow the orthogonal part of J.

    Args:
        get: returns an array of an attribute's values, [N] or [N, width], or None.
        shifts: how far the map moves each Gaussian, [N, 3].
        jacobians: of the map at each Gaussian, [N, 3, 3].

    Raises:
        InputError: the map is flat somewhere, so that no shape could follow.
    """
    position = get(at.POSITION)
    assert position is not None
    out = []
    moved = np.flatnonzero(shifts.any(1))
    if len(moved):
        position = position.copy()
        position[moved] = (position[moved] + shifts[moved]).astype(np.float32)
        out.append(at.Column(at.POSITION, "FLOAT_VECTOR", position))
    rows = np.flatnonzero((jacobians != np.eye(3)).any((1, 2)))
    if not len(rows):
        return out
    linear = jacobians[rows]
    turns = _turns(linear)
    return out + _shapes(get, rows, linear) + _colors(get, rows, turns) + _normals(get, rows, turns)


def _turns(linear: np.ndarray) -> np.ndarray:
    """The orthogonal matrix nearest to each matrix, [N, 3, 3].

    Raises:
        InputError: a matrix is flat.
    """
    out = np.empty_like(linear)
    flat = 0
    for start in range(0, len(linear), CHUNK):
        rows = slice(start, start + CHUNK)
        u, singular, vt = np.linalg.svd(linear[rows])
        flat += int((singular[:, 2] <= FLAT * singular[:, 0]).sum())
        out[rows] = u @ vt
    if flat:
        raise InputError(f"The cage squeezes {flat:,} Gaussians flat.", "Move its points apart there.")
    return out


def _shapes(get: Getter, rows: np.ndarray, linear: np.ndarray) -> list[at.Column]:
    logs, quats = raw_scale(get), raw_rotation(get)
    if logs is None or quats is None:
        return []
    new_logs, new_quats = logs.astype(np.float32), quats.astype(np.float32)
    scale, rotation = at.activate_scale(new_logs), at.activate_rotation(new_quats)
    for start in range(0, len(rows), CHUNK):
        some, matrices = rows[start : start + CHUNK], linear[start : start + CHUNK]
        own_logs, own_quats = usable_shapes(logs[some].astype(np.float64), quats[some].astype(np.float64))
        axes = zip(quaternion_columns(own_quats), np.exp(own_logs.T), strict=True)
        columns = [np.einsum("nij,jn->in", matrices, axis * length) for axis, length in axes]
        lengths, directions = principal_axes(columns)
        new_logs[some] = np.log(np.maximum(lengths, np.finfo(np.float32).tiny)).T
        new_quats[some] = column_quaternions(directions)
    for kept, name in ((scale, at.SCALE), (rotation, at.ROTATION)):
        before = get(name)
        if before is not None:
            kept[:] = before
    scale[rows], rotation[rows] = at.activate_scale(new_logs[rows]), at.activate_rotation(new_quats[rows])
    raw_before = {name: get(name) for name in (at.RAW_SCALE, at.RAW_ROTATION)}
    for name, values in ((at.RAW_SCALE, new_logs), (at.RAW_ROTATION, new_quats)):
        own = raw_before[name]
        if own is not None:
            still = np.ones(len(values), bool)
            still[rows] = False
            values[still] = own[still]
    return [
        at.Column(at.RAW_SCALE, "FLOAT_VECTOR", new_logs),
        at.Column(at.SCALE, "FLOAT_VECTOR", scale),
        at.Column(at.RAW_ROTATION, "FLOAT_COLOR", new_quats),
        at.Column(at.ROTATION, "QUATERNION", rotation),
    ]


def _colors(get: Getter, rows: np.ndarray, turns: np.ndarray) -> list[at.Column]:
    rest = next((n for n in at.RESTS if get(at.harmonic(n - 1)) is not None), 0)
    count = len(get(at.POSITION))  # type: ignore[arg-type]
    found = [get(at.harmonic(k)) for k in range(rest)]
    values = [np.zeros((count, 3), np.float32) if one is None else one.copy() for one in found]
    for start in range(0, len(rows) if rest else 0, CHUNK):
        some = rows[start : start + CHUNK]
        table = np.stack([one[some] for one in values], 1)  # [K, rest, 3]
        table = turned_each(table, turns[start : start + CHUNK])
        for k, one in enumerate(values):
            one[some] = table[:, k]
    return [at.Column(at.harmonic(k), "FLOAT_VECTOR", one) for k, one in enumerate(values)]


def _normals(get: Getter, rows: np.ndarray, turns: np.ndarray) -> list[at.Column]:
    found = [column for column in map(get, NORMALS) if column is not None and column.dtype == np.float32]
    if len(found) < 3 or not any(column.any() for column in found):
        return []
    normals = np.stack(found, 1)
    normals[rows] = np.einsum("nij,nj->ni", turns, normals[rows])
    return [at.Column(name, "FLOAT", np.ascontiguousarray(normals[:, k])) for k, name in enumerate(NORMALS)]

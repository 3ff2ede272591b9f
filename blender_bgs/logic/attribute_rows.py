"""Attributes of a cloud → PLY rows: the inverse of `attributes.columns_of`, byte for byte where nothing was edited."""

from collections.abc import Callable

import numpy as np
from bgs_engine.core.codes import CODE_BYTE_NAMES, CODE_INT_NAME, code_bytes
from bgs_engine.io.gaussians import logit, sigmoid

from .attributes import (
    BASE,
    CODE,
    POSITION,
    RAW_OPACITY,
    RAW_POSITION,
    RAW_ROTATION,
    RAW_SCALE,
    ROTATION,
    SCALE,
    PlyLayout,
    activate_rotation,
    activate_scale,
    clean_position,
    extra_name,
    harmonic,
    unpack_scalar,
)

Getter = Callable[[str], np.ndarray | None]


def rows_from(get: Getter, layout: PlyLayout, count: int) -> np.ndarray:
    """Structured PLY rows [count] from attributes. `get(name)` returns an attribute's values or None.

    Rows that were not edited have the same bytes as in the source file. A property is 0 if the user deleted its
    attribute. The offset of the layout is added to the positions in double precision.
    """
    out = np.zeros(count, layout.dtype)
    standard: dict[str, np.ndarray] = {}

    def spread(names: tuple[str, ...], values: np.ndarray | None) -> None:
        if values is not None:
            table = values.reshape(count, len(names))  # not -1, which no empty array can be reshaped to
            standard.update({name: table[:, k] for k, name in enumerate(names)})

    position, base = get(POSITION), get(BASE)
    spread(("x", "y", "z"), _file_positions(get, layout, position))
    spread(("scale_0", "scale_1", "scale_2"), raw_scale(get))
    spread(("rot_0", "rot_1", "rot_2", "rot_3"), raw_rotation(get))
    if base is not None:
        spread(("f_dc_0", "f_dc_1", "f_dc_2"), base[:, :3])
        spread(("opacity",), _restored(base[:, 3], get(RAW_OPACITY), sigmoid, logit))
    rest = layout.rest
    for k in range(rest):
        names = tuple(f"f_rest_{k + channel * rest}" for channel in range(3))
        spread(names, get(harmonic(k)))
    codes = get(CODE)
    for index, (name, _) in enumerate(layout.properties):
        dtype = out.dtype[name]
        if codes is not None and name in CODE_BYTE_NAMES:
            out[name] = code_bytes(codes)[:, CODE_BYTE_NAMES.index(name)]
        elif codes is not None and name == CODE_INT_NAME and dtype.kind in "iu":
            out[name] = codes if dtype.kind == "i" else codes.view(np.uint32)
        elif name in standard and (dtype.str == "<f4" or name in ("x", "y", "z")):
            out[name] = standard[name]
        else:
            kept = get(extra_name(name, index))
            value = None if kept is None else unpack_scalar(kept, dtype)
            if name in standard:
                value = standard[name] if value is None else np.where(
                    value.astype(np.float32) == standard[name], value, standard[name])  # fmt: skip
            if value is not None:
                out[name] = value
    return out


def _file_positions(get: Getter, layout: PlyLayout, position: np.ndarray | None) -> np.ndarray | None:
    """Positions [N, 3] as the file has them: its own values where the attribute was not edited."""
    offset, raw, kept = np.array(layout.offset), get(RAW_POSITION), []
    moved = position if position is None or not offset.any() else position + offset
    for index, (name, kind) in enumerate(layout.properties):
        if name in ("x", "y", "z"):
            own = None if kind == "<f4" else get(extra_name(name, index))
            axis = "xyz".index(name)
            kept.append((axis, raw[:, axis] if own is None and raw is not None else own, np.dtype(kind)))
    values = [v if v is None or k.str == "<f4" else unpack_scalar(v, k) for _, v, k in sorted(kept, key=lambda e: e[0])]
    if len(values) < 3 or any(v is None for v in values):
        return moved
    own = np.stack([v for v in values if v is not None], 1)
    if position is None or moved is None:
        return own
    with np.errstate(over="ignore", invalid="ignore"):
        same = (clean_position((own - offset).astype(np.float32)) == position).all(1, keepdims=True)
    return np.where(same, own, moved)


def raw_scale(get: Getter) -> np.ndarray | None:
    """Logarithmic scales [N, 3]: the file's where `scale` was not edited. None if both attributes are missing."""
    return _restored(get(SCALE), get(RAW_SCALE), activate_scale, _log)


def raw_rotation(get: Getter) -> np.ndarray | None:
    """Quaternions [N, 4]: the file's where `rotation` was not edited. None if both attributes are missing."""
    return _restored(get(ROTATION), get(RAW_ROTATION), activate_rotation, lambda v: v)


def _restored(
    value: np.ndarray | None,
    raw: np.ndarray | None,
    activate: Callable[[np.ndarray], np.ndarray],
    invert: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray | None:
    """Raw values where the activated ones were not edited, and inverted activated values where they were."""
    if value is None:
        return raw
    if raw is None:
        return invert(value)
    edited = activate(raw) != value
    edited = edited.any(1) if edited.ndim > 1 else edited
    if edited.any():
        raw = raw.copy()
        raw[edited] = invert(value[edited])
    return raw


def _log(scale: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(scale, np.finfo(np.float32).tiny))

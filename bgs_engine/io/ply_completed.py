"""Splats that lack what a 3DGS PLY has: flat Gaussians (2DGS) and plain colours. What they lack is added on reading.

A 2DGS file has two scales (Huang et al., "2D Gaussian Splatting for Geometrically Accurate Radiance Fields", SIGGRAPH
2024): the Gaussians are discs, whose normal is the third axis of their rotation. A file with plain colours has `red
green blue` in place of `f_dc_0..2`, as nerfstudio writes it with `--ply-color-mode rgb`.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

# A disc gets this logarithm as its third scale: e^-20 is 2e-9 units, thinner than a float32 resolves beside any scale
# that can be seen. It is finite, so that maps of the shape have inverses, and SuperSplat cuts logarithms off there too.
FLAT_SCALE = -20.0
SH_C0 = 0.28209479177387814  # 1 / (2 sqrt(pi)), the constant spherical harmonic
COLORS = ("red", "green", "blue")
_BASE = ("f_dc_0", "f_dc_1", "f_dc_2")
_DISC = {"opacity", "scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3"}
_FULL = 2.0  # colours as floats that stay below it are shares of 1, others of 255


def added_names(have: Iterable[str]) -> tuple[str, ...]:
    """The properties that are added to a splat with the properties `have`: none to a 3DGS splat or to no splat."""
    names = set(have)
    if not names >= _DISC:
        return ()
    flat = ("scale_2",) if "scale_2" not in names else ()
    return flat + (_BASE if names.issuperset(COLORS) and names.isdisjoint(_BASE) else ())


def completed(chunks: Iterator[tuple[int, np.ndarray]], count: int, dtype: np.dtype) -> np.ndarray:
    """The rows [count] of type `dtype`, which come as (first row, rows), with `added_names` at the end of each.

    Raises:
        MemoryError: they do not fit into memory.
    """
    added = added_names(dtype.names or ())
    own = [(name, dtype[name].str) for name in dtype.names or ()]
    out = np.empty(count, np.dtype(own + [(name, "<f4") for name in added]))
    packed = out.view(np.uint8).reshape(count, -1)
    for start, rows in chunks:
        flat = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
        packed[start : start + len(rows), : dtype.itemsize] = flat
    for name in added:
        out[name] = _value(out, name)
    return out


def still_added(rows: np.ndarray, added: Sequence[str]) -> tuple[str, ...]:
    """Those of the `added` properties that say no more than the other properties of the rows. A file can lack them.

    Of discs that were scaled evenly, the third scale is the same for all. It says something where it is not the
    smallest one.
    """
    names, found = set(rows.dtype.names or ()), []
    if "scale_2" in added and "scale_2" in names and len(rows):
        thin = rows["scale_2"]
        if (thin == thin[0]).all() and (thin <= np.fmin(rows["scale_0"], rows["scale_1"])).all():
            found.append("scale_2")
    colored = set(_BASE) <= names.intersection(added) and names.issuperset(COLORS)
    if colored and all(np.array_equal(rows[name], _value(rows, name), equal_nan=True) for name in _BASE):
        found += _BASE
    return tuple(found)


def without(dtype: np.dtype, names: Sequence[str]) -> np.dtype:
    """The packed row type without these properties."""
    return np.dtype([(name, dtype[name].str) for name in dtype.names or () if name not in names])


def _value(rows: np.ndarray, name: str) -> np.ndarray:
    """The values float32 [N] of an added property, which the other properties say."""
    if name == "scale_2":
        return np.full(len(rows), FLAT_SCALE, np.float32)
    color = rows[COLORS[_BASE.index(name)]]
    if color.dtype.kind == "f":
        most = max(float(np.nanmax(np.where(np.isfinite(c), c, 0), initial=0)) for c in (rows[c] for c in COLORS))
        full = 1.0 if most < _FULL else 255.0
    else:
        full = float(np.iinfo(color.dtype).max) if color.dtype.kind == "u" and color.dtype.itemsize < 4 else 255.0
    return ((color.astype(np.float64) / full - 0.5) / SH_C0).astype(np.float32)

"""Small splat files for the tests of readers and writers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bgs_engine.io.ply import SPLAT_PROPERTIES, SplatPly, read_ply

NORMALS = ("nx", "ny", "nz")


def splat_dtype(rest: int = 45, extra: Sequence[tuple[str, str]] = ()) -> np.dtype:
    """A trainer's row: position, normals, colour, the rest of the harmonics, opacity, scale, rotation, extras."""
    names = [*SPLAT_PROPERTIES[:3], *NORMALS, *SPLAT_PROPERTIES[3:6], *(f"f_rest_{i}" for i in range(rest))]
    return np.dtype([(name, "<f4") for name in (*names, *SPLAT_PROPERTIES[6:])] + list(extra))


def splat_rows(count: int, dtype: np.dtype, seed: int = 0) -> np.ndarray:
    """Random rows, every property filled with values of its own type."""
    rng = np.random.default_rng(seed)
    rows = np.empty(count, dtype)
    for name in dtype.names or ():
        kind = dtype[name]
        if kind.kind == "f":
            rows[name] = rng.normal(size=count)
        else:
            limits = np.iinfo(kind)
            rows[name] = rng.integers(limits.min, limits.max, count, dtype=kind, endpoint=True)
    return rows


def ply_bytes(rows: np.ndarray, comments: Sequence[str] = (), promised: int | None = None) -> bytes:
    """A binary little-endian PLY, made apart from our own writer."""
    kinds = {"f4": "float", "f8": "double", "u1": "uchar", "i4": "int", "u4": "uint", "i2": "short", "u2": "ushort"}
    lines = ["ply", "format binary_little_endian 1.0", *comments, f"element vertex {promised or len(rows)}"]
    lines += [f"property {kinds[rows.dtype[name].str[1:]]} {name}" for name in rows.dtype.names or ()]
    return "\n".join([*lines, "end_header\n"]).encode() + rows.tobytes()


def write_splat(path: Path, rows: np.ndarray, comments: Sequence[str] = ()) -> SplatPly:
    """Write the rows and open them."""
    path.write_bytes(ply_bytes(rows, comments))
    return read_ply(path)


def all_rows(ply: SplatPly) -> np.ndarray:
    """Every row, structured."""
    return np.concatenate([np.array(rows) for _, rows in ply.chunks()])

"""Types of the rows of splat PLYs: the source's own type with more properties, the plain type, and conversion."""

from collections.abc import Iterator, Sequence

import numpy as np

from bgs_engine.io.ply import CHUNK_ROWS, SPLAT_PROPERTIES, SplatPly


def row_dtype(ply: SplatPly, extra: Sequence[tuple[str, str]]) -> np.dtype:
    """The source's row type with further (name, dtype) properties at its end. Names that exist are not repeated.

    Properties that the file lacks are left out.
    """
    own = [(name, ply.dtype[name].str) for name in ply.names if name not in ply.added]
    return np.dtype(own + [(name, kind) for name, kind in extra if name not in ply.names])


def plain_dtype() -> np.dtype:
    """The 62 floats of the first 3DGS release, which viewers with a fixed row type expect."""
    rest = [f"f_rest_{i}" for i in range(45)]
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", *rest, *SPLAT_PROPERTIES[6:]]
    return np.dtype([(name, "<f4") for name in names])


def chunks_of(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Row numbers int [K], at most `CHUNK_ROWS` at a time."""
    for start in range(0, len(rows), CHUNK_ROWS):
        yield rows[start : start + CHUNK_ROWS]


def convert_rows(rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The rows in another type. Shared properties are copied, and missing ones become 0.

    f_rest is channel-major: all of red, then green, then blue. A change of degree moves the start of each channel.
    """
    names = rows.dtype.names or ()
    out = np.zeros(len(rows), dtype)
    for name in dtype.names or ():
        if name in names and not name.startswith("f_rest_"):
            out[name] = rows[name]
    have = sum(name.startswith("f_rest_") for name in names) // 3
    want = sum(name.startswith("f_rest_") for name in dtype.names or ()) // 3
    for channel in range(3):
        for k in range(min(have, want)):
            out[f"f_rest_{channel * want + k}"] = rows[f"f_rest_{channel * have + k}"]
    return out

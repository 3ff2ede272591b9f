"""A small made splat with known labels, written without any library, for every kind of test of the extension."""

from pathlib import Path

import numpy as np

LEVEL_BITS = (12, 10, 10)
NAMES = ("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2")
TAIL = ("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3")
COLORS = ((0.9, 0.15, 0.1), (0.1, 0.7, 0.2), (0.15, 0.3, 0.95), (0.95, 0.8, 0.1))
_LABELS = (17, 3000, 900, 4095)  # any numbers will do; the last has the sign bit of the code set


def made_splat(per_object: int = 1500, rest: int = 45, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(structured rows, codes int32): four coloured balls in a square, each of two halves, each of two quarters.

    y points down, as in captures. Properties are float32 in the usual order, plus `extra` (uchar) and `time` (double).
    """
    rng = np.random.default_rng(seed)
    count = 4 * per_object
    fields = [*NAMES, *(f"f_rest_{i}" for i in range(rest)), *TAIL]
    rows = np.zeros(count, np.dtype([(n, "<f4") for n in fields] + [("extra", "u1"), ("time", "<f8")]))
    ball = np.repeat(np.arange(4), per_object)
    centers = np.array([(-2, 0, -2), (2, 0, -2), (-2, 0, 2), (2, 0, 2)], np.float32)
    offset = rng.normal(size=(count, 3))
    offset *= (rng.random((count, 1)) ** (1 / 3)) / np.linalg.norm(offset, axis=1, keepdims=True)
    position = centers[ball] + offset
    for axis, name in enumerate("xyz"):
        rows[name] = position[:, axis]
    color = np.array(COLORS)[ball] * rng.uniform(0.9, 1.0, (count, 1))
    for channel in range(3):
        rows[f"f_dc_{channel}"] = (color[:, channel] - 0.5) / 0.28209479177387814
    for i in range(rest):
        rows[f"f_rest_{i}"] = rng.normal(size=count) * 0.05
    rows["opacity"] = rng.uniform(1, 5, count)
    for axis in range(3):
        rows[f"scale_{axis}"] = rng.uniform(-3.6, -2.8, count)
    for k in range(4):
        rows[f"rot_{k}"] = rng.normal(size=count)
    rows["extra"] = rng.integers(0, 256, count)
    rows["time"] = rng.random(count)
    half = (offset[:, 1] > 0).astype(np.uint32)
    quarter = (offset[:, 0] > 0).astype(np.uint32)
    codes = (np.array(_LABELS, np.uint32)[ball] << 20) | ((half * 1000 + 1) << 10) | (quarter * 700 + 2)
    return rows, codes.astype(np.uint32).view(np.int32)


def with_codes(rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The rows with seg_0..seg_3 appended."""
    kinds = [(n, rows.dtype[n].str) for n in rows.dtype.names or ()]
    out = np.zeros(len(rows), np.dtype([*kinds, *((f"seg_{k}", "u1") for k in range(4))]))
    for name, _ in kinds:
        out[name] = rows[name]
    for k in range(4):
        out[f"seg_{k}"] = codes.view(np.uint32) >> (8 * k) & 255
    return out


def write(path: Path, rows: np.ndarray) -> Path:
    """Binary little-endian PLY with a comment, as trainers write it."""
    kinds = {"<f4": "float", "<f8": "double", "|u1": "uchar"}
    lines = ["ply", "format binary_little_endian 1.0", "comment made for a test", f"element vertex {len(rows)}"]
    lines += [f"property {kinds[rows.dtype[n].str]} {n}" for n in rows.dtype.names or ()]
    path.write_bytes(("\n".join([*lines, "end_header"]) + "\n").encode() + rows.tobytes())
    return path


def body(path: Path) -> bytes:
    """What follows the header."""
    data = path.read_bytes()
    return data[data.index(b"end_header\n") + 11 :]

"""The format `.splat` of antimatter15's viewer: 32 bytes a Gaussian, without a header and without harmonics.

Each Gaussian has three float32 of position, three float32 of scale (not its logarithm), four bytes of colour and
opacity, and four bytes of the quaternion (w, x, y, z), which are 128 more than 128 times its components.

Format: https://github.com/antimatter15/splat (convert.py)
"""

from pathlib import Path

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.files import writing
from bgs_engine.core.input_files import open_buffered
from bgs_engine.formats.format import Format
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.io.gaussians import SH_C0, sigmoid
from bgs_engine.io.ply import SplatPly
from bgs_engine.io.ply_completed import FLAT_SCALE

BLOCK = 1 << 14  # Gaussians that are converted at a time, so that the arrays stay in the processor's cache
LARGEST_SCALE = 80.0  # a logarithm; e^80 is near the end of float32
_ROW = np.dtype([("place", "<f4", 3), ("scale", "<f4", 3), ("color", "u1", 4), ("quat", "u1", 4)])
_AGAIN = "Copy or export the file again."


def logits_of_bytes() -> np.ndarray:
    """The logit of each opacity byte, float32 [256]. Those of 0 and 255 are finite and round to the same byte."""
    shares = (np.arange(256) / 255).clip(1e-6, 1 - 1e-6)
    return np.log(shares / (1 - shares)).astype(np.float32)


def harmonics_of_bytes() -> np.ndarray:
    """The constant coefficient of each colour byte, float32 [256]."""
    return ((np.arange(256) / 255 - 0.5) / SH_C0).astype(np.float32)


def logarithms(scales: np.ndarray) -> np.ndarray:
    """Logarithms of scales of any shape, float32. A scale of 0 or less counts as very thin; NaN stays."""
    with np.errstate(invalid="ignore"):
        return np.log(np.maximum(scales, np.exp(FLAT_SCALE), dtype=np.float64)).astype(np.float32)


def read_splat(path: Path) -> RawSplat:
    """The splat of a `.splat` file.

    Raises:
        InputError: it cannot be read, is empty, or its size is not that of whole Gaussians.
    """
    path = Path(path)
    with open_buffered(path, "Check the path and its permissions.") as stream:
        try:
            data = stream.read()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the disk.") from None
        except MemoryError:
            raise InputError(f"{path.name} does not fit into memory.", "Close other programs.") from None
    if not data:
        raise InputError(f"{path.name} is empty.", _AGAIN)
    if len(data) % _ROW.itemsize:
        raise InputError(
            f"{path.name} is cut short, or no .splat file: its {len(data):,} bytes are no multiple of "
            f"{_ROW.itemsize}, the size of a Gaussian.",
            _AGAIN,
        )
    rows = np.frombuffer(data, _ROW)
    scales, quats = np.empty((len(rows), 3), np.float32), np.empty((len(rows), 4), np.float32)
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        scales[block] = logarithms(rows["scale"][block])
        quats[block] = (rows["quat"][block].astype(np.float32) - 128) / 128
    quats[~rows["quat"].astype(bool).any(1) | (quats == 0).all(1)] = (1, 0, 0, 0)
    sh = harmonics_of_bytes()[rows["color"][:, :3]].reshape(-1, 1, 3)
    places = np.ascontiguousarray(rows["place"]).view(np.dtype([(axis, "<f4") for axis in "xyz"])).ravel()
    placed = SplatPly.of_rows(path, places)  # it knows where a splat far from the origin lies
    return RawSplat(placed.positions(), scales, quats, logits_of_bytes()[rows["color"][:, 3]], sh, placed.offset)


def write_splat(path: Path, splat: RawSplat) -> None:
    """Write a `.splat` file, in the order of the rows.

    A Gaussian whose position, scale or rotation is not finite is written as a transparent one.

    Raises:
        InputError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    with writing(path) as stream:
        for start in range(0, len(splat), BLOCK):
            stream.write(_packed(splat.take(np.arange(start, min(start + BLOCK, len(splat))))).data)


def _packed(splat: RawSplat) -> np.ndarray:
    rows = np.empty(len(splat), _ROW)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        quats = splat.quats / np.linalg.norm(splat.quats, axis=1, keepdims=True)
        bad = ~(np.isfinite(splat.means).all(1) & np.isfinite(quats).all(1)) | np.isnan(splat.scales).any(1)
    quats[~np.isfinite(quats).all(1)] = (1, 0, 0, 0)
    rows["place"] = np.nan_to_num(splat.means, nan=0, posinf=0, neginf=0) + splat.offset
    rows["scale"] = np.exp(np.nan_to_num(splat.scales, nan=FLAT_SCALE).clip(FLAT_SCALE, LARGEST_SCALE))
    base = np.nan_to_num(splat.sh[:, 0], nan=0, posinf=0, neginf=0)
    alpha = np.where(bad, 0, sigmoid(splat.opacities))
    colors = np.column_stack([base * np.float32(SH_C0) + np.float32(0.5), alpha])
    rows["color"] = (colors * 255 + 0.5).clip(0, 255)
    rows["quat"] = (quats * 128 + 128.5).clip(0, 255)
    return rows


FORMAT = Format(
    name="splat (antimatter15)",
    suffixes=(".splat",),
    read=read_splat,
    write=write_splat,
    loses=(
        "Spherical harmonics and codes are left out. Colour and opacity are rounded to 8 bits, colours beyond black "
        "and white are cut off, and rotations differ by up to 0.9 degrees."
    ),
)

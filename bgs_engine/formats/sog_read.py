"""Reads SOG splats of versions 1 and 2. `sog.py` describes the format."""

from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.formats.promises import check_promise
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.sog_files import SogFiles, opened

HARMONICS = (0, 3, 8, 15)  # above the constant one, of degree 0 to 3
ENTRIES_IN_A_LINE = 64  # of the palette, side by side in its picture
_ROWS = 1 << 16  # Gaussians that get their harmonics at once
_LEAST_OPACITY = 1e-6  # what a byte of 0 stands for, and 1 less this for 255
LARGEST_FIRST = 252  # the fourth byte of a rotation: which of (w, x, y, z) is left out
_AGAIN = "Write or download it again."


def read_sog(path: Path) -> RawSplat:
    """The splat of a `.sog` file or of a `meta.json` with its pictures.

    Raises:
        InputError: a file is missing or damaged, or has another version.
    """
    path = Path(path)
    with opened(path) as files:
        meta = files.meta()
        version = meta.get("version", 1)
        if version not in (1, 2) or isinstance(version, bool):
            raise InputError(
                f"{files.name} is SOG version {version}; versions 1 and 2 are known.", "Export it as version 2."
            )
        try:
            return _splat(files, meta, version)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            said = f"{files.name} has a meta.json that does not describe a splat ({type(error).__name__}: {error})."
            raise InputError(said, _AGAIN) from None


def _splat(files: SogFiles, meta: dict[str, Any], version: int) -> RawSplat:
    count = int(meta["count"] if version == 2 else meta["means"]["shape"][0])
    if count < 0:
        raise ValueError("a negative count")
    check_promise(files.name, 20 * count, 1 << 24)  # pictures may be of one colour, so their bytes say little
    most = 4 * count + (1 << 16)

    def pixels(part: str, which: int = 0) -> np.ndarray:
        return files.picture(meta[part]["files"][which], count, most).reshape(-1, 4)[:count]

    def values(part: str, codes: np.ndarray) -> np.ndarray:
        """The numbers that codes [N, C] stand for, float32."""
        facts = meta[part]
        if version == 2:
            return _numbers(facts["codebook"], 256)[codes]
        low, high = (_numbers(facts[name], codes.shape[1]) for name in ("mins", "maxs"))
        return low + (high - low) * (codes.astype(np.float32) / np.float32(255))

    low, high = pixels("means", 0), pixels("means", 1)
    bounds = [np.asarray(_numbers(meta["means"][name], 3), np.float64) for name in ("mins", "maxs")]
    whole = low[:, :3] | high[:, :3].astype(np.uint16) << 8
    span = np.where(bounds[1] == bounds[0], 1, bounds[1] - bounds[0])
    logs = bounds[0] + span * (whole / 65535)
    with np.errstate(over="ignore"):
        means = (np.sign(logs) * np.expm1(np.abs(logs))).astype(np.float32)
    quats = _rotations(pixels("quats"))
    scales = values("scales", pixels("scales")[:, :3])
    base = pixels("sh0")
    if version == 2:
        colors = values("sh0", base[:, :3])
        shares = (np.arange(256) / 255).clip(_LEAST_OPACITY, 1 - _LEAST_OPACITY)
        opacities = np.log(shares / (1 - shares)).astype(np.float32)[base[:, 3]]
    else:
        all_four = values("sh0", base)
        colors, opacities = all_four[:, :3], all_four[:, 3].copy()
    harmonics = _harmonics(files, meta, version, count, most) if meta.get("shN") else None
    sh = np.empty((count, 1 if harmonics is None else 1 + harmonics[0].shape[1], 3), np.float32)
    sh[:, 0] = colors
    if harmonics is not None:
        entries, labels = harmonics
        for start in range(0, count, _ROWS):
            sh[start : start + _ROWS, 1:] = entries[labels[start : start + _ROWS]]
    return RawSplat(means, np.ascontiguousarray(scales), quats, opacities, sh)


def _numbers(values: Any, size: int) -> np.ndarray:
    """Numbers of meta.json, float32 [size]. A single one stands for all, and a shorter list ends in zeros."""
    out = np.zeros(size, np.float32)
    with np.errstate(over="ignore"):
        given = np.asarray(values, np.float64).astype(np.float32)
    if given.ndim > 1 or given.size > size or not np.isfinite(given).all():
        raise ValueError(f"{size} numbers expected")
    out[: given.size or None] = given
    if given.ndim == 0:
        out[:] = given
    return out


def _rotations(pixels: np.ndarray) -> np.ndarray:
    """Quaternions (w, x, y, z) of pixels [N, 4]. The largest component is left out and positive."""
    a, b, c = (pixels[:, :3].astype(np.float32) / np.float32(255) * 2 - 1).T / np.float32(np.sqrt(2))
    most = np.sqrt(np.maximum(0, 1 - a * a - b * b - c * c))
    left_out = pixels[:, 3]
    out = np.stack(
        [
            np.where(left_out == LARGEST_FIRST, most, a),
            np.where(left_out == LARGEST_FIRST + 1, most, np.where(left_out == LARGEST_FIRST, a, b)),
            np.where(left_out == LARGEST_FIRST + 2, most, np.where(left_out < LARGEST_FIRST + 2, b, c)),
            np.where(left_out == LARGEST_FIRST + 3, most, c),
        ],
        axis=1,
    )
    out[left_out < LARGEST_FIRST] = (1, 0, 0, 0)
    return out


def _harmonics(
    files: SogFiles, meta: dict[str, Any], version: int, count: int, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """The palette, float32 [E, K, 3] of coefficients above the constant one, and the entry of each Gaussian [N]."""
    facts = meta["shN"]
    names = facts["files"]
    if version == 2:
        bands, entries = int(facts["bands"]), int(facts["count"])
        if not (1 <= bands <= 3 and 1 <= entries <= 1 << 16):
            raise ValueError(f"{bands} bands of harmonics, {entries} entries")
        size = HARMONICS[bands]
        lines = -(-entries // ENTRIES_IN_A_LINE)
        width = ENTRIES_IN_A_LINE * size
        colors = files.picture(names[0], width * lines, width * (lines + 1024), width)
    else:
        colors = files.picture(names[0], 1, ENTRIES_IN_A_LINE * HARMONICS[3] * 1024)
        size = colors.shape[1] // ENTRIES_IN_A_LINE
        if size not in HARMONICS[1:] or size * ENTRIES_IN_A_LINE != colors.shape[1]:
            raise ValueError(f"a palette of {colors.shape[1]} columns")
        entries = ENTRIES_IN_A_LINE * colors.shape[0]
    numbers = _numbers(facts["codebook"], 256) if version == 2 else None
    rows = colors.reshape(-1, 4)[: entries * size, :3]
    if numbers is None:
        low, high = float(facts["mins"]), float(facts["maxs"])
        values = (low + (high - low) * (rows / np.float32(255))).astype(np.float32)
    else:
        values = numbers[rows]
    label_pixels = files.picture(names[1], count, most).reshape(-1, 4)[:count]
    labels = label_pixels[:, 0] | label_pixels[:, 1].astype(np.int64) << 8
    table = np.concatenate([values.reshape(entries, size, 3), np.zeros((1, size, 3), np.float32)])
    return table, np.minimum(labels, entries)  # a number beyond the palette means no harmonics

"""Writes SOG splats of version 2. `sog.py` describes the format."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine import __version__
from bgs_engine.core.files import writing
from bgs_engine.core.morton import morton_order
from bgs_engine.formats.gzip_blocks import THREADS
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.sog_files import webp, zipped
from bgs_engine.formats.sog_palette import codebook, entries_for, palette
from bgs_engine.formats.sog_read import ENTRIES_IN_A_LINE, HARMONICS, LARGEST_FIRST
from bgs_engine.io.ply_completed import FLAT_SCALE


def write_sog(path: Path, splat: RawSplat) -> np.ndarray:
    """Write a `.sog` file of version 2, as a whole or not at all. Harmonics of degree 4 are left out.

    Returns the order, int [N]: row k of the file is Gaussian `order[k]`. Neighbours in space become neighbours in the
    pictures, which makes these smaller.

    Raises:
        InputError: the file cannot be written.
    """
    splat = _finite(splat)
    order = morton_order(splat.means) if len(splat) else np.arange(0)
    files = _files(splat, order)
    with writing(path) as stream:
        stream.write(zipped(files))
    return order


def _finite(splat: RawSplat) -> RawSplat:
    """The splat with neutral values where one is not a number. Such a Gaussian is never drawn, so it is transparent."""
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.square(splat.quats.astype(np.float64)).sum(1)
        whole = np.isfinite(splat.sh.sum(dtype=np.float64))  # a sum of finite numbers is finite
    scales = splat.scales
    if np.isneginf(scales).any():  # flat Gaussians of a GLB
        scales = np.where(np.isneginf(scales), np.float32(FLAT_SCALE), scales)
    sound = np.isfinite(splat.means).all(1) & np.isfinite(scales).all(1) & np.isfinite(lengths) & (lengths > 0)
    sound &= ~np.isnan(splat.opacities)
    sh = splat.sh if whole else np.nan_to_num(splat.sh, nan=0, posinf=0, neginf=0)
    if sound.all():
        return RawSplat(splat.means, scales, splat.quats, splat.opacities, sh)
    broken = ~sound
    means, scales, quats, opacities = (a.copy() for a in (splat.means, scales, splat.quats, splat.opacities))
    means[broken] = means[sound].mean(0) if sound.any() else 0
    scales[broken] = scales[sound].min() if sound.any() else 0
    quats[broken], opacities[broken] = (1, 0, 0, 0), -np.inf
    return RawSplat(means, scales, quats, opacities, sh)


def _files(splat: RawSplat, order: np.ndarray) -> dict[str, bytes]:
    count = len(order)
    side = 4 * max(1, -(-int(np.ceil(np.sqrt(count))) // 4))  # four divides both sides, as PlayCanvas writes them
    shape = (4 * max(1, -(-count // (4 * side))), side)

    def picture(values: np.ndarray) -> np.ndarray:
        """One pixel for each row of uint8 [N, C], in the order of the file."""
        out = np.zeros((shape[0] * shape[1], values.shape[1]), np.uint8)
        out[:count] = values[order]
        return out.reshape(*shape, -1)

    with ThreadPoolExecutor(THREADS) as pool:
        pictures: dict[str, Future[bytes]] = {}

        def add(name: str, pixels: np.ndarray) -> str:
            pictures[name] = pool.submit(webp, pixels)
            return name

        meta: dict[str, Any] = {"version": 2, "asset": {"generator": f"bgs-engine {__version__}"}, "count": count}
        low, high, bounds = _positions(splat.means)
        meta["means"] = bounds | {"files": [add("means_l.webp", picture(low)), add("means_u.webp", picture(high))]}
        numbers, codes = codebook(splat.scales)
        meta["scales"] = {"codebook": numbers.tolist(), "files": [add("scales.webp", picture(codes))]}
        meta["quats"] = {"files": [add("quats.webp", picture(_rotations(splat.quats)))]}
        numbers, codes = codebook(splat.sh[:, 0])
        with np.errstate(over="ignore"):
            opacities = np.rint(255 / (1 + np.exp(-splat.opacities))).astype(np.uint8)
        colors = np.concatenate([codes, opacities[:, None]], axis=1)
        meta["sh0"] = {"codebook": numbers.tolist(), "files": [add("sh0.webp", picture(colors))]}
        degree = min(splat.degree, 3)
        if degree and count:
            size = HARMONICS[degree]
            rows = splat.sh[:, 1 : 1 + size].reshape(count, -1)
            entries, labels = palette(rows, entries_for(count))
            numbers, codes = codebook(entries)
            lines = -(-len(entries) // ENTRIES_IN_A_LINE)
            colors = np.zeros((lines * ENTRIES_IN_A_LINE * size, 3), np.uint8)
            colors[: len(entries) * size] = codes.reshape(-1, 3)
            named = add("shN_centroids.webp", colors.reshape(lines, ENTRIES_IN_A_LINE * size, 3))
            of_row = np.stack([labels & 255, labels >> 8, np.zeros_like(labels)], axis=1).astype(np.uint8)
            meta["shN"] = {"count": len(entries), "bands": degree, "codebook": numbers.tolist(),
                           "files": [named, add("shN_labels.webp", picture(of_row))]}  # fmt: skip
        return {name: made.result() for name, made in pictures.items()} | {"meta.json": json.dumps(meta).encode()}


def _positions(means: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, list[float]]]:
    """The lower and the upper byte of each coordinate, uint8 [N, 3], and the bounds of their logarithms."""
    logs = np.sign(means) * np.log1p(np.abs(means.astype(np.float64)))
    low, high = (logs.min(0), logs.max(0)) if len(logs) else (np.zeros(3), np.zeros(3))
    whole = np.rint((logs - low) * (65535 / np.where(high > low, high - low, 1))).astype(np.uint16)
    bounds = {"mins": low.tolist(), "maxs": high.tolist()}
    return (whole & 255).astype(np.uint8), (whole >> 8).astype(np.uint8), bounds


def _rotations(quats: np.ndarray) -> np.ndarray:
    """Pixels uint8 [N, 4] of quaternions (w, x, y, z) of any length that is not 0."""
    unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    left_out = np.abs(unit).argmax(1)
    unit *= np.where(np.take_along_axis(unit, left_out[:, None], 1) < 0, -1, 1)
    w, x, y, z = unit.T
    kept = np.where(left_out == 0, x, w), np.where(left_out <= 1, y, x), np.where(left_out <= 2, z, y)
    shares = [np.rint((part * np.float32(np.sqrt(0.5)) + np.float32(0.5)) * 255).clip(0, 255) for part in kept]
    return np.stack([*shares, left_out + LARGEST_FIRST], axis=1).astype(np.uint8)

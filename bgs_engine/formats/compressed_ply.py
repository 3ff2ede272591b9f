"""The compressed PLY of SuperSplat and PlayCanvas: 16 bytes a Gaussian, and one byte for each coefficient of colour.

`io/ply_compressed.py` describes the layout and reads it. Here it is written.
"""

from pathlib import Path

import numpy as np

from bgs_engine.core.files import writing
from bgs_engine.core.morton import morton_order
from bgs_engine.formats.format import Format
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.io.gaussians import sigmoid
from bgs_engine.io.ply import read_ply
from bgs_engine.io.ply_compressed import (
    BLOCK_CHUNKS,
    CHUNK,
    COLOR_BOUNDS,
    POSITION_BOUNDS,
    SCALE_BOUNDS,
    SH_C0,
    SH_REACH,
    WORDS,
)

BLOCK = CHUNK * BLOCK_CHUNKS  # Gaussians that are coded at a time
SCALE_LIMIT = 20.0  # logarithms beyond it are infinite for our purposes; the program of PlayCanvas has the same limit
MOST_COEFFICIENTS = 16  # degree 3


def read_compressed(path: Path) -> RawSplat:
    """The splat of a compressed PLY.

    Raises:
        InputError: no compressed PLY, or a damaged one.
    """
    return RawSplat.of_ply(read_ply(path))


def write_compressed(path: Path, splat: RawSplat) -> np.ndarray:
    """Write a compressed PLY. Returns the order of its rows, int [N]: neighbours in space share the bounds of a chunk.

    A Gaussian whose position, scale or rotation is not finite is written as a transparent one.

    Raises:
        InputError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    seen = _seen(splat)
    means = splat.means
    if not seen.all():
        middle = np.median(means[seen], axis=0) if seen.any() else np.zeros(3, np.float32)
        means = np.where(seen[:, None], means, middle)
    order = morton_order(means)
    rest = 3 * (min(splat.sh.shape[1], MOST_COEFFICIENTS) - 1)
    bounds, words = [], []
    coefficients = _bytes(splat.sh[:, 1 : 1 + rest // 3])
    for start in range(0, len(splat), BLOCK):
        rows = order[start : start + BLOCK]
        full = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % CHUNK)])  # the last one fills its chunk
        alpha = np.where(seen[full], sigmoid(splat.opacities[full]), 0)
        made = _packed(means[full] + splat.offset, splat.scales[full], splat.quats[full], splat.sh[full, 0], alpha)
        bounds.append(made[0])
        words.append(made[1][: len(rows)])
    with writing(path) as stream:
        stream.write(_header(len(splat), rest))
        for part in (*bounds, *words):
            stream.write(part.data)
        for start in range(0, len(order), BLOCK) if rest else ():
            stream.write(coefficients[order[start : start + BLOCK]].data)
    return order


def _seen(splat: RawSplat) -> np.ndarray:
    """Whether a Gaussian has a shape that can be drawn, bool [N]."""
    with np.errstate(invalid="ignore", over="ignore"):
        length = np.einsum("ij,ij->i", splat.quats, splat.quats)
        seen = np.isfinite(length) & (length > 0)
        for axis in range(3):
            seen &= np.isfinite(splat.means[:, axis])
            seen &= ~np.isnan(splat.scales[:, axis])
    return seen


def _header(count: int, rest: int) -> bytes:
    """The header: its elements and properties have to have this order, as the engine of PlayCanvas asks for it."""
    lines = ["ply", "format binary_little_endian 1.0", f"element chunk {-(-count // CHUNK)}"]
    lines += [f"property float {name}" for name in POSITION_BOUNDS + SCALE_BOUNDS + COLOR_BOUNDS]
    lines += [f"element vertex {count}", *(f"property uint {name}" for name in WORDS)]
    if rest:
        lines += [f"element sh {count}", *(f"property uchar f_rest_{k}" for k in range(rest))]
    return ("\n".join([*lines, "end_header"]) + "\n").encode("ascii")


def _bytes(sh: np.ndarray) -> np.ndarray:
    """Coefficients [N, K, 3] as bytes [N, 3 K], channel by channel."""
    count, width = sh.shape[:2]
    out = np.empty((count, 3 * width), np.uint8)
    for start in range(0, count, BLOCK):
        block = np.nan_to_num(sh[start : start + BLOCK], posinf=0, neginf=0) * np.float32(128 / SH_REACH)
        block = (block + np.float32(128)).clip(0, 255).astype(np.uint8)
        for channel in range(3):
            out[start : start + BLOCK, channel * width : (channel + 1) * width] = block[:, :, channel]
    return out


def _packed(
    places: np.ndarray, scales: np.ndarray, quats: np.ndarray, base: np.ndarray, alpha: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds float32 [C, 18] and words uint32 [256 C, 4] of whole chunks.

    places [256 C, 3] are true positions, base [256 C, 3] the constant coefficients, alpha [256 C] opacities in 0..1.
    """
    scales = np.nan_to_num(scales, nan=-SCALE_LIMIT).clip(-SCALE_LIMIT, SCALE_LIMIT)
    colors = np.nan_to_num(base.astype(np.float64), posinf=0, neginf=0) * SH_C0 + 0.5
    bounds, shares = zip(*map(_shares, (places, scales, colors)), strict=True)
    words = np.empty((len(places), len(WORDS)), "<u4")
    for column, values in ((0, shares[0]), (2, shares[1])):
        x, y, z = (_whole(share, bits) for share, bits in zip(values, (11, 10, 11), strict=True))
        words[:, column] = x << 21 | y << 11 | z
    words[:, 1] = _rotations(quats)
    red, green, blue = (_whole(share, 8) for share in shares[2])
    words[:, 3] = red << 24 | green << 16 | blue << 8 | _whole(alpha, 8)
    return np.concatenate(bounds, axis=1), words


def _shares(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds float32 [C, 6] of values [256 C, 3] in each chunk, and where the values lie between them, [3, 256 C]."""
    chunks = np.ascontiguousarray(values.T, np.float64).reshape(3, -1, CHUNK)
    low, high = chunks.min(2).astype("<f4"), chunks.max(2).astype("<f4")
    span = high.astype(np.float64) - low
    shares = (chunks - low[..., None]) / np.where(span > 0, span, 1)[..., None]
    return np.concatenate([low, high]).T.copy(), shares.reshape(3, -1)


def _rotations(quats: np.ndarray) -> np.ndarray:
    """Words uint32 [B] of quaternions [B, 4] of any length; those without a direction count as no rotation."""
    unit = np.ascontiguousarray(quats.T, np.float64)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        unit /= np.sqrt((unit * unit).sum(0))
    unit[:, ~np.isfinite(unit.sum(0))] = ((1,), (0,), (0,), (0,))
    largest = np.abs(unit).argmax(0)
    unit *= np.where(np.take_along_axis(unit, largest[None], 0) < 0, -1, 1)
    whole = [_whole(component * np.sqrt(0.5) + 0.5, 10) for component in unit]
    a = np.where(largest == 0, whole[1], whole[0])
    b = np.where(largest <= 1, whole[2], whole[1])
    c = np.where(largest <= 2, whole[3], whole[2])
    return largest.astype(np.uint32) << 30 | a << 20 | b << 10 | c


def _whole(shares: np.ndarray, bits: int) -> np.ndarray:
    """Shares in 0..1 as the nearest numbers of `bits` bits, uint32."""
    most = (1 << bits) - 1
    return (shares * most + 0.5).clip(0, most).astype(np.uint32)


FORMAT = Format(
    name="compressed PLY",
    suffixes=(".compressed.ply",),
    read=read_compressed,
    write=write_compressed,
    loses=(
        "Positions and scales are rounded to a 2,000th (y: a 1,000th) of the extent of 256 neighbours, rotations to "
        "0.25 degrees, colour and opacity to 8 bits, and spherical harmonics to 8 bits between -4 and 4. Degree 4 and "
        "codes are left out."
    ),
)

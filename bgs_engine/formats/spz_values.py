"""The values of an SPZ file: how each attribute of a Gaussian becomes bytes, and back.

Niantic's SPZ, versions 2 to 4 (https://github.com/nianticlabs/spz). A file has, of all Gaussians one attribute after
the other: positions (24-bit fixed point), opacities (8 bits), colours (8 bits), logarithms of the scales (8 bits),
rotations (version 2: x, y, z with 8 bits each; from version 3 on the smallest three of four components with 10 bits
each, and 2 bits that say which is left out), and harmonics (8 bits, of which a writer uses fewer).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.formats.axes import RUB_TO_PLY, quat_signs, sh_signs
from bgs_engine.formats.gzip_blocks import THREADS
from bgs_engine.formats.raw_splat import RawSplat

HARMONICS = (0, 3, 8, 15, 24)  # above the constant one, of degree 0 to 4
USUAL_FRACTION = 12  # bits behind the point that Niantic's program writes
MOST_FRACTION = 23
FINE_STEPS = 1 << 16  # into which the reach of a splat is divided at least
SH1_BITS, SH_REST_BITS = 5, 4  # of 8 that a writer uses of a harmonic of degree 1, and of a higher one
_COLOR_SCALE = np.float32(0.15)  # of a constant harmonic: colours somewhat beyond 0 and 1 still fit
_SCALE_START, _SCALE_STEPS = np.float32(10), np.float32(16)  # a byte is (logarithm + 10) * 16
_TEN_BITS = np.float32(511 * np.sqrt(2))  # the smaller components lie within sqrt(1/2); 9 bits and a sign
ROWS = 1 << 15  # Gaussians of one block: its floats stay in the processor's cache


@dataclass(frozen=True)
class SpzHeader:
    """What the header of a file says: version 2 to 4, N Gaussians, degree 0 to 4, bits behind the point, flags."""

    version: int
    count: int
    degree: int
    fraction: int
    flags: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Bytes of a Gaussian in each attribute, in file order."""
        return 9, 1, 3, 3, 3 if self.version == 2 else 4, 3 * HARMONICS[self.degree]

    @property
    def body(self) -> int:
        """Bytes of all attributes."""
        return self.count * sum(self.widths)


def header_for(splat: RawSplat, version: int) -> SpzHeader:
    """The header under which a splat fits: as many bits behind the point as its reach needs.

    The usual 12 bits are steps of 1/4096. A small splat gets finer steps, at most 1/65536 of its reach. A splat that
    reaches beyond 2048 gets coarser ones.

    Raises:
        InputError: a position does not fit even in whole numbers.
    """
    reach = float(np.abs(_finite(splat.means)).max(initial=0))
    finest = np.ceil(np.log2(reach / FINE_STEPS)) if reach else 0  # the step is 2 ** finest
    for fraction in range(int(np.clip(-finest, USUAL_FRACTION, MOST_FRACTION)), -1, -1):
        if np.rint(np.ldexp(reach, fraction)) <= 0x7FFFFF:  # 24 bits with a sign
            return SpzHeader(version, len(splat), splat.degree, fraction, 0)
    raise InputError(
        f"The splat has a position {reach:.3g} units from its origin, and SPZ reaches 8 million.",
        "Remove the Gaussians that lie that far out, or move the splat to the origin.",
    )


def encoders(splat: RawSplat, header: SpzHeader) -> list[Callable[[slice], bytes]]:
    """A function for each attribute of the file, in order, that gives the bytes of these rows."""
    turned = quat_signs(RUB_TO_PLY)
    bits = np.full(3 * HARMONICS[header.degree], SH_REST_BITS, np.uint8)
    bits[:9] = SH1_BITS
    most = np.exp2(bits, dtype=np.float32)  # steps from -1 to 1
    factors = np.repeat(sh_signs(RUB_TO_PLY, splat.sh.shape[1])[1:], 3) * most / 2
    middle = most / 2 + np.float32(0.5) + most / 512  # Niantic's program rounds to 8 bits first, and then again
    flat = splat.sh.reshape(len(splat), 3 + len(bits))

    def positions(rows: slice) -> bytes:
        places = _finite(splat.means[rows]) * np.array(RUB_TO_PLY, np.float32)
        fixed = np.rint(np.ldexp(places, header.fraction)).astype("<i4")
        return fixed.view("u1").reshape(-1, 4)[:, :3].tobytes()

    def opacities(rows: slice) -> bytes:
        with np.errstate(over="ignore", invalid="ignore"):
            values = 255 / (1 + np.exp(-splat.opacities[rows]))
            lengths = np.square(splat.quats[rows]).sum(1)
        broken = ~np.isfinite(splat.means[rows]).all(1) | ~(splat.scales[rows] < np.inf).all(1)
        broken |= ~np.isfinite(lengths) | (lengths == 0)  # such Gaussians are never drawn: they stay transparent
        return _byte(np.where(broken | np.isnan(values), np.float32(0), values))

    def colors(rows: slice) -> bytes:
        return _byte(_finite(splat.sh[rows, 0]) * (_COLOR_SCALE * 255) + np.float32(127.5))

    def scales(rows: slice) -> bytes:
        with np.errstate(over="ignore"):
            return _byte((np.nan_to_num(splat.scales[rows], nan=-10) + _SCALE_START) * _SCALE_STEPS)

    def rotations(rows: slice) -> bytes:
        return _smallest_three(splat.quats[rows] * turned)

    def harmonics(rows: slice) -> bytes:
        with np.errstate(over="ignore", invalid="ignore"):
            values = flat[rows, 3:] * factors
            if not np.isfinite(values.sum()):
                values = _finite(values)
            values += middle
        steps = np.minimum(np.maximum(values, 0, out=values), most, out=values).astype(np.uint8)
        return ((steps << (8 - bits)) - (steps >> bits)).tobytes()  # the last step, 256, becomes 255

    return [positions, opacities, colors, scales, rotations, harmonics]


def decode(header: SpzHeader, parts: list[memoryview], signs: tuple[float, float, float]) -> RawSplat:
    """The splat of the bytes of all attributes, in file order. `signs` turn the file's axes into the wanted ones."""
    count, rest = header.count, HARMONICS[header.degree]
    means, scales, quats = (np.empty((count, size), np.float32) for size in (3, 3, 4))
    opacities, sh = np.empty(count, np.float32), np.empty((count, 1 + rest, 3), np.float32)
    raw = [
        np.frombuffer(part, np.uint8).reshape(count, width) for part, width in zip(parts, header.widths, strict=True)
    ]
    with np.errstate(divide="ignore"):
        shares = np.arange(256, dtype=np.float32) / np.float32(255)
        logits = np.log(shares / (1 - shares))  # 0 and 255 are -inf and +inf, which are legal
    step = np.array(signs, np.float32) * np.float32(2.0**-header.fraction)
    turned, tilts = quat_signs(signs), sh_signs(signs, 1 + rest)[1:, None] / np.float32(128)

    def block(start: int) -> None:
        rows = slice(start, start + ROWS)
        places, shares_of, colors, sizes, rotations, harmonics = (values[rows] for values in raw)
        means[rows] = _fixed_point(places) * step
        opacities[rows] = logits[shares_of[:, 0]]
        sh[rows, 0] = (colors.astype(np.float32) / np.float32(255) - np.float32(0.5)) / _COLOR_SCALE
        scales[rows] = sizes.astype(np.float32) / _SCALE_STEPS - _SCALE_START
        quats[rows] = (_first_three if header.version == 2 else _four)(rotations) * turned
        if rest:
            higher = sh[rows, 1:]
            np.multiply(harmonics.reshape(-1, rest, 3), tilts, out=higher, dtype=np.float32)
            higher -= 128 * tilts

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(block, range(0, count, ROWS)))
    return RawSplat(means, scales, quats, opacities, sh)


def _finite(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values, nan=0, posinf=0, neginf=0)


def _byte(values: np.ndarray) -> bytes:
    return np.rint(values).clip(0, 255).astype(np.uint8).tobytes()


def _fixed_point(places: np.ndarray) -> np.ndarray:
    """Whole numbers int32 [B, 3] of three bytes each, uint8 [B, 9]."""
    wide = np.zeros((len(places), 3, 4), np.uint8)
    wide[:, :, 1:] = places.reshape(-1, 3, 3)
    return wide.view("<i4")[:, :, 0] >> 8  # the shift brings the sign down


def _first_three(rotations: np.ndarray) -> np.ndarray:
    """Quaternions (w, x, y, z) of version 2; w is not negative and follows from the others."""
    out = np.empty((len(rotations), 4), np.float32)
    out[:, 1:] = rotations.astype(np.float32) / np.float32(127.5) - 1
    out[:, 0] = np.sqrt(np.maximum(0, 1 - np.square(out[:, 1:]).sum(1)))
    return out


def _four(rotations: np.ndarray) -> np.ndarray:
    """Quaternions (w, x, y, z) of version 3 and 4, uint8 [B, 4].

    The upper two bits say which of (x, y, z, w) is left out. It is the largest one and positive.
    """
    packed = np.ascontiguousarray(rotations).view("<u4")[:, 0]
    left_out = packed >> 30
    a, b, c = (
        np.where(packed >> low & 512, np.float32(-1), np.float32(1))
        * (packed >> low & 511).astype(np.float32)
        / _TEN_BITS
        for low in (20, 10, 0)
    )
    most = np.sqrt(np.maximum(0, 1 - a * a - b * b - c * c))
    out = np.empty((len(packed), 4), np.float32)
    out[:, 1] = np.where(left_out == 0, most, a)
    out[:, 2] = np.where(left_out == 1, most, np.where(left_out < 1, a, b))
    out[:, 3] = np.where(left_out == 2, most, np.where(left_out < 2, b, c))
    out[:, 0] = np.where(left_out == 3, most, c)
    return out


def _smallest_three(quats: np.ndarray) -> bytes:
    """The bytes of quaternions (w, x, y, z) [B, 4] of any length; the inverse of `_four`."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        unit = quats / np.linalg.norm(quats, axis=1, keepdims=True)
    unit[~np.isfinite(unit).all(1)] = (1, 0, 0, 0)
    x, y, z, w = unit[:, 1], unit[:, 2], unit[:, 3], unit[:, 0]
    left_out = np.argmax(np.abs(unit[:, (1, 2, 3, 0)]), axis=1).astype(np.uint32)
    kept = (
        np.where(left_out == 0, y, x),
        np.where(left_out <= 1, z, y),
        np.where(left_out <= 2, w, z),
    )
    most = np.where(left_out == 0, x, np.where(left_out == 1, y, np.where(left_out == 2, z, w)))
    packed = left_out
    for values in kept:
        negative = (values < 0) ^ (most < 0)  # -q is the same rotation
        size = (np.abs(values) * _TEN_BITS + np.float32(0.5)).astype(np.uint32)
        packed = packed << 10 | negative.astype(np.uint32) << 9 | np.minimum(size, 511)
    return packed.astype("<u4").tobytes()

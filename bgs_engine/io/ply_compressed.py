"""The compressed PLY of SuperSplat and PlayCanvas: read, and its layout, which `formats/compressed_ply.py` writes.

The element `chunk` has the bounds of 256 Gaussians each: of positions, of logarithmic scales and, in newer files, of
colours. The element `vertex` has four words a Gaussian, which are shares between these bounds: position and scale in
11, 10 and 11 bits, the rotation as the number of its largest component and the others in 10 bits each, and colour and
opacity in 8 bits each. The element `sh` is there if the splat has spherical harmonics: one byte for each coefficient.

Format: https://github.com/playcanvas/splat-transform (src/lib/readers/decompress-ply.ts)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import open_buffered
from bgs_engine.io.ply_header import SPLAT_PROPERTIES, Element, Header

CHUNK = 256  # Gaussians
BLOCK_CHUNKS = 32  # that are decoded at a time, so that the intermediate arrays stay in the processor's cache
_AXES = "xyz"
POSITION_BOUNDS = tuple(f"{end}_{axis}" for end in ("min", "max") for axis in _AXES)
SCALE_BOUNDS = tuple(f"{end}_scale_{axis}" for end in ("min", "max") for axis in _AXES)
COLOR_BOUNDS = tuple(f"{end}_{axis}" for end in ("min", "max") for axis in "rgb")
WORDS = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
SH_C0 = 0.28209479177387814  # 1 / (2 sqrt(pi)), the constant spherical harmonic
SH_REACH = 4.0  # a coefficient's byte covers -4 to 4 in 256 steps; the first and the last mean the ends themselves
REST_COUNTS = (9, 24, 45)  # f_rest properties that the element `sh` may have
_AGAIN = "Export it from SuperSplat again, or as uncompressed PLY."


def _logits() -> np.ndarray:
    with np.errstate(divide="ignore"):
        return (-np.log(1 / (np.arange(256) / 255) - 1)).astype(np.float32)


LOGITS = _logits()  # float32 [256], of each byte; those of 0 and 255 are infinite


def is_compressed(header: Header) -> bool:
    """Whether a PLY with this header is a compressed splat."""
    return any(e.name == "vertex" and WORDS[0] in {name for name, _ in e.properties} for e in header.elements)


@dataclass(frozen=True)
class CompressedPly:
    """An opened compressed PLY of `count` Gaussians with `rest` f_rest coefficients each, 0, 9, 24 or 45.

    bounds: float32 [C, 6] of positions, scales and colours, each as lower and upper corner; None for no colours.
    """

    path: Path
    count: int
    rest: int
    bounds: tuple[np.ndarray, np.ndarray, np.ndarray | None]
    _vertex: tuple[int, np.dtype]  # first byte, type of a row
    _sh: tuple[int, np.dtype] | None

    @classmethod
    def open(cls, path: Path, header: Header, size: int) -> "CompressedPly":
        """The file of `size` bytes with this header, of which `is_compressed`.

        Raises:
            InputError: it is damaged or of an unknown kind.
        """
        name = path.name
        if header.format != "binary_little_endian" or any(
            k == "list" for e in header.elements for _, k in e.properties
        ):
            raise InputError(f"{name} is a compressed splat in a form that nobody writes.", _AGAIN)
        places, end = {}, header.bytes
        for element in header.elements:
            dtype = np.dtype([(prop, kind) for prop, kind in element.properties])
            places[element.name] = (end, dtype, element.count)
            end += element.count * dtype.itemsize
        start, dtype, count = places["vertex"]
        if end > size:
            raise InputError(
                f"{name} is cut short: its header promises {count:,} Gaussians in {end:,} bytes, {size:,} are there.",
                "Copy or export the file again.",
            )
        if count == 0:
            raise InputError(f"{name} holds no Gaussians.", "Check the export settings.")
        kinds = {element.name: dict(element.properties) for element in header.elements}
        _check(name, kinds["vertex"], WORDS, "<u4")
        if "chunk" not in places or places["chunk"][2] * CHUNK < count:
            raise InputError(f"{name} is a compressed splat without the bounds of all its chunks.", _AGAIN)
        _check(name, kinds["chunk"], POSITION_BOUNDS + SCALE_BOUNDS, "<f4")
        colored = set(COLOR_BOUNDS) <= set(kinds["chunk"])
        if colored:
            _check(name, kinds["chunk"], COLOR_BOUNDS, "<f4")
        rest = _checked_rest(name, next((e for e in header.elements if e.name == "sh"), None), count)
        rows = _read(path, *places["chunk"])
        positions, scales, colors = (
            np.stack([rows[bound] for bound in group], 1) if group else None
            for group in (POSITION_BOUNDS, SCALE_BOUNDS, COLOR_BOUNDS if colored else ())
        )
        assert positions is not None and scales is not None
        return cls(path, count, rest, (positions, scales, colors), (start, dtype), places["sh"][:2] if rest else None)

    def blocks(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """(first row, values float32 [B, 14], bytes of coefficients uint8 [B, rest]), some thousand rows at a time.

        The values are those of `SPLAT_PROPERTIES`, in its order. `sh_values` says what a byte means.

        Raises:
            InputError: the file can no longer be read.
        """
        size = CHUNK * BLOCK_CHUNKS
        for start in range(0, self.count, size):
            count = min(size, self.count - start)
            rows = _read(self.path, self._vertex[0] + start * self._vertex[1].itemsize, self._vertex[1], count)
            chunks = -(-count // CHUNK)
            words = np.zeros((len(WORDS), chunks * CHUNK), np.uint32)  # the last chunk may be incomplete
            for k, word in enumerate(WORDS):
                words[k, :count] = rows[word]
            first = start // CHUNK
            bounds = [None if values is None else values[first : first + chunks] for values in self.bounds]
            values = _decoded(words.reshape(len(WORDS), chunks, CHUNK), bounds)[:count]
            coefficients = np.empty((count, 0), np.uint8)
            if self._sh:
                data = _read(self.path, self._sh[0] + start * self._sh[1].itemsize, self._sh[1], count)
                coefficients = data.view(np.uint8).reshape(count, self.rest)
            yield start, values, coefficients

    def rows(self) -> np.ndarray:
        """All Gaussians as structured rows of 3DGS, float32.

        Raises:
            InputError: the file can no longer be read, or it does not fit into memory.
        """
        rest = [f"f_rest_{k}" for k in range(self.rest)]
        names = [*SPLAT_PROPERTIES[:6], *rest, *SPLAT_PROPERTIES[6:]]
        try:
            table = np.empty((self.count, len(names)), np.float32)
        except MemoryError:
            raise InputError(f"{self.path.name} does not fit into memory.", "Close other programs.") from None
        for start, values, coefficients in self.blocks():
            block = table[start : start + len(values)]
            block[:, :6], block[:, 6 + self.rest :] = values[:, :6], values[:, 6:]
            block[:, 6 : 6 + self.rest] = sh_values(coefficients)
        return table.view(np.dtype([(name, "<f4") for name in names])).ravel()


def sh_values(coefficients: np.ndarray) -> np.ndarray:
    """The coefficients, float32, that bytes of any shape stand for. All are exact in float32."""
    values = coefficients.astype(np.float32)
    values += 0.5
    values *= SH_REACH / 128
    values -= SH_REACH
    np.copyto(values, -SH_REACH, where=coefficients == 0)
    np.copyto(values, SH_REACH, where=coefficients == 255)
    return values


def _check(name: str, kinds: dict[str, str], needed: tuple[str, ...], kind: str) -> None:
    for prop in needed:
        if kinds.get(prop) != kind:
            what = "lacks" if prop not in kinds else "has another type of"
            raise InputError(f"{name} is a compressed splat that {what} {prop}.", _AGAIN)


def _checked_rest(name: str, sh: Element | None, count: int) -> int:
    """The number of coefficients in the element `sh`, 0 without one."""
    if sh is None or not sh.properties:
        return 0
    rest = len(sh.properties)
    if rest not in REST_COUNTS or sh.properties != tuple((f"f_rest_{k}", "u1") for k in range(rest)):
        raise InputError(
            f"{name} is a compressed splat whose spherical harmonics are not those of degree 1, 2 or 3.", _AGAIN
        )
    if sh.count != count:
        raise InputError(f"{name} has spherical harmonics of {sh.count:,} Gaussians, but {count:,} Gaussians.", _AGAIN)
    return rest


def _read(path: Path, start: int, dtype: np.dtype, count: int) -> np.ndarray:
    """`count` rows from byte `start`."""
    try:
        with open_buffered(path) as stream:
            stream.seek(start)
            data = stream.read(count * dtype.itemsize)
    except OSError as error:
        raise InputError(f"{path.name} can no longer be read: {error}.", "Check the disk.") from error
    if len(data) < count * dtype.itemsize:
        raise InputError(f"{path.name} can no longer be read: it has become shorter.", "Check the disk.")
    return np.frombuffer(data, dtype)


def _decoded(words: np.ndarray, bounds: list[np.ndarray | None]) -> np.ndarray:
    """The values [C * 256, 14] of words [4, C, 256] within bounds [C, 6], see `CompressedPly.blocks`."""
    position, rotation, scale, color = words
    out = np.empty((*position.shape, len(SPLAT_PROPERTIES)), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # bounds of a damaged file
        for axis, (shift, bits) in enumerate(((21, 11), (11, 10), (0, 11))):
            out[..., axis] = _between(_share(position, shift, bits), bounds[0], axis)
            out[..., 7 + axis] = _between(_share(scale, shift, bits), bounds[1], axis)
            shade = _between(_share(color, 24 - 8 * axis, 8), bounds[2], axis)
            out[..., 3 + axis] = (shade - 0.5) / SH_C0
    out[..., 6] = LOGITS[color & 255]
    largest = rotation >> np.uint32(30)
    a, b, c = ((_share(rotation, shift, 10) - 0.5) * np.sqrt(2) for shift in (20, 10, 0))
    rest = np.sqrt(np.maximum(0, 1 - (a * a + b * b + c * c)))
    out[..., 10] = np.where(largest == 0, rest, a)
    out[..., 11] = np.where(largest == 0, a, np.where(largest == 1, rest, b))
    out[..., 12] = np.where(largest <= 1, b, np.where(largest == 2, rest, c))
    out[..., 13] = np.where(largest == 3, rest, c)
    return out.reshape(-1, len(SPLAT_PROPERTIES))


def _share(words: np.ndarray, shift: int, bits: int) -> np.ndarray:
    """The number in `bits` bits of each word as a share of the largest one, float64 in 0..1."""
    most = (1 << bits) - 1
    return ((words >> np.uint32(shift)) & np.uint32(most)) / most


def _between(share: np.ndarray, bounds: np.ndarray | None, axis: int) -> np.ndarray:
    """The values at these shares [C, 256] of the way from the lower to the upper bound."""
    if bounds is None:
        return share
    low, high = bounds[:, axis : axis + 1].astype(np.float64), bounds[:, 3 + axis : 4 + axis].astype(np.float64)
    return low * (1 - share) + high * share

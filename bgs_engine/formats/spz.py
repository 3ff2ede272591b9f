"""SPZ, the compressed splats of Niantic: versions 2, 3 and 4 are read, 3 and 4 are written.

https://github.com/nianticlabs/spz. Versions 2 and 3 are one gzip stream: a header of 16 bytes, the attributes
(`spz_values.py`), extensions. Version 4 packs each attribute by itself with Zstandard (`spz_zstd.py`).

Files point x right, y up and z back (RUB), so a splat with the axes of a PLY is written with turned signs.
"""

import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bgs_engine.core.errors import InputError
from bgs_engine.core.files import writing
from bgs_engine.core.input_files import read_bytes
from bgs_engine.formats import gzip_blocks, spz_zstd
from bgs_engine.formats.axes import RUB_TO_PLY
from bgs_engine.formats.format import Format
from bgs_engine.formats.promises import check_promise
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.spz_values import HARMONICS, MOST_FRACTION, ROWS, SpzHeader, decode, encoders, header_for

MAGIC = b"NGSP"
GZIP = b"\x1f\x8b"
MOST_BYTES = 16 << 30  # of a file
WRITTEN = (3, 4)
_HEAD = struct.Struct("<4sIIBBBB")  # of versions 2 and 3, and the beginning of that of version 4
_HAS_EXTENSIONS, _LEVELS_OF_DETAIL = 0x2, 0x80  # flags; the second is of Spark
_MOST_AFTER = 16 << 20  # bytes of extensions
_RECORD = struct.Struct("<II")  # of an extension: type, and bytes that follow
_COORDINATE_SYSTEM = 0xADBE0003  # Adobe's extension that says the axes of the file
_AGAIN = "Write or download it again."


def read_spz(path: Path) -> RawSplat:
    """The splat of an SPZ file, with the axes of a PLY.

    Raises:
        InputError: the file is missing or damaged, or has another version.
        EnvironmentLacksError: it has version 4, and Zstandard is missing.
    """
    path = Path(path)
    return decode_spz(read_bytes(path, MOST_BYTES), path.name)


def decode_spz(data: bytes | memoryview, name: str, ply_axes: bool = True) -> RawSplat:
    """The splat of the bytes of an SPZ file; `name` stands for it in errors.

    ply_axes: False leaves the axes of the file: RUB, unless an extension says others.

    Raises:
        InputError: the bytes are damaged, or have another version.
        EnvironmentLacksError: they have version 4, and Zstandard is missing.
    """
    data = memoryview(data)
    if data[:2] == GZIP:
        header, parts, extensions = _open_gzip(data, name)
    elif data[:4] == MAGIC:
        header, parts, extensions = _open_zstd(data, name)
    else:
        raise InputError(f"{name} is no SPZ file.", "Check the file's name and its ending.")
    signs = _signs_of(extensions, name) if ply_axes else (1.0, 1.0, 1.0)
    return decode(header, parts, signs)


def write_spz(path: Path, splat: RawSplat, version: int = 3) -> None:
    """Write an SPZ file of version 3 or 4, as a whole or not at all. The rows keep their order.

    Raises:
        InputError: a Gaussian lies too far out, or the file cannot be written.
        EnvironmentLacksError: version 4 needs Zstandard, which is missing.
    """
    header = header_for(splat, version)
    attributes = [
        [partial(encode, slice(k, k + ROWS)) for k in range(0, len(splat), ROWS)]
        for encode, width in zip(encoders(splat, header), header.widths, strict=True)
        if width
    ]

    def head(streams: int, start: int) -> bytes:
        facts = (version, len(splat), splat.degree, header.fraction, 0)
        return spz_zstd.HEADER.pack(int.from_bytes(MAGIC, "little"), *facts, streams, start)

    pieces: Iterator[bytes]
    if version == 3:
        plain = _HEAD.pack(MAGIC, version, len(splat), splat.degree, header.fraction, 0, 0)
        pieces = gzip_blocks.compressed([lambda: plain, *(make for blocks in attributes for make in blocks)])
    else:
        spz_zstd.zstd_module(Path(path).name)
        pieces = spz_zstd.compressed(Path(path).name, head, attributes)
    with writing(path) as stream:
        for piece in pieces:
            stream.write(piece)


def _open_gzip(data: memoryview, name: str) -> tuple[SpzHeader, list[memoryview], bytes]:
    reader = gzip_blocks.GzipReader(data, name)
    header, _ = _header(reader.read(_HEAD.size), name)
    if header.version > 3:
        raise InputError(f"{name} is SPZ version {header.version} in the container of version 3.", _AGAIN)
    check_promise(name, header.body, len(data))
    body = memoryview(reader.read(header.body))
    if len(body) < header.body:
        raise InputError(
            f"{name} is cut short: it has {len(body):,} bytes of {header.count:,} Gaussians, not {header.body:,}.",
            _AGAIN,
        )
    extensions = reader.rest(_MOST_AFTER)
    parts, at = [], 0
    for width in header.widths:
        parts.append(body[at : at + width * header.count])
        at += width * header.count
    return header, parts, extensions if header.flags & _HAS_EXTENSIONS else b""


def _open_zstd(data: memoryview, name: str) -> tuple[SpzHeader, list[memoryview], bytes]:
    header, streams = _header(data[: _HEAD.size], name)
    if header.version < 4:
        raise InputError(f"{name} is SPZ version {header.version} in the container of version 4.", _AGAIN)
    check_promise(name, header.body, len(data))
    sizes = [width * header.count for width in header.widths if width]
    if len(data) < spz_zstd.HEADER.size or streams != len(sizes):
        raise InputError(f"{name} is cut short or damaged: it says {streams} streams, not {len(sizes)}.", _AGAIN)
    start = spz_zstd.HEADER.unpack_from(data)[-1]
    parts = spz_zstd.streams_of(data, start, sizes, name)
    extensions = bytes(data[spz_zstd.HEADER.size : start]) if header.flags & _HAS_EXTENSIONS else b""
    return header, [*parts, memoryview(b"")][: len(header.widths)], extensions


def _header(head: bytes | memoryview, name: str) -> tuple[SpzHeader, int]:
    """What the first 16 bytes say, and the last of them, which is the number of streams in version 4."""
    if len(head) < _HEAD.size or head[:4] != MAGIC:
        raise InputError(f"{name} is no SPZ file, or it is cut short.", _AGAIN)
    _, version, count, degree, fraction, flags, last = _HEAD.unpack(head)
    if not 2 <= version <= 4:
        raise InputError(f"{name} is SPZ version {version}; versions 2, 3 and 4 are known.", "Export it as version 3.")
    if degree >= len(HARMONICS) or fraction > MOST_FRACTION + 1:
        raise InputError(
            f"{name} is damaged: it says harmonics of degree {degree} and {fraction} bits behind the point.", _AGAIN
        )
    if flags & _LEVELS_OF_DETAIL:
        raise InputError(
            f"{name} holds levels of detail: the same splat several times over.", "Export it without them."
        )
    return SpzHeader(version, count, degree, fraction, flags), last


def _signs_of(extensions: bytes, name: str) -> tuple[float, float, float]:
    """The signs that turn the file's axes into those of a PLY. An extension may say other axes than usual."""
    at = 0
    while at + _RECORD.size <= len(extensions):
        kind, size = _RECORD.unpack_from(extensions, at)
        at += _RECORD.size
        if kind == _COORDINATE_SYSTEM and 4 <= size <= len(extensions) - at:
            (system,) = struct.unpack_from("<I", extensions, at)
            if 1 <= system <= 8:  # LDB, RDB, LUB, RUB, LDF, RDF, LUF, RUF
                right, up, front = ((system - 1) >> bit & 1 for bit in range(3))
                return (1.0 if right else -1.0, -1.0 if up else 1.0, 1.0 if front else -1.0)
            if system:
                raise InputError(
                    f"{name} has axes that are not read (system {system}).", "Export it with y up, as RUB."
                )
        at += size
    return RUB_TO_PLY


_LOSES = (
    "Positions are rounded to 24 bits, rotations to 10 bits a component, sizes, opacities and colours to 8 bits, "
    "harmonics to 5 bits in degree 1 and to 4 bits above, between -1 and 1."
)
FORMAT = Format("SPZ", (".spz",), (GZIP,), read_spz, write_spz, loses=_LOSES, keeps_place=False)
FORMAT_4 = Format(
    name="SPZ 4",
    suffixes=(".v4.spz",),
    beginnings=(MAGIC,),
    read=read_spz,
    write=partial(write_spz, version=4),
    needs=spz_zstd.NEEDS,
    loses=_LOSES,
    keeps_place=False,
)

"""The container of SPZ version 4: a plain header, extensions, a table of sizes, and a Zstandard stream per attribute.

Zstandard is in Python 3.14 and in the package backports.zstd for older ones, with the same functions.
"""

import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

from bgs_engine.core.errors import EnvironmentLacksError, InputError
from bgs_engine.formats.gzip_blocks import THREADS

HEADER = struct.Struct("<IIIBBBBI12x")  # magic, version, count, degree, fraction, flags, streams, start of the table
_SIZES = struct.Struct("<QQ")  # of a stream: packed and unpacked
NEEDS = ("backports.zstd",) if sys.version_info < (3, 14) else ()
_LEVEL = 3  # 6 takes half as long again and saves 2 percent
_MOST_FRAMES = 1000  # one after the other in a stream; writers make one
_AGAIN = "Write or download it again."


def zstd_module(name: str) -> ModuleType:
    """Python's own module for Zstandard, or the same from a package.

    Raises:
        EnvironmentLacksError: there is neither. `name` is the file that needs it.
    """
    try:
        from compression import zstd  # Python 3.14 and later
    except ImportError:
        try:
            from backports import zstd
        except ImportError:
            raise EnvironmentLacksError(
                f"{name} is SPZ version 4, which needs the package backports.zstd.",
                "Run: pip install 'bgs-engine[formats]', or use SPZ version 3.",
            ) from None
    return zstd


def compressed(
    name: str, head: Callable[[int, int], bytes], attributes: Sequence[Sequence[Callable[[], bytes]]]
) -> Iterator[bytes]:
    """The file of the bytes that these functions give, a stream for each attribute, in pieces.

    head: gives the header from the number of streams and the start of the table.

    Raises:
        EnvironmentLacksError: Zstandard is missing.
    """
    zstd = zstd_module(name)
    options = {zstd.CompressionParameter.compression_level: _LEVEL}
    lowest, most = zstd.CompressionParameter.nb_workers.bounds()
    if most:  # else the library was built without threads
        options[zstd.CompressionParameter.nb_workers] = min(max(lowest, THREADS), most)
    sizes, streams = [], []
    with ThreadPoolExecutor(THREADS) as pool:
        for blocks in attributes:
            plain = b"".join(pool.map(lambda make: make(), blocks))
            sizes.append(len(plain))
            streams.append(zstd.compress(plain, options=options))  # one frame that says its size: all readers take it
    yield head(len(streams), HEADER.size)
    for packed, size in zip(streams, sizes, strict=True):
        yield _SIZES.pack(len(packed), size)
    yield from streams


def streams_of(data: memoryview, start: int, sizes: Sequence[int], name: str) -> list[memoryview]:
    """The unpacked streams of a file whose table begins at `start`. They must have these sizes.

    Raises:
        InputError: the file is damaged.
        EnvironmentLacksError: Zstandard is missing.
    """
    at = start + len(sizes) * _SIZES.size
    if start < HEADER.size or at > len(data):
        raise InputError(f"{name} is cut short or damaged: its table of streams lies outside.", _AGAIN)
    zstd = zstd_module(name)
    out = []
    for k, size in enumerate(sizes):
        packed, plain = _SIZES.unpack_from(data, start + k * _SIZES.size)
        if plain != size or packed > len(data) - at:
            raise InputError(f"{name} is cut short or damaged: the sizes of its streams do not fit.", _AGAIN)
        out.append(memoryview(_unpacked(zstd, data[at : at + packed], size, name)))
        at += packed
    return out


def _unpacked(zstd: ModuleType, packed: memoryview, size: int, name: str) -> bytes:
    parts: list[bytes] = []
    left, missing = bytes(packed), size
    try:
        while left and missing and len(parts) < _MOST_FRAMES:
            unpack = zstd.ZstdDecompressor()
            part = unpack.decompress(left, missing)
            parts.append(part)
            missing -= len(part)
            left = unpack.unused_data
    except zstd.ZstdError:
        raise InputError(f"{name} is damaged: it cannot be unpacked.", _AGAIN) from None
    if missing:
        raise InputError(f"{name} is cut short or damaged: a stream ends too early.", _AGAIN)
    return parts[0] if len(parts) == 1 else b"".join(parts)

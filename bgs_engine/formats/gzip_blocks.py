"""One gzip stream, compressed on several threads; and one read into no more memory than it should need.

zlib lets other threads of Python run. A stream of deflate may be cut into blocks that are compressed apart: each ends
on a byte (Z_SYNC_FLUSH) and the last one closes the stream. Many readers of SPZ take the first member of a gzip file
and ignore further ones, so all blocks are one member. (The program pigz does the same.)
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bgs_engine.core.errors import InputError

THREADS = min(8, os.cpu_count() or 1)
_HEAD = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))  # gzip with deflate; no name, no time, no system
_LEVEL = 4  # 6 takes twice as long and saves 3 percent
_AGAIN = "Write or download it again."


def compressed(blocks: Sequence[Callable[[], bytes]]) -> Iterator[bytes]:
    """The gzip file of the bytes that these functions give, one after the other, in pieces."""

    def work(make: Callable[[], bytes]) -> tuple[bytes, bytes]:
        plain = make()
        deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        return plain, deflate.compress(plain) + deflate.flush(zlib.Z_SYNC_FLUSH)

    checksum = size = 0
    yield _HEAD
    with ThreadPoolExecutor(THREADS) as pool:
        for plain, packed in pool.map(work, blocks):
            checksum, size = zlib.crc32(plain, checksum), size + len(plain)
            yield packed
    yield zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS).flush() + struct.pack(
        "<2I", checksum, size & 0xFFFFFFFF
    )


class GzipReader:
    """The first member of a gzip file in memory, read from its start to its end.

    Every method raises `InputError` for damage.
    """

    def __init__(self, data: bytes | memoryview, name: str) -> None:
        self._left: bytes | memoryview = data
        self._name = name
        self._inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def read(self, size: int) -> bytes:
        """The next `size` bytes, or fewer at the end."""
        if not size:
            return b""
        try:
            out = self._inflate.decompress(self._left, size)
        except zlib.error:
            raise InputError(f"{self._name} is damaged: it cannot be unpacked.", _AGAIN) from None
        self._left = self._inflate.unconsumed_tail
        return out

    def rest(self, most: int) -> bytes:
        """What is left up to the end, at most `most` bytes. Checks the checksum of all that was read."""
        out = self.read(most + 1)
        if len(out) > most:
            raise InputError(f"{self._name} has more data than it should.", _AGAIN)
        if not self._inflate.eof:
            raise InputError(f"{self._name} is cut short.", _AGAIN)
        return out

"""A glTF 2.0 document: its JSON, and the numbers of its buffers, read only where they lie in the file.

Specification: https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html. Every value of the JSON is a stranger's:
`Document` raises `ValueError` and the like for those that do not fit, which `gltf.py` turns into sentences.
"""

import base64
import json
import operator
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.files import MOST_JSON_BYTES
from bgs_engine.core.input_files import open_file

MAGIC = b"glTF"
JSON_CHUNK, BIN_CHUNK = 0x4E4F534A, 0x004E4942
BLOCK_BYTES = 1 << 20  # read at a time: small beside the result
_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}


@dataclass(frozen=True)
class Buffer:
    """Bytes of a stream: of the file itself, of one beside it, or of the JSON."""

    stream: BinaryIO
    start: int
    length: int


@dataclass(frozen=True)
class Accessor:
    """`count` rows of `width` numbers, from byte `start` of a stream, `stride` bytes apart."""

    stream: BinaryIO
    start: int
    count: int
    width: int
    dtype: np.dtype
    stride: int
    normalized: bool

    @property
    def row_bytes(self) -> int:
        """The bytes of the numbers of one row."""
        return self.width * self.dtype.itemsize

    def continues(self, other: "Accessor") -> bool:
        """Whether its rows follow those of `other` without a gap, in the same form."""
        form = (self.stream is other.stream, self.width, self.dtype, self.stride, self.normalized)
        same = form == (True, other.width, other.dtype, other.stride, other.normalized)
        return same and self.start == other.start + other.count * other.stride


class Document:
    """An open glTF file. Use it as a context, and close it at its end.

    `size` is the bytes of the file and of those beside it that were opened.

    Raises:
        InputError: it is not there or no glTF 2.0.
        ValueError, TypeError, KeyError, AttributeError, OverflowError: in any method, for damage.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = ExitStack()
        try:
            stream = self._files.enter_context(open_file(path))
            self.size = stream.seek(0, 2)
            stream.seek(0)
            text, self._binary = _parts(stream, self.size, path.name)
            self.json: dict[str, Any] = json.loads(text)
            if not isinstance(self.json, dict):
                raise ValueError("its JSON is no object")
            self._check_version()
        except BaseException:
            self._files.close()
            raise
        self._buffers: dict[int, Buffer] = {}

    def __enter__(self) -> "Document":
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def at(self, kind: str, index: Any) -> dict[str, Any]:
        """Entry `index` of the list `kind`, such as "nodes"."""
        entries, place = self.json[kind], operator.index(index)
        if not isinstance(entries, list) or not 0 <= place < len(entries) or not isinstance(entries[place], dict):
            raise ValueError(f"there is no entry {place} of {kind}")
        return entries[place]

    def view(self, index: Any) -> tuple[Buffer, int, int, int]:
        """A buffer view: the buffer, the first byte in its stream, the length, and the stride, 0 if it names none."""
        view = self.at("bufferViews", index)
        buffer = self._buffer(operator.index(view["buffer"]))
        start, length = _whole(view.get("byteOffset", 0)), _whole(view["byteLength"])
        if start + length > buffer.length:
            raise ValueError("a view reaches beyond its buffer")
        return buffer, buffer.start + start, length, _whole(view.get("byteStride", 0))

    def accessor(self, index: Any, width: int | tuple[int, ...]) -> Accessor:
        """An accessor of rows with this many numbers."""
        entry = self.at("accessors", index)
        if "sparse" in entry:
            raise ValueError("sparse accessors are not supported")
        if "bufferView" not in entry:
            raise ValueError("an accessor without data")
        size, dtype = _SIZES[entry["type"]], np.dtype(_TYPES[entry["componentType"]])
        if size not in ((width,) if isinstance(width, int) else width):
            raise ValueError(f"rows of {size} numbers where {width} are needed")
        buffer, start, length, stride = self.view(entry["bufferView"])
        count, offset, row = _whole(entry["count"]), _whole(entry.get("byteOffset", 0)), size * dtype.itemsize
        stride = stride or row
        if stride < row or not count or offset + (count - 1) * stride + row > length:
            raise ValueError("an accessor reaches beyond its view")
        normalized = bool(entry.get("normalized", False))
        return Accessor(buffer.stream, start + offset, count, size, dtype, stride, normalized)

    def _buffer(self, index: int) -> Buffer:
        if index in self._buffers:
            return self._buffers[index]
        entry = self.at("buffers", index)
        uri = entry.get("uri")
        if uri is None:
            if index or self._binary is None:
                raise ValueError("a buffer without data")
            buffer = self._binary
        elif uri.startswith("data:"):
            data = _Bytes(base64.b64decode(uri.partition(",")[2], validate=True))
            buffer = Buffer(data, 0, len(data.data))  # type: ignore[arg-type]
        else:
            stream = self._files.enter_context(open_file(self._beside(uri), "Put the files of the splat together."))
            buffer = Buffer(stream, 0, stream.seek(0, 2))
            self.size += buffer.length
        length = _whole(entry["byteLength"])
        if length > buffer.length:
            raise InputError(
                f"{self.path.name} is cut short: a buffer has {buffer.length:,} of {length:,} bytes.",
                "Copy or export the file again.",
            )
        self._buffers[index] = Buffer(buffer.stream, buffer.start, length)
        return self._buffers[index]

    def _beside(self, uri: str) -> Path:
        """A file in the folder of this one, or in a folder in it. No other file is read."""
        name = Path(unquote(uri))
        if urlsplit(uri).scheme or name.is_absolute() or name.drive or ".." in name.parts:
            raise ValueError("a buffer that is not beside it")
        return self.path.parent / name

    def _check_version(self) -> None:
        asset = self.json["asset"]
        version = str(asset.get("minVersion", asset["version"]))
        if version.split(".")[0] != "2" or float(version) > 2.0:
            raise InputError(f"{self.path.name} is glTF {version[:20]}, not 2.0.", "Export it as glTF 2.0.")


class _Bytes:
    """Bytes of the JSON as a stream to read from."""

    def __init__(self, data: bytes) -> None:
        self.data, self._at = data, 0

    def seek(self, offset: int) -> int:
        self._at = offset
        return offset

    def readinto(self, buffer: memoryview) -> int:
        part = self.data[self._at : self._at + len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def read_rows(pieces: Sequence[tuple[Accessor, int]], out: np.ndarray) -> None:
    """Rows of accessors into `out`, float32 [N, D], each from its row number on. Neighbours are read at once.

    Whole numbers that stand for fractions (`normalized`) become those.

    Raises:
        ValueError: a file has become shorter.
    """
    runs: list[tuple[Accessor, int, int]] = []  # the first accessor, its place, rows
    last: tuple[Accessor, int] | None = None
    for piece in pieces:
        if last and piece[0].continues(last[0]) and piece[1] == last[1] + last[0].count:
            first, place, count = runs[-1]
            runs[-1] = (first, place, count + piece[0].count)
        else:
            runs.append((piece[0], piece[1], piece[0].count))
        last = piece
    for first, place, count in runs:
        step = max(1, BLOCK_BYTES // first.stride)
        for done in range(0, count, step):
            part = min(step, count - done)
            out[place + done : place + done + part, : first.width] = _rows(first, done, part)


def read_bytes(stream: BinaryIO, start: int, length: int) -> bytearray:
    """Exactly these bytes.

    Raises:
        ValueError: the file has become shorter.
    """
    data = bytearray(length)
    view, done = memoryview(data), 0
    stream.seek(start)
    while done < length:
        got = stream.readinto(view[done:])  # type: ignore[attr-defined]
        if not got:
            raise ValueError("it has become shorter")
        done += got
    return data


def _rows(accessor: Accessor, first: int, count: int) -> np.ndarray:
    length = (count - 1) * accessor.stride + accessor.row_bytes
    data = read_bytes(accessor.stream, accessor.start + first * accessor.stride, length)
    strides = (accessor.stride, accessor.dtype.itemsize)
    rows: np.ndarray = np.ndarray((count, accessor.width), accessor.dtype, data, 0, strides)
    if not accessor.normalized or accessor.dtype.kind == "f":
        return rows
    return np.maximum(rows / np.float32(np.iinfo(accessor.dtype).max), np.float32(-1))


def _parts(stream: BinaryIO, size: int, name: str) -> tuple[bytes, Buffer | None]:
    """The JSON text and the binary chunk of a file, which may be JSON alone."""
    head = stream.read(12)
    if not head.startswith(MAGIC):
        if size > MOST_JSON_BYTES:
            raise InputError(f"{name} is no glTF.", "Check the path.")
        return head + bytes(read_bytes(stream, len(head), size - len(head))), None
    version, length = np.frombuffer(head, "<u4", 2, 4).tolist()
    if version != 2:
        raise InputError(f"{name} is a GLB of version {version}, not 2.", "Export it as glTF 2.0.")
    if length > size:
        raise InputError(f"{name} is cut short: {size:,} of {length:,} bytes.", "Copy or export the file again.")
    text, binary, at = b"", None, 12
    while at + 8 <= length and binary is None:
        chunk, kind = np.frombuffer(read_bytes(stream, at, 8), "<u4").tolist()
        at += 8
        if at + chunk > length:
            raise ValueError("a chunk reaches beyond the file")
        if kind == JSON_CHUNK and not text:
            if chunk > MOST_JSON_BYTES:
                raise ValueError("its JSON is too large")
            text = bytes(read_bytes(stream, at, chunk))
        elif kind == BIN_CHUNK:
            binary = Buffer(stream, at, chunk)
        at += chunk
    return text, binary


def _whole(value: Any) -> int:
    number = operator.index(value)
    if number < 0:
        raise ValueError(f"a size of {number}")
    return number

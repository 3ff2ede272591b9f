"""PLY reading and writing for Gaussian splats: any property order, every property kept, no row touched in Python.

All-scalar `binary_little_endian` files (what every trainer writes) are read a block of rows at a time, so that nothing
but the result stays in memory. Everything else (ASCII, big endian, list properties) goes through plyfile. Format: http://paulbourke.net/dataformats/ply/
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path

import numpy as np
import plyfile
from numpy.typing import DTypeLike

from bgs_engine.core.errors import InputError
from bgs_engine.core.files import writing

CHUNK_ROWS = 65536  # 16 MB at 62 floats a row: small beside the result, large beside the cost of a map
BLOCK_ROWS = 2048  # 0.5 MB at 62 floats a row: stays in the second-level cache between reading and copying out
SHORT_RUN = 8  # fewer columns than this are copied faster one by one: numpy's loops run along a row
MAX_HEADER_BYTES = 1 << 20

_DTYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1",
    "short": "<i2", "int16": "<i2", "ushort": "<u2", "uint16": "<u2",
    "int": "<i4", "int32": "<i4", "uint": "<u4", "uint32": "<u4",
    "float": "<f4", "float32": "<f4", "double": "<f8", "float64": "<f8",
}  # fmt: skip
_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint",
          "f4": "float", "f8": "double"}  # fmt: skip

SPLAT_PROPERTIES = (
    "x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip
REST_COUNTS = (0, 9, 24, 45)  # f_rest properties at spherical-harmonics degree 0, 1, 2, 3


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[tuple[str, str], ...]  # (name, dtype); dtype "list" for list properties


@dataclass(frozen=True)
class _Header:
    format: str
    elements: tuple[_Element, ...]
    bytes: int
    comments: tuple[str, ...]


@dataclass(frozen=True)
class _Run:
    """`length` neighbouring properties of one type, from byte `offset` of a row, bound for `column` of a result."""

    dtype: np.dtype
    offset: int
    column: int
    length: int


@dataclass(frozen=True)
class SplatPly:
    """The vertex rows of a splat PLY, on disk or (odd formats) in memory, in file order.

    `dtype` is the packed structured type of a row as `rows` yields it: little endian, the file's own property order.
    """

    path: Path
    count: int
    dtype: np.dtype
    comments: tuple[str, ...] = ()
    _offset: int = 0
    _table: np.ndarray | None = field(default=None, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Property names in file order."""
        return self.dtype.names or ()

    @property
    def rest_count(self) -> int:
        """Number of f_rest properties: 0, 9, 24 or 45."""
        return sum(name.startswith("f_rest_") for name in self.names)

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, structured rows) in file order; use each chunk before the next, it may be a memory map."""
        for start in range(0, self.count, CHUNK_ROWS):
            rows = min(CHUNK_ROWS, self.count - start)
            if self._table is not None:
                yield start, self._table[start : start + rows]
            else:
                offset = self._offset + start * self.dtype.itemsize
                try:
                    yield start, np.memmap(self.path, self.dtype, "r", offset, (rows,))
                except (OSError, ValueError) as error:
                    raise InputError(f"{self.path.name} can no longer be read: {error}.") from error

    def columns(self, names: Sequence[str], dtype: DTypeLike = np.float32) -> np.ndarray:
        """The named properties side by side, [N, len(names)]."""
        out = np.empty((self.count, len(names)), dtype)
        runs = self._runs(names)
        for start, rows in self._blocks():
            _copy_runs(rows, runs, out[start : start + len(rows)])
        return out

    def column_blocks(
        self, groups: Sequence[Sequence[str]], dtype: DTypeLike = np.float32
    ) -> Iterator[tuple[int, list[np.ndarray]]]:
        """(first row, one array [B, len(group)] per group), a few thousand rows at a time, in one pass over the file.

        Use each block before the next: the arrays are filled anew.
        """
        runs = [self._runs(names) for names in groups]
        buffers = [np.empty((BLOCK_ROWS, len(names)), dtype) for names in groups]
        for start, rows in self._blocks():
            parts = [buffer[: len(rows)] for buffer in buffers]
            for part, group in zip(parts, runs, strict=True):
                _copy_runs(rows, group, part)
            yield start, parts

    def column(self, name: str) -> np.ndarray:
        """One property in its own dtype, [N]."""
        return self.columns((name,), self.dtype[name]).ravel()

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The structured rows with these numbers (int [K], any order), bytes unchanged."""
        if self._table is not None:
            return self._table[rows]
        whole = np.memmap(self.path, self.dtype, "r", self._offset, (self.count,))
        return np.asarray(whole[rows])

    def _blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, structured rows), read into one buffer that stays in the processor's cache: no page of the file
        is mapped, which would cost more than copying it."""
        if self._table is not None:
            for start in range(0, self.count, BLOCK_ROWS):
                yield start, self._table[start : start + BLOCK_ROWS]
            return
        buffer = np.empty(BLOCK_ROWS, self.dtype)
        raw = buffer.view(np.uint8).data
        try:
            with self.path.open("rb", buffering=0) as stream:
                stream.seek(self._offset)
                for start in range(0, self.count, BLOCK_ROWS):
                    rows = min(BLOCK_ROWS, self.count - start)
                    _read_exactly(stream, raw[: rows * self.dtype.itemsize])
                    yield start, buffer[:rows]
        except OSError as error:
            raise InputError(f"{self.path.name} can no longer be read: {error}.", "Check the disk.") from error

    def _runs(self, names: Sequence[str]) -> list[_Run]:
        """The columns as runs of neighbours of one type, each of which is copied at once."""
        runs: list[_Run] = []
        for column, name in enumerate(names):
            kind, offset = self.dtype[name], self.dtype.fields[name][1]  # type: ignore[index]
            last = runs[-1] if runs else None
            if last and last.dtype == kind and last.offset + last.length * kind.itemsize == offset:
                runs[-1] = _Run(kind, last.offset, last.column, last.length + 1)
            else:
                runs.append(_Run(kind, offset, column, 1))
        return runs


def _copy_runs(rows: np.ndarray, runs: Sequence[_Run], out: np.ndarray) -> None:
    """Copy runs of the structured rows [B] into the columns of `out` [B, D]."""
    for run in runs:
        strides = (rows.dtype.itemsize, run.dtype.itemsize)
        part: np.ndarray = np.ndarray((len(rows), run.length), run.dtype, rows.data, run.offset, strides)
        if run.length < SHORT_RUN:
            for k in range(run.length):
                out[:, run.column + k] = part[:, k]
        else:
            out[:, run.column : run.column + run.length] = part


def _read_exactly(stream: RawIOBase, buffer: memoryview) -> None:
    """Fill the buffer; a raw stream may give less than asked for at a time (2 GB on Linux, less over networks)."""
    done = 0
    while done < len(buffer):
        got = stream.readinto(buffer[done:])
        if not got:
            raise OSError("it has become shorter")
        done += got


def read_ply(path: Path) -> SplatPly:
    """Open a Gaussian-splat PLY and check that it is one.

    Raises:
        InputError: not a PLY, cut short, empty, a mesh or point cloud without splat properties.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(MAX_HEADER_BYTES)
            size = os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the path and its permissions.") from None
    header = _parse_header(head, path.name)
    vertex = _checked_vertex(header, path.name)
    scalar = all(dtype != "list" for e in header.elements for _, dtype in e.properties)
    if header.format != "binary_little_endian" or not scalar or header.elements[0] is not vertex:
        _check_odd_size(header, vertex, size, path.name)
        return _read_odd(path, header, vertex)
    dtype = np.dtype(list(vertex.properties))
    available = max(0, (size - header.bytes) // dtype.itemsize)
    if available < vertex.count:
        raise InputError(
            f"{path.name} is cut short: its header promises {vertex.count:,} Gaussians, {available:,} are there.",
            "Copy or export the file again.",
        )
    return SplatPly(path, vertex.count, dtype, header.comments, header.bytes)


def _parse_header(head: bytes, name: str) -> _Header:
    not_ply = InputError(f"{name} is not a PLY file.", "Choose the .ply that your splat trainer exported.")
    if not head.startswith((b"ply\n", b"ply\r\n")):
        raise not_ply
    end = head.find(b"end_header")
    newline = head.find(b"\n", end)
    if end < 0 or newline < 0:
        raise InputError(f"{name} has a PLY header without an end.", "Copy or export the file again.")
    damaged = InputError(f"{name} has a damaged PLY header.", "Copy or export the file again.")
    form, comments, elements = "", [], []
    properties: list[tuple[str, str]] = []
    for line in head[:end].decode("latin-1").splitlines()[1:]:
        words = line.split()
        match words:
            case ["format", form, _]:
                pass
            case ["comment" | "obj_info", *_]:
                comments.append(line)
            case ["element", element, count] if count.isdecimal() and len(count) < 16:
                properties = []
                elements.append((element, int(count), properties))
            case ["property", "list", _, _, prop] if elements:
                properties.append((prop, "list"))
            case ["property", kind, prop] if elements and kind in _DTYPES:
                properties.append((prop, _DTYPES[kind]))
            case []:
                pass
            case _:
                raise damaged
    if form not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise damaged
    made = tuple(_Element(n, count, tuple(props)) for n, count, props in elements)
    if any(len({p for p, _ in e.properties}) != len(e.properties) for e in made):
        raise damaged
    return _Header(form, made, newline + 1, tuple(comments))


def _checked_vertex(header: _Header, name: str) -> _Element:
    vertex = next((e for e in header.elements if e.name == "vertex"), None)
    if vertex is None:
        raise InputError(f"{name} has no vertices: it is no splat.", "Export it from your trainer as 3DGS PLY.")
    have = {prop for prop, dtype in vertex.properties if dtype != "list"}
    missing = [prop for prop in SPLAT_PROPERTIES if prop not in have]
    if missing:
        meshy = any(e.name == "face" and e.count for e in header.elements)
        what = "a mesh" if meshy else "a point cloud"
        raise InputError(
            f"{name} has no {missing[0]}: it is {what}, not a Gaussian splat.",
            "Export it from your trainer as 3DGS PLY.",
        )
    rest = [prop for prop, _ in vertex.properties if prop.startswith("f_rest_")]
    if len(rest) not in REST_COUNTS or {f"f_rest_{i}" for i in range(len(rest))} != set(rest):
        raise InputError(
            f"{name} has {len(rest)} f_rest properties; 0, 9, 24 or 45 are possible.", "Export the file again."
        )
    if vertex.count == 0:
        raise InputError(f"{name} holds no Gaussians.", "Check the export settings of your trainer.")
    return vertex


def _check_odd_size(header: _Header, vertex: _Element, size: int, name: str) -> None:
    """Compare what the header promises with the file's size: plyfile asks for memory before it reads a row."""
    text = header.format == "ascii"
    needed = 0
    for element in header.elements:
        # In text a value is at least a digit and a blank; of a list at least its length is there.
        widths = [2 if text else 1 if kind == "list" else np.dtype(kind).itemsize for _, kind in element.properties]
        needed += element.count * max(1, sum(widths))
    if needed > size - header.bytes + text:  # the last line may lack its end
        raise InputError(
            f"{name} is cut short: its header promises {vertex.count:,} Gaussians, more than fit into its "
            f"{size:,} bytes.",
            "Copy or export the file again.",
        )


def _read_odd(path: Path, header: _Header, vertex: _Element) -> SplatPly:
    """Through plyfile, always memory mapped: its stream path takes minutes on a large file."""
    lists = {prop: 2 for prop, dtype in vertex.properties if dtype == "list"}
    try:
        data = plyfile.PlyData.read(str(path), mmap="r", known_list_len={"vertex": lists} if lists else {})
        table = data["vertex"].data
        keep = [(prop, dtype) for prop, dtype in vertex.properties if dtype != "list"]
        out = np.empty(len(table), np.dtype(keep))
        for prop, _ in keep:
            out[prop] = table[prop]
    except (plyfile.PlyParseError, OSError, ValueError, KeyError, TypeError, OverflowError, IndexError) as error:
        raise InputError(f"{path.name} cannot be read: {error}.", "Export it as binary little-endian PLY.") from error
    except MemoryError:
        raise InputError(
            f"{path.name} promises {vertex.count:,} Gaussians, more than memory holds.",
            "Copy or export the file again.",
        ) from None
    return SplatPly(path, len(out), out.dtype, header.comments, _table=out)


def write_ply(
    path: Path, dtype: np.dtype, chunks: Iterator[np.ndarray], count: int, comments: Sequence[str] = ()
) -> None:
    """Write structured rows as binary little-endian PLY, moved into place only when whole.

    Raises:
        InputError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    lines = ["ply", "format binary_little_endian 1.0", *comments, f"element vertex {count}"]
    lines += [f"property {_NAMES[dtype[name].str[1:]]} {name}" for name in dtype.names or ()]
    with writing(path) as stream:
        stream.write(("\n".join([*lines, "end_header"]) + "\n").encode("latin-1"))
        for rows in chunks:
            stream.write(rows.astype(dtype, copy=False).tobytes())

"""PLY reading and writing for Gaussian splats: any property order, every property kept, no row touched in Python.

All-scalar `binary_little_endian` files (what every trainer writes) are read a block of rows at a time, so that nothing
but the result stays in memory. Everything else (ASCII, big endian, list properties) goes through plyfile. Format: http://paulbourke.net/dataformats/ply/
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import plyfile
from numpy.typing import DTypeLike

from bgs_engine.core.errors import InputError
from bgs_engine.core.files import writing
from bgs_engine.core.input_files import open_file
from bgs_engine.io.ply_completed import added_names, completed
from bgs_engine.io.ply_compressed import CompressedPly, is_compressed
from bgs_engine.io.ply_header import MAX_HEADER_BYTES, Element, Header, check_odd_size, checked_vertex, parse_header
from bgs_engine.io.ply_header import REST_COUNTS as REST_COUNTS  # for those who write splats
from bgs_engine.io.ply_header import SPLAT_PROPERTIES as SPLAT_PROPERTIES

CHUNK_ROWS = 65536  # 16 MB at 62 floats a row: small beside the result, large beside the cost of a map
BLOCK_ROWS = 2048  # 0.5 MB at 62 floats a row: stays in the second-level cache between reading and copying out
FAR = 10_000.0  # scene units from the origin beyond which positions get an offset
FARTHEST = 1e12  # beyond it even doubles are coarse, and the numbers are damage
SAMPLES, SAMPLE_ROWS = 32, 64  # places in the file, and rows at each, of which the offset is the median
SHORT_RUN = 8  # fewer columns than this are copied faster one by one: numpy's loops run along a row

_NAMES = {"i1": "char", "u1": "uchar", "i2": "short", "u2": "ushort", "i4": "int", "u4": "uint",
          "f4": "float", "f8": "double"}  # fmt: skip


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
    `added` are its last properties if the file lacks them, see `ply_completed`.
    """

    path: Path
    count: int
    dtype: np.dtype
    comments: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    _offset: int = 0
    _table: np.ndarray | None = field(default=None, repr=False)

    @classmethod
    def of_rows(
        cls, path: Path, rows: np.ndarray, comments: tuple[str, ...] = (), added: tuple[str, ...] = ()
    ) -> "SplatPly":
        """Structured rows in memory, packed and little endian, that pass for the rows of the file `path`."""
        return cls(path, len(rows), rows.dtype, comments, added, _table=rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Property names in file order."""
        return self.dtype.names or ()

    @property
    def rest_count(self) -> int:
        """Number of f_rest properties: 0, 9, 24, 45 or 72."""
        return sum(name.startswith("f_rest_") for name in self.names)

    @cached_property
    def offset(self) -> np.ndarray:
        """Where the splat lies, float64 [3] of whole numbers: 0 on every axis on which it is near the origin.

        float32 numbers are 0.001 apart at 10,000 and 0.5 apart at 5,000,000, as in georeferenced scans. So positions
        are computed relative to this offset, which is the median of a sample.
        """
        starts = np.linspace(0, max(0, self.count - SAMPLE_ROWS), SAMPLES).astype(np.int64)
        rows = np.unique(starts[:, None] + np.arange(min(SAMPLE_ROWS, self.count)))
        sample = self.take(rows)
        with np.errstate(invalid="ignore"):
            positions = np.stack([sample[axis].astype(np.float64) for axis in "xyz"], 1)
        positions = positions[np.isfinite(positions).all(1)]
        middle = np.median(positions, axis=0) if len(positions) else np.zeros(3)
        return np.where((np.abs(middle) >= FAR) & (np.abs(middle) < FARTHEST), np.round(middle), 0.0)

    def positions(self) -> np.ndarray:
        """Positions relative to `offset`, float32 [N, 3], in scene units. They are subtracted in double precision."""
        if not self.offset.any():
            return self.columns(("x", "y", "z"))
        out = np.empty((self.count, 3), np.float32)
        for start, (block,) in self.column_blocks([("x", "y", "z")], np.float64):
            out[start : start + len(block)] = block - self.offset
        return out

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
        buffer = np.empty(min(BLOCK_ROWS, self.count), self.dtype)
        raw = buffer.view(np.uint8).data
        try:
            with open_file(self.path) as stream:
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
    data = rows.view(np.uint8).data  # as bytes: a buffer with names cannot hold a ':' in one
    for run in runs:
        strides = (rows.dtype.itemsize, run.dtype.itemsize)
        part: np.ndarray = np.ndarray((len(rows), run.length), run.dtype, data, run.offset, strides)
        if run.length < SHORT_RUN:
            for k in range(run.length):
                out[:, run.column + k] = part[:, k]
        else:
            out[:, run.column : run.column + run.length] = part


def _read_exactly(stream: BinaryIO, buffer: memoryview) -> None:
    """Fill the buffer; a raw stream may give less than asked for at a time (2 GB on Linux, less over networks)."""
    done = 0
    while done < len(buffer):
        got = stream.readinto(buffer[done:])  # type: ignore[attr-defined]
        if not got:
            raise OSError("it has become shorter")
        done += got


def read_ply(path: Path) -> SplatPly:
    """Open a Gaussian-splat PLY and check that it is one.

    A compressed one is decoded into memory. What flat Gaussians and plain colours lack is added there.

    Raises:
        InputError: not a PLY, cut short, empty, a mesh or point cloud without splat properties.
    """
    path = Path(path)
    with open_file(path, "Check the path and its permissions.") as stream:
        try:
            size = stream.seek(0, 2)
            stream.seek(0)
            head = stream.read(min(size, MAX_HEADER_BYTES))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.", "Check the disk.") from None
    header = parse_header(head, path.name)
    if is_compressed(header):
        return SplatPly.of_rows(path, CompressedPly.open(path, header, size).rows(), header.comments)
    ply = _opened(path, header, size)
    added = added_names(ply.names)
    if not added:
        return ply
    try:
        rows = completed(ply.chunks(), ply.count, ply.dtype)
    except MemoryError:
        raise InputError(f"{path.name} does not fit into memory.", "Close other programs.") from None
    return SplatPly.of_rows(path, rows, ply.comments, added)


def _opened(path: Path, header: Header, size: int) -> SplatPly:
    """The rows as the file has them."""
    vertex = checked_vertex(header, path.name)
    scalar = all(dtype != "list" for e in header.elements for _, dtype in e.properties)
    if header.format != "binary_little_endian" or not scalar or header.elements[0] is not vertex:
        check_odd_size(header, vertex, size, path.name)
        return _read_odd(path, header, vertex)
    dtype = np.dtype(list(vertex.properties))
    available = max(0, (size - header.bytes) // dtype.itemsize)
    if available < vertex.count:
        raise InputError(
            f"{path.name} is cut short: its header promises {vertex.count:,} Gaussians, {available:,} are there.",
            "Copy or export the file again.",
        )
    return SplatPly(path, vertex.count, dtype, header.comments, _offset=header.bytes)


def _read_odd(path: Path, header: Header, vertex: Element) -> SplatPly:
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
    return SplatPly.of_rows(path, out, header.comments)


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

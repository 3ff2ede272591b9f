"""NumPy files (.npy and .npz) that a stranger may have made. Sizes are checked before memory is asked for.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import open_buffered, short

_ZIPPED = 1 << 20  # bytes that are unpacked at a time


def load_array(path: Path, hint: str) -> np.ndarray:
    """The array of a .npy file, in memory.

    Raises:
        InputError: the file cannot be read, is damaged, or holds Python objects. `hint` says what to do.
    """
    with _plain_errors(path, hint), open_buffered(path, hint) as stream:
        shape, fortran, dtype = _header(stream)
        size = _bytes_of(shape, dtype)
        start = stream.tell()
        if size > stream.seek(0, 2) - start:
            raise ValueError("it is cut short")
        stream.seek(start)
        values = np.empty(size, np.uint8)
        if stream.readinto(values.data) != size:  # type: ignore[attr-defined]
            raise ValueError("it is cut short")
        return _array(values, shape, fortran, dtype)


class Archive:
    """An open .npz file. `names` are its arrays."""

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed
        self.names = tuple(name.removesuffix(".npy") for name in packed.namelist())

    def read(self, name: str, most: int) -> np.ndarray:
        """The array `name`, of at most `most` bytes.

        Raises:
            ValueError, KeyError and others: it is missing, damaged, or larger. `open_arrays` makes them plain.
        """
        with self._packed.open(f"{name}.npy") as stream:
            shape, fortran, dtype = _header(stream)
            size = _bytes_of(shape, dtype)
            if size > most:
                raise ValueError(f"{name} claims {size:,} bytes where at most {most:,} are possible")
            values = bytearray()
            while part := stream.read(min(_ZIPPED, size + 1 - len(values))):
                values += part
            if len(values) != size:
                raise ValueError(f"{name} has {len(values):,} of {size:,} bytes")
            return _array(np.frombuffer(values, np.uint8), shape, fortran, dtype)

    def read_bytes(self, name: str, most: int) -> bytes:
        """The content of the member `name` of the zip, of at most `most` bytes. Raises as `read`."""
        with self._packed.open(name) as stream:
            content = bytearray()
            while part := stream.read(_ZIPPED):
                content += part
                if len(content) > most:
                    raise ValueError(f"{name} has more than {most:,} bytes")
        return bytes(content)


@contextmanager
def open_arrays(path: Path, hint: str) -> Iterator[Archive]:
    """A .npz file. Whatever its bytes make go wrong inside the block comes out as InputError.

    Raises:
        InputError: the file cannot be read or is damaged. `hint` says what to do.
    """
    with _plain_errors(path, hint), open_buffered(path, hint) as stream, zipfile.ZipFile(stream) as packed:
        yield Archive(packed)


@contextmanager
def _plain_errors(path: Path, hint: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib, tokenize and numpy raise a dozen types on damaged bytes
        reason = (str(error) or type(error).__name__).splitlines()[0][:150].rstrip(".")
        raise InputError(f"{short(path)} is damaged ({reason}).", hint) from None


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(stream)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"version {version} of the format")
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if any(side < 0 for side in shape) or len(shape) > 8 or not dtype.itemsize:
        raise ValueError(f"it claims the shape {shape}")
    return shape, fortran, dtype


def _bytes_of(shape: tuple[int, ...], dtype: np.dtype) -> int:
    return math.prod(shape) * dtype.itemsize


def _array(values: np.ndarray, shape: tuple[int, ...], fortran: bool, dtype: np.dtype) -> np.ndarray:
    typed = values.view(dtype) if len(values) else np.empty(0, dtype)
    return typed.reshape(shape, order="F" if fortran else "C")

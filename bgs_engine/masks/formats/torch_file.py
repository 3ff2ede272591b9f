"""Reads one tensor of a PyTorch file without PyTorch.

A .pt file is a zip with a pickle that describes the tensor and a file with its bytes. PyTorch's own reader lets the
pickle ask for memory of any size, with its weights-only reader too. Here the pickle is read as a list of operations, of
which only those of one plain tensor are known, and nothing is executed.
Format: https://pytorch.org/docs/stable/notes/serialization.html
"""

import math
import pickletools
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.input_files import open_buffered
from bgs_engine.masks.formats.mask_format import damaged

MOST_PICKLE = 1 << 16  # bytes; the description of a tensor has some 300
_DTYPES = {
    "BoolStorage": "u1", "ByteStorage": "u1", "CharStorage": "i1", "ShortStorage": "i2", "IntStorage": "i4",
    "LongStorage": "i8", "HalfStorage": "f2", "FloatStorage": "f4", "DoubleStorage": "f8",
}  # fmt: skip
_MARK = object()
_REBUILD = "torch._utils _rebuild_tensor_v2"
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _MARK}
_VALUES = (
    "BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BININT", "BININT1", "BININT2", "INT", "LONG1",
)  # fmt: skip
_IGNORED = ("PROTO", "FRAME", "MEMOIZE")


@dataclass(frozen=True)
class _Storage:
    dtype: str
    key: str


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Name:
    name: str


def read_tensor(path: Path, wanted: str) -> np.ndarray:
    """The tensor that a .pt file holds. Bool tensors come as uint8.

    Raises:
        InputError: the file holds anything but one plain tensor; the message says what was `wanted`.
    """
    try:
        with open_buffered(path) as stream, zipfile.ZipFile(stream) as packed:
            return _read(packed)
    except InputError:
        raise
    except Exception as error:  # zipfile, pickletools and numpy raise many types on damaged bytes
        raise damaged(path, wanted, error) from None


def _read(packed: zipfile.ZipFile) -> np.ndarray:
    entries = {entry.filename: entry for entry in packed.infolist()}
    description = next(name for name in entries if name.endswith("/data.pkl"))
    if entries[description].file_size > MOST_PICKLE:
        raise ValueError("it describes more than a tensor")
    root = description.removesuffix("data.pkl")
    tensor = _described(packed.read(description))
    order = packed.read(f"{root}byteorder") if f"{root}byteorder" in entries else b"little"
    dtype = np.dtype(tensor.storage.dtype).newbyteorder(">" if order == b"big" else "<")
    entry = entries[f"{root}data/{tensor.storage.key}"]
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
        raise ValueError("its bytes are compressed")
    if math.prod(tensor.shape) * dtype.itemsize > entry.file_size:
        raise ValueError(f"its shape {tensor.shape} needs more than the {entry.file_size:,} bytes that are there")
    steps = tuple(step * dtype.itemsize for step in tensor.strides)
    return np.ndarray(tensor.shape, dtype, packed.read(entry), tensor.offset * dtype.itemsize, steps)


def _described(pickled: bytes) -> _Tensor:
    """The tensor that a pickle describes. Operations of anything else are refused."""
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    argument: Any  # what the operation brings; damaged pickles may bring anything
    for operation, argument, _ in pickletools.genops(pickled):
        name = operation.name
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _VALUES:
            stack.append(argument)
        elif name == "GLOBAL":
            stack.append(_Name(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_Name(f"{module} {attribute}"))
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(name[-1])
            stack[-size:] = [tuple(stack[-size:])]
        elif name == "TUPLE":
            start = len(stack) - 1 - stack[::-1].index(_MARK)
            stack[start:] = [tuple(stack[start + 1 :])]
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_called(function, arguments))
        elif name == "STOP":
            if len(stack) == 1 and isinstance(stack[0], _Tensor):
                return stack[0]
            raise ValueError("it holds no tensor")
        elif name not in _IGNORED:
            raise ValueError(f"it holds more than a tensor ({name})")
    raise ValueError("it holds no tensor")


def _storage(named: tuple[Any, ...]) -> _Storage:
    kind, storage, key, _, _ = named
    if kind != "storage" or not isinstance(key, str) or not storage.name.startswith("torch "):
        raise ValueError("it holds no plain tensor")
    return _Storage(_DTYPES[storage.name.removeprefix("torch ")], key)


def _called(function: Any, arguments: tuple[Any, ...]) -> object:
    if function == _Name("collections OrderedDict") and arguments == ():
        return None
    if function != _Name(_REBUILD):
        raise ValueError("it holds something else than one plain tensor")
    storage, offset, shape, strides = arguments[:4]
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or len(shape) != len(strides) or len(shape) > 8:
        raise ValueError("it holds a damaged tensor")
    if not all(type(number) is int and 0 <= number < 1 << 62 for number in numbers):
        raise ValueError("it holds a damaged tensor")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))

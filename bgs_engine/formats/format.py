"""What a module of this folder declares about its format."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bgs_engine.formats.raw_splat import RawSplat


@dataclass(frozen=True)
class Format:
    """A kind of splat file.

    name: as people call it. suffixes: the endings of its files in small letters, with the dot, the usual one first.
    beginnings: the first bytes of its files, for files with another ending.
    read: the splat of a file; it raises `InputError` for a damaged file or an unknown version. None: not read.
    write: writes a file as a whole or not at all; it raises `InputError` where that fails. None: not written. A writer
    that changes the order of the rows returns the order, int [K]: row k of the file is Gaussian `order[k]`. Else None.
    needs: packages beside NumPy and plyfile, by the names of their modules. Blender has none of them.
    extra: the extra of bgs-engine that brings these packages.
    keeps_labels: whether a file holds codes, names and tree. Beside other files lies a labels file (`labels_file.py`).
    keeps_offset: whether positions far from the origin stay as exact as near it.
    keeps_place: whether a splat far from the origin stays there. Else its offset is left out, and its shape is kept.
    loses: what a file does not keep of a splat, as a sentence.
    """

    name: str
    suffixes: tuple[str, ...]
    beginnings: tuple[bytes, ...] = ()
    read: Callable[[Path], RawSplat] | None = None
    write: Callable[[Path, RawSplat], np.ndarray | None] | None = None
    needs: tuple[str, ...] = ()
    extra: str = "formats"
    keeps_labels: bool = False
    keeps_offset: bool = False
    keeps_place: bool = True
    loses: str = "It keeps everything."

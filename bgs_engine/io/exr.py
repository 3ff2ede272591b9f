"""Writes OpenEXR pictures with any channels for compositing programs: scan lines, ZIP, half or float.

Format: https://openexr.com/en/latest/OpenEXRFileLayout.html. The packages that write such files are large, and the one
variant that is needed here takes forty lines.
"""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bgs_engine.core.files import writing

_MAGIC, _VERSION, _LONG_NAMES = 20000630, 2, 0x400
_ZIP, _LINES = 3, 16  # ZIP compression works on blocks of 16 scan lines
_HALF, _FLOAT = 1, 2
LONGEST_CHANNEL_NAME = 255


def write_exr(path: Path, channels: Mapping[str, np.ndarray], pixel_aspect: float = 1.0) -> None:
    """Write channels [H, W] of one size as a whole or not at all. float16 becomes half, other types become float.

    A name `Layer.Pass.Channel` makes programs show layers. pixel_aspect: width of a pixel over its height.

    Raises:
        ValueError: there are no channels, or they differ in size.
        InputError: the file cannot be written.
    """
    names = sorted(channels)
    sizes = {channels[name].shape for name in names}
    if len(sizes) != 1:
        raise ValueError("channels of one size are needed")
    height, width = next(iter(sizes))
    planes = [channels[n] if channels[n].dtype == np.float16 else channels[n].astype("<f4") for n in names]
    header = _header(dict(zip(names, planes, strict=True)), width, height, pixel_aspect)
    blocks = []
    for top in range(0, height, _LINES):
        lines = range(top, min(top + _LINES, height))
        raw = b"".join(plane[y].tobytes() for y in lines for plane in planes)
        packed = zlib.compress(_predicted(raw), 4)
        data = packed if len(packed) < len(raw) else raw
        blocks.append(struct.pack("<ii", top, len(data)) + data)
    start = len(header) + 8 * len(blocks)
    offsets = start + np.cumsum([0, *(len(block) for block in blocks[:-1])], dtype=np.uint64)
    with writing(path) as stream:
        stream.write(b"".join((header, offsets.astype("<u8").tobytes(), *blocks)))


def _header(planes: Mapping[str, np.ndarray], width: int, height: int, pixel_aspect: float) -> bytes:
    def attribute(name: str, kind: str, data: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(data)) + data

    listed = b"".join(
        name.encode()[:LONGEST_CHANNEL_NAME] + b"\0"
        + struct.pack("<iB3xii", _HALF if plane.dtype == np.float16 else _FLOAT, 0, 1, 1)
        for name, plane in planes.items()
    )  # fmt: skip
    long_names = any(len(name.encode()) > 31 for name in planes)
    box = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    return b"".join((
        struct.pack("<ii", _MAGIC, _VERSION | (_LONG_NAMES if long_names else 0)),
        attribute("channels", "chlist", listed + b"\0"),
        attribute("compression", "compression", bytes([_ZIP])),
        attribute("dataWindow", "box2i", box),
        attribute("displayWindow", "box2i", box),
        attribute("lineOrder", "lineOrder", b"\0"),
        attribute("pixelAspectRatio", "float", struct.pack("<f", pixel_aspect)),
        attribute("screenWindowCenter", "v2f", struct.pack("<ff", 0, 0)),
        attribute("screenWindowWidth", "float", struct.pack("<f", 1)),
        b"\0",
    ))  # fmt: skip


def _predicted(raw: bytes) -> bytes:
    """Even bytes, then odd ones; each as its difference from the one before, plus 128."""
    data = np.frombuffer(raw, np.uint8)
    split = np.concatenate([data[::2], data[1::2]]).astype(np.int16)
    split[1:] = split[1:] - split[:-1] + 128
    return split.astype(np.uint8).tobytes()

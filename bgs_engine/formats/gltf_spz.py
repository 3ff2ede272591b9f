"""Splats of glTF primitives that are packed as SPZ, by the extensions of Cesium and Niantic, beside plain ones.

The bytes of a buffer view are an SPZ file whose axes are those of the glTF, without any turn: so CesiumJS reads them.
https://github.com/KhronosGroup/glTF/pull/2531
"""

from typing import Any

import numpy as np

from bgs_engine.formats.gltf_document import Document, read_bytes
from bgs_engine.formats.gltf_read import check_count, read_plain
from bgs_engine.formats.gltf_scene import PACKED, SPLATS, Placed
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.spz import decode_spz

_ARRAYS = ("means", "scales", "quats", "opacities", "sh")


def read_splats(document: Document, placed: list[Placed]) -> tuple[RawSplat, list[slice]]:
    """All Gaussians as the file has them, not yet moved by their nodes, and the rows of each primitive.

    Raises:
        InputError: damaged SPZ, or more Gaussians than such a file can hold.
        EnvironmentLacksError: the SPZ has version 4, and Zstandard is missing.
        ValueError and the like: damage.
    """
    views = [_view_of(one.primitive) for one in placed]
    if all(view is None for view in views):
        return read_plain(document, placed)
    unpacked: dict[Any, RawSplat] = {}
    parts: list[RawSplat] = []
    total = 0
    for one, view in zip(placed, views, strict=True):
        if view is not None and view not in unpacked:
            unpacked[view] = _unpack(document, view)
        parts.append(read_plain(document, [one])[0] if view is None else unpacked[view])
        total += len(parts[-1])
        check_count(document, total)
    ends = np.cumsum([len(part) for part in parts]).tolist()
    rows = [slice(end - len(part), end) for end, part in zip(ends, parts, strict=True)]
    if len(parts) == 1:
        return parts[0], rows
    kept = max(part.sh.shape[1] for part in parts)
    means, scales, quats, opacities = (np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS[:4])
    sh = np.zeros((ends[-1], kept, 3), np.float32)
    for own, part in zip(rows, parts, strict=True):
        sh[own, : part.sh.shape[1]] = part.sh
    return RawSplat(means, scales, quats, opacities, sh), rows


def _view_of(primitive: dict[str, Any]) -> Any:
    """The buffer view with the SPZ of a primitive; None: it is plain."""
    extensions = primitive["extensions"]
    inner = (extensions.get(SPLATS) or {}).get("extensions", {})
    return next((found[name]["bufferView"] for name in PACKED for found in (inner, extensions) if name in found), None)


def _unpack(document: Document, view: Any) -> RawSplat:
    buffer, start, length, _ = document.view(view)
    splat = decode_spz(bytes(read_bytes(buffer.stream, start, length)), document.path.name, ply_axes=False)
    if not len(splat):
        raise ValueError("an SPZ without Gaussians")
    return splat

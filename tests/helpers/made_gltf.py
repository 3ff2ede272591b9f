"""glTF files as other programs write them, from arrays."""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

SPLATS = "KHR_gaussian_splatting"
_CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "f4": 5126}
_KINDS = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}


def attributes(count: int = 5, seed: int = 0) -> dict[str, np.ndarray]:
    """The activated values of a few Gaussians with harmonics of degree 1, by the names of the extension."""
    rng = np.random.default_rng(seed)
    quats = rng.normal(size=(count, 4))
    values = {
        "POSITION": rng.normal(size=(count, 3)),
        f"{SPLATS}:ROTATION": quats / np.linalg.norm(quats, axis=1, keepdims=True),
        f"{SPLATS}:SCALE": rng.uniform(0.01, 0.5, (count, 3)),
        f"{SPLATS}:OPACITY": rng.uniform(0.1, 0.9, (count, 1)),
        f"{SPLATS}:SH_DEGREE_0_COEF_0": rng.normal(size=(count, 3)),
        **{f"{SPLATS}:SH_DEGREE_1_COEF_{k}": rng.normal(size=(count, 3)) for k in range(3)},
    }
    return {name: value.astype(np.float32) for name, value in values.items()}


def document(
    arrays: dict[str, np.ndarray],
    node: dict[str, Any] | None = None,
    stride: int = 0,
    about: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], bytes]:
    """The JSON and the buffer of one node with one mesh. Whole numbers count as fractions. `stride` spreads rows."""
    views, accessors, data = [], [], b""
    for values in arrays.values():
        rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
        step = stride or rows.shape[1]
        spread = np.zeros((len(values), step), np.uint8)
        spread[:, : rows.shape[1]] = rows
        views.append(
            {
                "buffer": 0,
                "byteOffset": len(data),
                "byteLength": spread.size,
                **({"byteStride": step} if stride else {}),
            }
        )
        code = _CODES[values.dtype.str[1:]]
        fraction = {} if code == _CODES["f4"] else {"normalized": True}
        kind = {"componentType": code, "type": _KINDS[values.shape[1]], **fraction}
        accessors.append({"bufferView": len(views) - 1, "count": len(values), **kind})
        data += spread.tobytes() + b"\0" * (-spread.size % 4)
    about = about or {"kernel": "ellipse", "colorSpace": "srgb_rec709_display"}
    names = {name: k for k, name in enumerate(arrays)}
    primitive = {"attributes": names, "mode": 0, "extensions": {SPLATS: about}}
    made = {
        "asset": {"version": "2.0"}, "extensionsUsed": [SPLATS], "scene": 0, "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, **(node or {})}], "meshes": [{"primitives": [primitive]}],
        "accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": len(data)}],
    }  # fmt: skip
    return made, data


def packed(spz: bytes, extension: str) -> tuple[dict[str, Any], bytes]:
    """The JSON and the buffer of splats packed as SPZ, in two nodes of which the first is moved by 5 along z."""
    view = {"bufferView": 0}
    inside = {SPLATS: {"extensions": {extension: view}}} if extension.startswith(SPLATS) else {extension: view}
    made = {
        "asset": {"version": "2.0"}, "extensionsRequired": [extension], "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"mesh": 0, "translation": [0, 0, 5]}, {"mesh": 0}],
        "meshes": [{"primitives": [{"mode": 0, "attributes": {}, "extensions": inside}]}],
        "bufferViews": [{"buffer": 0, "byteLength": len(spz)}], "buffers": [{"byteLength": len(spz)}],
    }  # fmt: skip
    return made, spz + b"\0" * (-len(spz) % 4)


def glb_bytes(made: dict[str, Any], data: bytes) -> bytes:
    """A GLB of a JSON and its buffer."""
    text = json.dumps(made).encode()
    text += b" " * (-len(text) % 4)
    chunks = np.array([len(text), 0x4E4F534A], "<u4").tobytes() + text
    chunks += np.array([len(data), 0x004E4942], "<u4").tobytes() + data
    return b"glTF" + np.array([2, 12 + len(chunks)], "<u4").tobytes() + chunks


def gltf_bytes(made: dict[str, Any], data: bytes) -> bytes:
    """A glTF of text that holds its buffer."""
    uri = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    return json.dumps({**made, "buffers": [{"uri": uri, "byteLength": len(data)}]}).encode()


def parts_of(path: Path) -> tuple[dict[str, Any], bytes]:
    """The JSON and the buffer of a GLB."""
    data = path.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + length]), data[28 + length :]

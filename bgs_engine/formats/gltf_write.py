"""Writes a GLB of splats: one node, or the tree of labels as nodes, over buffers that hold the rows in its order."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine import __version__
from bgs_engine.core.errors import InputError
from bgs_engine.core.files import writing
from bgs_engine.formats.activation import lengths_of, opacities_of, unit_quats
from bgs_engine.formats.axes import LUF_TO_PLY, quat_signs, sh_signs
from bgs_engine.formats.gltf_document import BIN_CHUNK, JSON_CHUNK, MAGIC
from bgs_engine.formats.gltf_read import COLOR, harmonic_names
from bgs_engine.formats.gltf_scene import SPLATS
from bgs_engine.formats.label_tree import KEY, Branch, scene_facts
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.io.gaussians import SH_C0

MOST_BYTES = 2**32 - 1  # of a GLB, which counts them in 32 bits
BLOCK = 1 << 16  # rows at a time
_TOGETHER = (5, 4, 3, 1)  # harmonics that are gathered at once: up to 60 bytes, most of a cache line
_FLOAT, _BYTE, _POINTS, _VERTICES = 5126, 5121, 0, 34962
_ABOUT = {
    "kernel": "ellipse",
    "colorSpace": "srgb_rec709_display",
    "projection": "perspective",
    "sortingMethod": "cameraDistance",
}
Attribute = tuple[str, str, int]  # name, type, bytes of a row
Column = Callable[[], Iterator[np.ndarray]]  # gives the rows of one attribute, a block at a time


def write_glb(path: Path, splat: RawSplat, rows: np.ndarray, tree: list[Branch] | None) -> None:
    """Write the Gaussians `rows`, int [K], which are all drawable, and the tree of their labels.

    Raises:
        OutputError: the file cannot be written.
        InputError: it would have more than 4 GB.
    """
    attributes = attributes_of(splat)
    columns = dict(columns_of(splat, rows))
    scene = scene_of(path.stem, splat, rows, tree, attributes)
    write_chunks(path, scene, [columns[name] for name, *_ in attributes])


def write_chunks(path: Path, scene: dict[str, Any], columns: Sequence[Column]) -> None:
    """Write the JSON of a scene, and the columns of its one buffer behind each other.

    Raises:
        OutputError: the file cannot be written.
        InputError: it would have more than 4 GB.
    """
    text = json.dumps(scene, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    binary = scene["buffers"][0]["byteLength"]
    if 28 + len(text) + binary > MOST_BYTES:
        raise InputError(f"{path.name} would have {binary:,} bytes, and a GLB has at most 4 GB.", "Write a PLY.")
    with writing(path) as stream:
        stream.write(MAGIC + np.array([2, 28 + len(text) + binary, len(text), JSON_CHUNK], "<u4").tobytes() + text)
        stream.write(np.array([binary, BIN_CHUNK], "<u4").tobytes())
        for column in columns:
            for block in column():
                stream.write(np.ascontiguousarray(block).data)


def attributes_of(splat: RawSplat) -> list[Attribute]:
    """The attributes of a primitive of splats, in the order of their buffer views."""
    vectors = [name for degree in range(splat.degree + 1) for name in harmonic_names(degree)]
    return [
        ("POSITION", "VEC3", 12), (f"{SPLATS}:ROTATION", "VEC4", 16), (f"{SPLATS}:SCALE", "VEC3", 12),
        (f"{SPLATS}:OPACITY", "SCALAR", 4), (COLOR, "VEC4", 4), *((name, "VEC3", 12) for name in vectors),
    ]  # fmt: skip


def columns_of(splat: RawSplat, rows: np.ndarray) -> Iterator[tuple[str, Column]]:
    """Each attribute with a function that gives its rows, a block at a time."""
    signs = np.array(LUF_TO_PLY, np.float32)
    of_quats, of_sh = quat_signs(LUF_TO_PLY), sh_signs(LUF_TO_PLY, splat.sh.shape[1])

    def blocks(make: Callable[[np.ndarray], np.ndarray]) -> Column:
        return lambda: (make(rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK))

    def colors(some: np.ndarray) -> np.ndarray:
        opacities = opacities_of(splat.opacities[some])[:, None]
        shown = np.concatenate([splat.sh[some, 0] * np.float32(SH_C0) + np.float32(0.5), opacities], 1)
        return (shown.clip(0, 1) * 255 + 0.5).astype(np.uint8)

    yield "POSITION", blocks(lambda some: splat.means[some] * signs)
    yield f"{SPLATS}:ROTATION", blocks(lambda some: np.roll(unit_quats(splat.quats[some]) * of_quats, -1, axis=1))
    yield f"{SPLATS}:SCALE", blocks(lambda some: lengths_of(splat.scales[some]))
    yield f"{SPLATS}:OPACITY", blocks(lambda some: opacities_of(splat.opacities[some]))
    yield COLOR, blocks(colors)
    names = [name for degree in range(splat.degree + 1) for name in harmonic_names(degree)]
    together = next(count for count in _TOGETHER if len(names) % count == 0)
    groups = splat.sh.reshape(len(splat), -1).view(f"V{12 * together}")  # one item is copied several times faster
    gathered: dict[int, np.ndarray] = {}

    def harmonic(k: int) -> Column:
        def give() -> Iterator[np.ndarray]:
            group = k // together
            if group not in gathered:
                gathered.clear()
                gathered[group] = groups[:, group][rows].view(np.float32).reshape(len(rows), together, 3)
            yield gathered[group][:, k % together] * of_sh[k]

        return give

    for k, name in enumerate(names):
        yield name, harmonic(k)


def scene_of(
    name: str, splat: RawSplat, rows: np.ndarray, tree: list[Branch] | None, attributes: list[Attribute]
) -> dict[str, Any]:
    """The JSON. A buffer view holds one attribute of all Gaussians, and each label has a part of it."""
    starts = np.concatenate([[0], np.cumsum([size * len(rows) for *_, size in attributes])]).tolist()
    out: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": f"Binary Gaussian Segmentation {__version__}"},
        "extensionsUsed": [SPLATS],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name}],
        "meshes": [],
        "accessors": [],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": size * len(rows), "byteStride": size, "target": _VERTICES}
            for start, (*_, size) in zip(starts, attributes, strict=False)
        ],
        "buffers": [{"byteLength": starts[-1]}],
    }
    root = out["nodes"][0]
    if splat.offset.any():
        root["translation"] = (splat.offset * LUF_TO_PLY).tolist()

    def mesh(own: slice, named: str) -> int:
        part = splat.means[rows[own]] * np.array(LUF_TO_PLY, np.float32)
        box = {"min": part.min(0).tolist(), "max": part.max(0).tolist()}
        first = len(out["accessors"])
        for place, (attribute, kind, size) in enumerate(attributes):
            form = {"componentType": _BYTE, "normalized": True} if attribute == COLOR else {"componentType": _FLOAT}
            more = {"byteOffset": own.start * size} if own.start else {}
            extent = box if attribute == "POSITION" else {}
            where = {"bufferView": place, "count": own.stop - own.start, "type": kind}
            out["accessors"].append({**where, **more, **form, **extent})
        places = {attribute: first + place for place, (attribute, *_) in enumerate(attributes)}
        primitive = {"attributes": places, "mode": _POINTS, "extensions": {SPLATS: _ABOUT}}
        out["meshes"].append({"name": named, "primitives": [primitive]})
        return len(out["meshes"]) - 1

    def add(branch: Branch) -> int:
        index = len(out["nodes"])
        node: dict[str, Any] = {"name": branch.name, "extras": {KEY: branch.facts}}
        out["nodes"].append(node)
        if branch.rows is not None:
            node["mesh"] = mesh(branch.rows, branch.name)
        if branch.children:
            node["children"] = [add(child) for child in branch.children]
        return index

    if tree is None or splat.labels is None:
        root["mesh"] = mesh(slice(0, len(rows)), name)
    else:
        root["extras"] = {KEY: scene_facts(splat.labels)}
        root["children"] = [add(branch) for branch in tree]
    return out

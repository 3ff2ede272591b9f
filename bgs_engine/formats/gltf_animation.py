"""Writes splats that move: a GLB with a node for each, and one animation of their translations, rotations and scales.

The nodes have the places of the first frame, so a reader without animation sees that frame. A node turns about the
splat's pivot, so that viewers that interpolate between frames stay on its path.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.errors import InputError
from bgs_engine.core.quaternions import matrices_quaternions
from bgs_engine.formats.activation import drawable
from bgs_engine.formats.axes import LUF_TO_PLY
from bgs_engine.formats.gltf_write import Column, attributes_of, columns_of, scene_of, write_chunks
from bgs_engine.formats.raw_splat import RawSplat

SHEAR = 1e-4  # between axes of a map that count as upright; float32 matrices of Blender are ten times as exact
STILL = 1e-6  # relative; what changes less does not move
_FLOAT = 5126
_AXES = np.array(LUF_TO_PLY)


@dataclass(frozen=True)
class Actor:
    """A splat that moves.

    splat: its Gaussians where they are in the first frame. pivot: [3], the point about which it turns. moves: float64
    [F, 4, 4], the maps from the first frame to each. All are in the axes of a PLY, with the offset of the splat.
    """

    name: str
    splat: RawSplat
    pivot: np.ndarray
    moves: np.ndarray


@dataclass(frozen=True)
class _Track:
    """The values of one property of a node in each frame, float32 [F, 3 or 4]."""

    node: int
    path: str
    values: np.ndarray


def write_animation(path: Path, actors: Sequence[Actor], seconds: np.ndarray) -> None:
    """Write a GLB. seconds: float [F], the times of the frames, from 0 on.

    Raises:
        OutputError: the file cannot be written.
        InputError: an actor is sheared or mirrored by its animation, has no drawable Gaussian, or the file would have
            more than 4 GB.
    """
    out: dict[str, Any] = {"nodes": [{"name": path.stem, "children": []}], "meshes": [], "accessors": []}
    out["bufferViews"], columns, tracks, size = [], [], [], 0
    for actor in actors:
        rows = np.flatnonzero(drawable(actor.splat.means, actor.splat.scales, actor.splat.quats))
        if not len(rows):
            hint = "Leave it out."
            raise InputError(f"{actor.name} has no Gaussian with a finite position, size and rotation.", hint)
        far, pivot = actor.splat.offset, _single(actor.pivot - actor.splat.offset)
        above = out["nodes"][0]
        if far.any():  # 32-bit numbers of an animation could not hold places so far away
            above["children"].append(len(out["nodes"]))
            above = {"name": actor.name, "translation": (far * _AXES).tolist(), "children": []}
            out["nodes"].append(above)
        node = len(out["nodes"])
        values = dict(_tracks(actor, pivot))
        above["children"].append(node)
        still = {name: track[0].tolist() for name, track in values.items()}
        out["nodes"].append({"name": actor.name, "children": [node + 1], **still})
        tracks += [_Track(node, name, track) for name, track in values.items() if _moves(track)]
        attributes = attributes_of(actor.splat)
        mesh = scene_of(actor.name, actor.splat, rows, None, attributes)
        mesh["nodes"][0]["translation"] = (-pivot * _AXES + 0.0).tolist()  # + 0: no -0
        size = _append(out, mesh, size)
        made = dict(columns_of(actor.splat, rows))
        columns += [made[name] for name, *_ in attributes]
        about = mesh
    if tracks:
        size = _append_tracks(out, tracks, seconds, columns, size)
    head = {key: about[key] for key in ("asset", "extensionsUsed", "scene", "scenes")}
    write_chunks(path, {**head, **out, "buffers": [{"byteLength": size}]}, columns)


def _append(out: dict[str, Any], one: dict[str, Any], size: int) -> int:
    """Put the JSON of one splat behind that of others, with its buffer behind theirs. Returns the bytes so far."""
    accessors, meshes, views = len(out["accessors"]), len(out["meshes"]), len(out["bufferViews"])
    for node in one["nodes"]:
        out["nodes"].append({**node, **({"mesh": node["mesh"] + meshes} if "mesh" in node else {})})
    for mesh in one["meshes"]:
        for primitive in mesh["primitives"]:
            places = primitive["attributes"].items()
            primitive["attributes"] = {name: place + accessors for name, place in places}
        out["meshes"].append(mesh)
    for accessor in one["accessors"]:
        out["accessors"].append({**accessor, "bufferView": accessor["bufferView"] + views})
    for view in one["bufferViews"]:
        out["bufferViews"].append({**view, "byteOffset": view["byteOffset"] + size})
    return size + int(one["buffers"][0]["byteLength"])


def _append_tracks(
    out: dict[str, Any], tracks: list[_Track], seconds: np.ndarray, columns: list[Column], size: int
) -> int:
    """Add the animation, with its numbers behind the splats. Returns the bytes of the buffer."""
    times = np.asarray(seconds, np.float32)
    samplers: list[dict[str, Any]] = []
    channels: list[dict[str, Any]] = []

    def add(values: np.ndarray, kind: str, **more: Any) -> int:
        nonlocal size
        out["bufferViews"].append({"buffer": 0, "byteOffset": size, "byteLength": values.nbytes})
        view = len(out["bufferViews"]) - 1
        out["accessors"].append(
            {"bufferView": view, "count": len(values), "type": kind, "componentType": _FLOAT, **more}
        )
        columns.append(lambda: iter([values]))
        size += values.nbytes
        return len(out["accessors"]) - 1

    clock = add(times, "SCALAR", min=[float(times.min())], max=[float(times.max())])
    for track in tracks:
        values = add(track.values, f"VEC{track.values.shape[1]}")
        channels.append({"sampler": len(samplers), "target": {"node": track.node, "path": track.path}})
        samplers.append({"input": clock, "output": values, "interpolation": "LINEAR"})
    out["animations"] = [{"name": "Animation", "samplers": samplers, "channels": channels}]
    return size


def _single(values: np.ndarray) -> np.ndarray:
    """Numbers rounded as a glTF keeps them in 32 bits, so that what adds them up again gets nothing but 0."""
    return np.asarray(values, np.float32).astype(np.float64)


def _tracks(actor: Actor, pivot: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Translation, rotation (x, y, z, w) and scale of the actor's node in every frame, float32, in the axes of glTF.

    `pivot` [3] lacks the offset of the splat, and the translations do too.

    Raises:
        InputError: a map is no product of the three.
    """
    moves, far = np.asarray(actor.moves, np.float64), actor.splat.offset
    linear = moves[:, :3, :3] * _AXES[:, None] * _AXES  # C L C
    scales = np.linalg.norm(linear, axis=1)  # of the columns: the map is R diag(s)
    with np.errstate(all="ignore"):
        turns = linear / scales[:, None]
        wrong = np.abs(turns.transpose(0, 2, 1) @ turns - np.eye(3)).max((1, 2))
    if not (wrong < SHEAR).all() or not (np.linalg.det(turns) > 0).all():
        what = "mirrored" if (wrong < SHEAR).all() else "sheared"
        raise InputError(
            f"{actor.name} is {what} in the course of its animation, which the nodes of a glTF cannot say.",
            "Export a sequence of files instead, or animate without that.",
        )
    quats = matrices_quaternions(turns)
    flips = np.sign(np.einsum("fi,fi->f", quats[1:], quats[:-1]))
    quats[1:] *= np.cumprod(np.where(flips < 0, -1.0, 1.0))[:, None]  # neighbours on the same side, for interpolation
    places = (moves[:, :3, :3] @ (pivot + far) + moves[:, :3, 3] - far) * _AXES
    found = (("translation", places), ("rotation", np.roll(quats, -1, axis=1)), ("scale", scales))
    return [(name, values.astype(np.float32)) for name, values in found]


def _moves(values: np.ndarray) -> bool:
    return bool(np.abs(values - values[0]).max() > STILL * max(1.0, float(np.abs(values).max())))

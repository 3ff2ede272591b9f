"""Plays animations of GLB files as any player of glTF does: the matrices of nodes in a frame."""

from pathlib import Path
from typing import Any

import numpy as np

from bgs_engine.core.quaternions import quaternion_matrices
from tests.helpers.made_gltf import parts_of

TURN = np.diag([-1.0, -1.0, 1.0, 1.0])  # from glTF to PLY and back


def table(made: dict[str, Any], data: bytes, index: int) -> np.ndarray:
    """The numbers of an accessor of an animation, float64 [N, width]."""
    accessor = made["accessors"][index]
    view = made["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    assert accessor["componentType"] == 5126 and view["byteLength"] == 4 * width * accessor["count"]
    return np.frombuffer(data, "<f4", width * accessor["count"], view["byteOffset"]).reshape(-1, width).astype(float)


def matrix_of(node: dict[str, Any]) -> np.ndarray:
    """The matrix [4, 4] of a node from its translation, rotation and scale."""
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    out = np.eye(4)
    out[:3, :3] = quaternion_matrices(np.array([[w, x, y, z]]))[0] * np.array(node.get("scale", (1, 1, 1)))
    out[:3, 3] = node.get("translation", (0, 0, 0))
    return out


def world_in(path: Path, name: str, frame: int) -> np.ndarray:
    """The matrix of the mesh `name` in a frame, in the axes of a PLY, as a player of glTF computes it."""
    made, data = parts_of(path)
    nodes = [dict(node) for node in made["nodes"]]
    for animation in made.get("animations", []):
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            values = table(made, data, sampler["output"])
            nodes[channel["target"]["node"]][channel["target"]["path"]] = values[frame].tolist()

    def find(index: int, above: np.ndarray) -> np.ndarray | None:
        node = nodes[index]
        here = above @ matrix_of(node)
        if "mesh" in node and node["name"] == name:
            return here
        return next((m for child in node.get("children", []) if (m := find(child, here)) is not None), None)

    found = find(made["scenes"][0]["nodes"][0], np.eye(4))
    assert found is not None
    return TURN @ found @ TURN

"""The splats of a glTF scene: which primitives its nodes hold, where, and below which labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bgs_engine.core.quaternions import quaternion_matrices
from bgs_engine.formats.gltf_document import Document
from bgs_engine.formats.label_tree import KEY, Found

SPLATS = "KHR_gaussian_splatting"
# Splats packed as SPZ: inside SPLATS, and by drafts beside it.
PACKED = (
    "KHR_gaussian_splatting_compression_spz_2",
    "KHR_gaussian_splatting_compression_spz",
    "KHR_spz_gaussian_splats_compression",
)


@dataclass(frozen=True)
class Placed:
    """A primitive of splats in a node: its JSON, the node's transform to the scene, float64 [4, 4], and its code."""

    primitive: dict[str, Any]
    matrix: np.ndarray
    code: int | None


@dataclass(frozen=True)
class Scene:
    """The splats of the default scene, in the order of its nodes, and what the nodes say about labels."""

    splats: list[Placed]
    found: Found


def splats_of(document: Document) -> Scene:
    """Walk the nodes of the default scene.

    Raises:
        ValueError and the like: damage, such as a node inside itself.
    """
    splats: list[Placed] = []
    labels: list[tuple[str, dict[str, Any]]] = []
    facts: dict[str, Any] | None = None
    waiting = [(index, np.eye(4), None) for index in reversed(_roots(document))]
    seen: set[int] = set()
    while waiting:
        index, above, code = waiting.pop()
        node = document.at("nodes", index)
        if index in seen:
            raise ValueError(f"node {index} has two parents")
        seen.add(index)
        matrix = above @ _transform(node)
        own = node["extras"].get(KEY) if isinstance(node.get("extras"), dict) else None
        if isinstance(own, dict) and "level_bits" in own:
            facts = facts or own
        elif isinstance(own, dict) and "level" in own:
            labels.append((str(node.get("name", "")), own))
            code = own.get("code", code)
        if "mesh" in node:
            for primitive in document.at("meshes", node["mesh"])["primitives"]:
                if not {SPLATS, *PACKED}.isdisjoint(primitive.get("extensions", {})):
                    splats.append(Placed(primitive, matrix, code))
        waiting += [(child, matrix, code) for child in reversed(node.get("children", []))]
    return Scene(splats, Found(facts, labels))


def _roots(document: Document) -> list[int]:
    """The nodes of the default scene; of a file without scenes, all nodes that are nobody's child."""
    if document.json.get("scenes"):
        return list(document.at("scenes", document.json.get("scene", 0)).get("nodes", []))
    nodes = document.json.get("nodes", [])
    children = {child for node in nodes for child in node.get("children", [])}
    return [index for index in range(len(nodes)) if index not in children]


def _transform(node: dict[str, Any]) -> np.ndarray:
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    out = np.eye(4)
    if "rotation" in node:
        x, y, z, w = map(float, node["rotation"])
        if (x, y, z) != (0, 0, 0):
            out[:3, :3] = quaternion_matrices(np.array([[w, x, y, z]]))[0]
    if "scale" in node:
        out[:3, :3] *= np.array([float(value) for value in node["scale"]]).reshape(1, 3)
    if "translation" in node:
        out[:3, 3] = [float(value) for value in node["translation"]]
    return out

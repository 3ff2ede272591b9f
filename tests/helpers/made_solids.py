"""Gaussians on the surfaces of solids of known shape, and the distances of points from them."""

import numpy as np

from bgs_engine.core.quaternions import matrices_quaternions
from bgs_engine.io.gaussians import Gaussians
from bgs_engine.made_scenes.shapes import Kind, Primitive, sample


def made_gaussians(primitive: Primitive, count: int, seed: int = 0) -> Gaussians:
    """Flat discs that cover the surface of a primitive, as a trainer makes them."""
    rng = np.random.default_rng(seed)
    points, normals, _ = sample(primitive, count, rng)
    beside = np.cross(normals, np.where(np.abs(normals[:, :1]) < 0.9, (1, 0, 0), (0, 1, 0)))
    beside /= np.linalg.norm(beside, axis=1, keepdims=True)
    turns = np.stack([beside, np.cross(normals, beside), normals], 2)
    spacing = np.sqrt(primitive.area / count)
    scales = spacing * np.array([1, 1, 0.2]) * rng.uniform(0.7, 1.3, (count, 3))
    quats, opacities = matrices_quaternions(turns).astype(np.float32), np.full(count, 0.9, np.float32)
    seen = np.ones(count, bool)
    return Gaussians(points.astype(np.float32), quats, scales.astype(np.float32), opacities, None, seen)


def solid(kind: Kind, *size: float) -> Primitive:
    """A primitive of a size, around the origin."""
    return Primitive(kind=kind, center=(0, 0, 0), size=(size[0], size[1], size[2]), color=(1, 1, 1))


def together(*several: Gaussians) -> Gaussians:
    """Gaussians of several objects as one."""
    columns = zip(*((g.means, g.quats, g.scales, g.opacities, g.valid) for g in several), strict=True)
    means, quats, scales, opacities, valid = (np.concatenate(column) for column in columns)
    return Gaussians(means, quats, scales, opacities, None, valid)


def distance_from(primitive: Primitive, points: np.ndarray) -> np.ndarray:
    """Distances [N] of points [N, 3] from the surface of a box or a sphere."""
    if primitive.kind == "sphere":
        return np.abs(np.linalg.norm(points, axis=1) - primitive.size[0] / 2)
    beyond = np.abs(points) - np.array(primitive.size) / 2
    return np.abs(np.linalg.norm(np.maximum(beyond, 0), axis=1) + np.minimum(beyond.max(1), 0))

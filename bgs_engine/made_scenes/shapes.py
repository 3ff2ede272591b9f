"""Primitive surfaces and even samples of them: points, normals and textures in a primitive's own axes."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["box", "sphere", "cylinder", "cone", "torus", "plane"]
Texture = Literal["plain", "checker", "stripes"]
Vector = tuple[float, float, float]

# Steps of the R2 low-discrepancy sequence (powers of the plastic number): even cover without the look of a grid.
_R2 = (0.7548776662466927, 0.5698402909980532)
_AXES = {"z": np.eye(3), "x": np.eye(3)[[1, 2, 0]].T, "y": np.eye(3)[[2, 0, 1]].T}  # where the own z axis points


@dataclass(frozen=True, kw_only=True)
class Primitive:
    """One surface. size: extents along its own x, y, z (scene units); round shapes stand along their own z.

    yaw turns it about the world's z (radians); axis lays round shapes down; colors are 0..1, the second one is the
    texture's other colour; cell is the texture's period in scene units.
    """

    kind: Kind
    center: Vector
    size: Vector
    color: Vector
    color_2: Vector | None = None
    texture: Texture = "plain"
    cell: float = 0.15
    yaw: float = 0.0
    axis: Literal["x", "y", "z"] = "z"
    opacity: float = 1.0

    @property
    def rotation(self) -> np.ndarray:
        """Own axes → world, [3, 3]."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ _AXES[self.axis]

    @property
    def area(self) -> float:
        """Surface, scene units squared (ellipsoids by their mean radius)."""
        a, b, c = self.size
        match self.kind:
            case "plane":
                return a * b
            case "box":
                return 2 * (a * b + b * c + c * a)
            case "sphere":
                return math.pi * ((a + b + c) / 3) ** 2
            case "cylinder":
                return math.pi * a * (c + a / 2)
            case "cone":
                return math.pi * a / 2 * (math.hypot(a / 2, c) + a / 2)
            case "torus":
                return math.pi**2 * (a - c) * c

    @property
    def thickness(self) -> float:
        """The smallest extent that a viewer can make out, scene units."""
        return min(self.size[:2]) if self.kind == "plane" else min(self.size)


def sample(primitive: Primitive, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(points [count, 3] and normals [count, 3] in the world, colours [count, 3] 0..1), even over the surface."""
    steps = np.arange(count)[:, None] * np.array(_R2) + rng.random(2)
    points, normals = _surface(primitive, steps % 1.0, rng)
    colors = _colors(primitive, points, normals)
    rotation = primitive.rotation.T
    return points @ rotation + np.array(primitive.center), normals @ rotation, colors


def _surface(primitive: Primitive, uv: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points and unit normals [K, 3] in own axes from even uv [K, 2] in the unit square."""
    a, b, c = primitive.size
    u, v = uv.T
    zero, turn = np.zeros_like(u), 2 * math.pi * v
    match primitive.kind:
        case "plane":
            return _columns((u - 0.5) * a, (v - 0.5) * b, zero), _columns(zero, zero, zero + 1)
        case "box":
            return _box(uv, np.array(primitive.size), rng)
        case "sphere":
            z = 2 * u - 1
            r = np.sqrt(1 - z * z)
            unit = _columns(r * np.cos(turn), r * np.sin(turn), z)
            normals = unit / np.array(primitive.size)
            return unit * (np.array(primitive.size) / 2), normals / np.linalg.norm(normals, axis=1, keepdims=True)
        case "torus":
            ring, tube = (a - c) / 2, c / 2
            angles = np.linspace(0, 2 * math.pi, 257)
            share = (ring * angles + tube * np.sin(angles)) / (2 * math.pi * ring)  # area grows with ring + tube cos
            t = np.interp(u, share, angles)
            normals = _columns(np.cos(t) * np.cos(turn), np.cos(t) * np.sin(turn), np.sin(t))
            center = _columns(ring * np.cos(turn), ring * np.sin(turn), zero)
            return center + tube * normals, normals
        case "cylinder" | "cone":
            return _round(primitive, u, turn)


def _box(uv: np.ndarray, size: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    areas = np.array([size[1] * size[2], size[2] * size[0], size[0] * size[1]])
    face = rng.choice(6, len(uv), p=np.repeat(areas, 2) / (2 * areas.sum()))
    for k in range(6):  # each face has its own even sequence
        on = np.flatnonzero(face == k)
        uv[on] = (np.arange(len(on))[:, None] * np.array(_R2) + rng.random(2)) % 1.0
    points, normals = np.zeros((2, len(uv), 3))
    rows, axis = np.arange(len(uv)), face // 2
    side = np.where(face % 2, 0.5, -0.5)
    points[rows, axis], normals[rows, axis] = side, 2 * side
    points[rows, (axis + 1) % 3], points[rows, (axis + 2) % 3] = uv[:, 0] - 0.5, uv[:, 1] - 0.5
    return points * size, normals


def _round(primitive: Primitive, u: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cylinder with both lids, or cone with its base: u below `side` is the mantle, the rest the discs."""
    diameter, _, height = primitive.size
    radius, cone = diameter / 2, primitive.kind == "cone"
    lids = math.pi * radius**2 * (1 if cone else 2)
    side = 1 - lids / primitive.area
    mantle = u < side
    along = np.where(mantle, u / side, (u - side) / (1 - side))
    upper = ~mantle & (along >= 0.5) & (not cone)
    disc = np.sqrt(along if cone else (along * 2) % 1.0)
    height_share = 1 - np.sqrt(1 - along) if cone else along
    r = np.where(mantle, 1 - height_share if cone else 1.0, disc) * radius
    z = np.where(mantle, height_share - 0.5, np.where(upper, 0.5, -0.5)) * height
    slope = math.hypot(radius, height)
    flat, rise = (height / slope, radius / slope) if cone else (1.0, 0.0)
    normals = _columns(np.cos(turn) * flat, np.sin(turn) * flat, np.full_like(u, rise))
    normals[~mantle] = 0
    normals[~mantle, 2] = np.where(upper[~mantle], 1, -1)
    return _columns(r * np.cos(turn), r * np.sin(turn), z), normals


def _colors(primitive: Primitive, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    first = np.broadcast_to(np.array(primitive.color), points.shape)
    if primitive.texture == "plain" or primitive.color_2 is None:
        return first.copy()
    inside = points - normals * (primitive.cell / 4)  # a flat face must not fall on the border of two cells
    cells = np.floor(inside / primitive.cell).astype(np.int64)
    stripe = 0 if primitive.kind == "plane" else 2
    odd = (cells.sum(1) if primitive.texture == "checker" else cells[:, stripe]) % 2
    return np.where(odd[:, None] == 1, np.array(primitive.color_2), first)


def _columns(*columns: np.ndarray) -> np.ndarray:
    return np.stack(columns, 1)

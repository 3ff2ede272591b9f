"""Building a labelled scene: pieces are added group by group, object by object, part by part."""

import colorsys
import math
from dataclasses import dataclass, field

import numpy as np

from bgs_engine.made_scenes.shapes import Kind, Primitive, Texture, Vector


@dataclass(frozen=True)
class Piece:
    """A primitive with its true labels (group, object, part), each numbered through the scene from 1."""

    primitive: Primitive
    labels: tuple[int, int, int]
    shell: bool  # floor or wall: large and plain, so it gets fewer Gaussians an area


@dataclass
class Builder:
    """Collects pieces; `group` sets the frame that the centres of its objects are given in."""

    rng: np.random.Generator
    pieces: list[Piece] = field(default_factory=list)
    _counts: list[int] = field(default_factory=lambda: [0, 0, 0])
    _origin: tuple[float, float] = (0.0, 0.0)
    _yaw: float = 0.0
    _offset: Vector = (0.0, 0.0, 0.0)
    _turn: float = 0.0

    def group(self, x: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> None:
        """Begin a group standing at (x, y), turned by yaw."""
        self._counts[0] += 1
        self._origin, self._yaw = (x, y), yaw

    def thing(self, x: float = 0.0, y: float = 0.0, z: float = 0.0, turn: float = 0.0) -> None:
        """Begin an object at (x, y, z) of its group's frame, turned by `turn`."""
        self._counts[1] += 1
        self._offset, self._turn = (x, y, z), turn

    def part(
        self,
        kind: Kind,
        center: Vector,
        size: Vector,
        color: Vector,
        texture: Texture = "plain",
        *,
        same: bool = False,
        shell: bool = False,
        cell: float = 0.15,
        **more: object,
    ) -> None:
        """Add a primitive to the object: a part of its own, or one more piece of the last part (same)."""
        if not same:
            self._counts[2] += 1
        x, y, z = center
        x, y = _turned(x, y, self._turn)
        x, y = _turned(x + self._offset[0], y + self._offset[1], self._yaw)
        where = (x + self._origin[0], y + self._origin[1], z + self._offset[2])
        primitive = Primitive(
            kind=kind,
            center=where,
            size=size,
            color=color,
            color_2=_darker(color),
            texture=texture,
            cell=cell,
            yaw=self._yaw + self._turn,
            **more,  # type: ignore[arg-type]
        )
        self.pieces.append(Piece(primitive, (self._counts[0], self._counts[1], self._counts[2]), shell))

    def paint(self, saturation: float = 0.55, value: float = 0.85) -> Vector:
        """A random friendly colour."""
        hue, s, v = self.rng.random(), saturation + self.rng.uniform(-0.1, 0.1), value + self.rng.uniform(-0.1, 0.1)
        return colorsys.hsv_to_rgb(hue, s, v)

    def wood(self) -> Vector:
        """A random wood colour."""
        return colorsys.hsv_to_rgb(self.rng.uniform(0.06, 0.1), self.rng.uniform(0.4, 0.6), self.rng.uniform(0.5, 0.8))


def _turned(x: float, y: float, angle: float) -> tuple[float, float]:
    c, s = math.cos(angle), math.sin(angle)
    return c * x - s * y, s * x + c * y


def _darker(color: Vector) -> Vector:
    r, g, b = color
    return (r * 0.6, g * 0.6, b * 0.6)

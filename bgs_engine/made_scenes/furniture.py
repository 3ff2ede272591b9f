"""Furniture sets. Each function adds one group of objects; a wall set has its back on y = 0 of its own frame."""

import math
from collections.abc import Callable

from bgs_engine.made_scenes.builder import Builder

LEG = 0.07  # metres; thinner legs would be narrower than one Gaussian of a small scene


def dining_set(b: Builder, x: float, y: float, yaw: float, clear: float) -> None:
    """A table, two chairs, a bowl with fruit and a see-through vase of opacity `clear`."""
    b.group(x, y, yaw)
    wood, seat = b.wood(), b.paint()
    b.thing()
    b.part("box", (0, 0, 0.73), (1.3, 0.8, 0.07), wood, "stripes", cell=0.02)
    _legs(b, 1.1, 0.6, 0.7, wood)
    for side in (-1, 1):
        b.thing(side * 0.95, 0, 0, side * math.pi / 2)
        chair(b, seat)
    b.thing(0.3, 0.1, 0.77)
    b.part("cylinder", (0, 0, 0.04), (0.32, 0.32, 0.08), b.paint())
    for k in range(3):
        angle = 2 * math.pi * k / 3
        center = (0.07 * math.cos(angle), 0.07 * math.sin(angle), 0.13)
        b.part("sphere", center, (0.12, 0.12, 0.12), (0.85, 0.35, 0.2), same=k > 0)
    b.thing(-0.35, 0.05, 0.77)
    b.part("cylinder", (0, 0, 0.19), (0.22, 0.22, 0.38), (0.55, 0.8, 0.9), opacity=clear)


def sofa_set(b: Builder, x: float, y: float, yaw: float) -> None:
    """A sofa, two cushions and a round stool in front."""
    b.group(x, y, yaw)
    cloth = b.paint(0.5, 0.7)
    b.thing(0, -0.45)
    b.part("box", (0, 0, 0.25), (1.6, 0.7, 0.36), cloth)
    b.part("box", (0, 0.32, 0.55), (1.6, 0.2, 0.6), cloth, "checker", cell=0.2)
    for side in (-1, 1):
        b.part("box", (side * 0.86, 0, 0.35), (0.16, 0.75, 0.6), cloth, "stripes", cell=0.1, same=side > 0)
    for side in (-1, 1):
        b.thing(side * 0.5, -0.42, 0.45)
        b.part("sphere", (0, 0, 0.16), (0.42, 0.2, 0.36), b.paint(), "checker" if side > 0 else "plain", cell=0.1)
    b.thing(0.6, -1.25)
    b.part("cylinder", (0, 0, 0.34), (0.46, 0.46, 0.14), b.paint())
    b.part("cylinder", (0, 0, 0.14), (0.14, 0.14, 0.28), b.wood())


def shelf_set(b: Builder, x: float, y: float, yaw: float) -> None:
    """A shelf, two stacks of books, a globe and a clock."""
    b.group(x, y, yaw)
    wood = b.wood()
    b.thing(0, -0.2)
    for side in (-1, 1):
        b.part("box", (side * 0.55, 0, 0.7), (0.06, 0.34, 1.4), wood, "stripes", cell=0.05, same=side > 0)
    for number, height in enumerate((0.1, 0.55, 1.0, 1.4)):
        b.part("box", (0, 0, height), (1.16, 0.34, 0.05), wood, same=number > 0)
    for z, dx in ((0.575, -0.3), (1.025, 0.15)):
        b.thing(dx, -0.2, z)
        for k in range(3):
            height = 0.24 + 0.05 * float(b.rng.random())
            b.part("box", (0.1 * k, 0, height / 2), (0.085, 0.22, height), b.paint(0.6, 0.75))
    b.thing(0.3, -0.2, 0.575)
    b.part("cone", (0, 0, 0.05), (0.18, 0.18, 0.1), b.wood())
    b.part("sphere", (0, 0, 0.2), (0.24, 0.24, 0.24), (0.3, 0.5, 0.8), "checker", cell=0.08)
    b.thing(-0.25, -0.2, 1.425)
    b.part("cylinder", (0, 0, 0.16), (0.3, 0.3, 0.08), (0.92, 0.9, 0.85), axis="y")
    b.part("torus", (0, 0, 0.16), (0.36, 0.36, 0.06), b.paint(), axis="y")


def desk_set(b: Builder, x: float, y: float, yaw: float) -> None:
    """A desk, a screen, a lamp and a chair."""
    b.group(x, y, yaw)
    wood = b.wood()
    b.thing(0, -0.4)
    b.part("box", (0, 0, 0.71), (1.3, 0.65, 0.06), wood)
    _legs(b, 1.15, 0.5, 0.68, wood)
    b.part("box", (0.42, 0, 0.5), (0.36, 0.5, 0.34), b.paint(0.4, 0.8), "stripes", cell=0.1)
    b.thing(-0.05, -0.3, 0.74)
    b.part("box", (0, 0, 0.28), (0.62, 0.05, 0.38), (0.16, 0.17, 0.2))
    b.part("cylinder", (0, 0, 0.05), (0.2, 0.2, 0.1), (0.5, 0.5, 0.52))
    b.thing(0.5, -0.25, 0.74)
    b.part("cylinder", (0, 0, 0.15), (0.06, 0.06, 0.3), (0.4, 0.4, 0.42))
    b.part("cone", (0, 0, 0.4), (0.32, 0.32, 0.26), b.paint(0.5, 0.95))
    b.thing(0, -1.05, 0, math.pi)
    chair(b, b.paint())


def garden_set(b: Builder, x: float, y: float, yaw: float) -> None:
    """Two potted trees, a striped ball, a ring and a tower of blocks on the floor."""
    b.group(x, y, yaw)
    green = (0.3, 0.6, 0.32)
    b.thing(-0.5, -0.4)
    b.part("cylinder", (0, 0, 0.17), (0.4, 0.4, 0.34), b.paint(0.5, 0.75), "stripes", cell=0.09)
    b.part("cylinder", (0, 0, 0.45), (0.09, 0.09, 0.26), (0.45, 0.32, 0.2))
    b.part("sphere", (0, 0, 0.86), (0.7, 0.7, 0.66), green, "checker", cell=0.16)
    b.thing(0.3, -0.35)
    b.part("box", (0, 0, 0.14), (0.34, 0.34, 0.28), b.paint(0.5, 0.75))
    b.part("cone", (0, 0, 0.68), (0.56, 0.56, 0.84), (0.22, 0.5, 0.36), "stripes", cell=0.14)
    b.thing(-0.2, -0.95)
    b.part("sphere", (0, 0, 0.18), (0.36, 0.36, 0.36), b.paint(0.75, 0.9), "stripes", cell=0.09)
    b.thing(0.45, -0.95)
    b.part("torus", (0, 0, 0.07), (0.48, 0.48, 0.14), b.paint(0.75, 0.9))
    b.thing(0.95, -0.7, 0, 0.4)
    for k, width in enumerate((0.3, 0.24, 0.18)):
        b.part("box", (0, 0, (0.13, 0.36, 0.56)[k]), (width, width, (0.26, 0.2, 0.2)[k]), b.paint(0.7, 0.9))


def bed_set(b: Builder, x: float, y: float, yaw: float) -> None:
    """A bed along the wall with a pillow, and a stand with a lamp beside it."""
    b.group(x, y, yaw)
    wood = b.wood()
    b.thing(-0.2, -0.45)
    b.part("box", (0, 0, 0.2), (1.5, 0.8, 0.2), wood, "stripes", cell=0.1)
    b.part("box", (0.1, 0, 0.38), (1.28, 0.76, 0.16), b.paint(0.45, 0.85), "checker", cell=0.16)
    b.part("box", (-0.77, 0, 0.45), (0.08, 0.84, 0.8), wood)
    b.thing(-0.58, -0.45, 0.44)
    b.part("sphere", (0, 0, 0.08), (0.3, 0.6, 0.2), b.paint(0.2, 0.95))
    b.thing(0.85, -0.35)
    b.part("box", (0, 0, 0.22), (0.4, 0.4, 0.44), b.wood())
    b.thing(0.85, -0.35, 0.44)
    b.part("cylinder", (0, 0, 0.12), (0.08, 0.08, 0.24), (0.75, 0.7, 0.6))
    b.part("cone", (0, 0, 0.34), (0.32, 0.32, 0.24), b.paint(0.4, 0.95))


def _legs(b: Builder, width: float, depth: float, height: float, color: tuple[float, float, float]) -> None:
    for k in range(4):
        center = (width / 2 * (1 if k % 2 else -1), depth / 2 * (1 if k // 2 else -1), height / 2)
        b.part("box", center, (LEG, LEG, height), color, same=k > 0)


def chair(b: Builder, color: tuple[float, float, float]) -> None:
    """Seat, back and legs, in the object that the builder has begun."""
    b.part("box", (0, 0, 0.43), (0.44, 0.44, 0.07), color)
    b.part("box", (0, -0.2, 0.72), (0.44, 0.06, 0.5), color, "stripes", cell=0.1)
    _legs(b, 0.36, 0.36, 0.4, b.wood())


WALL_SETS: tuple[Callable[[Builder, float, float, float], None], ...] = (
    sofa_set,
    shelf_set,
    desk_set,
    garden_set,
    bed_set,
)

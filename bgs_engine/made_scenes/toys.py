"""Small things of one to four parts, 10 to 30 cm; each function fills the object that the builder has begun."""

from collections.abc import Callable

from bgs_engine.made_scenes.builder import Builder


def _ball(b: Builder, opacity: float) -> None:
    b.part("sphere", (0, 0, 0.1), (0.2, 0.2, 0.2), b.paint(0.7, 0.9), "stripes", cell=0.05, opacity=opacity)


def _mushroom(b: Builder, opacity: float) -> None:
    b.part("cylinder", (0, 0, 0.07), (0.08, 0.08, 0.14), (0.92, 0.88, 0.78), opacity=opacity)
    b.part("cone", (0, 0, 0.2), (0.22, 0.22, 0.14), b.paint(0.75, 0.85), opacity=opacity)


def _snowman(b: Builder, opacity: float) -> None:
    for z, size in ((0.08, 0.18), (0.2, 0.13), (0.29, 0.09)):
        b.part("sphere", (0, 0, z), (size, size, size), b.paint(0.25, 0.95), opacity=opacity)


def _tower(b: Builder, opacity: float) -> None:
    for z, size in ((0.06, 0.16), (0.165, 0.12), (0.25, 0.09)):
        b.part("box", (0, 0, z), (size, size, (0.12, 0.09, 0.08)[int(z > 0.1) + int(z > 0.2)]), b.paint(0.7, 0.85),
               opacity=opacity)  # fmt: skip


def _rings(b: Builder, opacity: float) -> None:
    for z, size in ((0.03, 0.22), (0.085, 0.17), (0.135, 0.13)):
        b.part("torus", (0, 0, z), (size, size, 0.06), b.paint(0.75, 0.9), opacity=opacity)


def _house(b: Builder, opacity: float) -> None:
    b.part("box", (0, 0, 0.08), (0.17, 0.17, 0.16), b.paint(0.4, 0.9), "stripes", cell=0.04, opacity=opacity)
    b.part("cone", (0, 0, 0.22), (0.24, 0.24, 0.13), b.paint(0.7, 0.75), opacity=opacity)


def _can(b: Builder, opacity: float) -> None:
    b.part("cylinder", (0, 0, 0.11), (0.14, 0.14, 0.22), b.paint(0.6, 0.8), "stripes", cell=0.055, opacity=opacity)


def _dice(b: Builder, opacity: float) -> None:
    b.part("box", (0, 0, 0.09), (0.18, 0.18, 0.18), b.paint(0.6, 0.85), "checker", cell=0.09, opacity=opacity)


TOYS: tuple[Callable[[Builder, float], None], ...] = (
    _ball, _mushroom, _snowman, _tower, _rings, _house, _can, _dice,
)  # fmt: skip

"""Rooms that single out one difficulty each: copies, rooms that share no view, thin things, see-through things."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from bgs_engine.made_scenes.builder import Builder
from bgs_engine.made_scenes.furniture import chair
from bgs_engine.made_scenes.rooms import SEE_THROUGH, Rooms, shell
from bgs_engine.made_scenes.toys import TOYS

WIRE = 0.03  # metres, the thickness of thin things
CELL = (2.6, 2.6)  # metres, inner size of each closed room
ROOM_GAP = 0.2  # metres between two closed rooms


def repeated_room(rng: np.random.Generator) -> Rooms:
    """Twelve chairs and four vases in two or three rows: copies up to a move, so only their place tells them apart."""
    b, room = Builder(rng), (5.0, 4.4)
    shell(b, *room)
    cloth, glaze, turn = b.paint(), b.paint(), rng.uniform(0, 2 * math.pi)
    for y in (-1.1, -0.2, 0.7):
        for x in (-1.35, -0.45, 0.45, 1.35):
            b.group(x, y)
            b.thing(turn=turn)
            chair(b, cloth)
    b.group(0, 1.75)
    b.thing()
    b.part("box", (0, 0, 0.23), (2.0, 0.4, 0.46), b.wood(), "stripes", cell=0.1)
    for x in (-0.72, -0.24, 0.24, 0.72):
        b.thing(x, 0, 0.46)
        b.part("cylinder", (0, 0, 0.12), (0.22, 0.22, 0.24), glaze)
        b.part("sphere", (0, 0, 0.32), (0.18, 0.18, 0.18), (0.9, 0.9, 0.86))
    return Rooms(b.pieces, room)


def closed_rooms(rng: np.random.Generator) -> Rooms:
    """Four rooms that no view shows two of, each with its own floor, walls and four things."""
    b = Builder(rng)
    step = CELL[0] / 2 + ROOM_GAP / 2
    centers = [(x * step, y * step) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
    for x, y in centers:
        shell(b, *CELL, x, y)
        makers = rng.choice(len(TOYS), 3, replace=False)
        b.group(x, y)
        b.thing(0.35, 0.3, 0, rng.uniform(0, 2 * math.pi))
        chair(b, b.paint())
        for maker, (dx, dy) in zip(makers.tolist(), ((-0.45, 0.4), (-0.4, -0.4), (0.45, -0.5)), strict=True):
            b.group(x, y)
            b.thing(dx, dy, 0, rng.uniform(0, 2 * math.pi))
            TOYS[maker](b, 1.0)
    return Rooms(b.pieces, CELL, tuple(centers))


def thin_room(rng: np.random.Generator) -> Rooms:
    """Nine things made of rods and rings three centimetres thick."""
    b, room = Builder(rng), (4.4, 4.4)
    shell(b, *room)
    _on_grid(b, [_THIN[k % len(_THIN)] for k in rng.permutation(9).tolist()], rng)
    return Rooms(b.pieces, room)


def see_through_room(rng: np.random.Generator) -> Rooms:
    """Glass boxes and tubes with solid things close behind them, and solid things alone."""
    b, room = Builder(rng), (4.4, 4.4)
    shell(b, *room)
    toys = [*rng.permutation(len(TOYS)).tolist(), 0]
    _on_grid(b, [_behind_glass(toy, k) if k % 2 == 0 else partial(_toy, number=toy) for k, toy in enumerate(toys)], rng)
    return Rooms(b.pieces, room)


def _on_grid(b: Builder, makers: Sequence[Callable[[Builder], None]], rng: np.random.Generator) -> None:
    """Nine groups on a grid of three by three, each filled by its maker."""
    for k, make in enumerate(makers):
        b.group((k % 3 - 1) * 0.95, (k // 3 - 1) * 0.95, rng.uniform(0, 2 * math.pi))
        make(b)


def _toy(b: Builder, number: int) -> None:
    b.thing()
    TOYS[number](b, 1.0)


def _behind_glass(toy: int, k: int) -> Callable[[Builder], None]:
    """Maker of a toy with a glass box (every fourth k) or tube beside it."""

    def make(b: Builder) -> None:
        b.thing(0.12, 0.12, 0)
        TOYS[toy](b, 1.0)
        b.thing(-0.14, -0.14)
        if k % 4 == 0:
            b.part("box", (0, 0, 0.17), (0.34, 0.2, 0.34), (0.55, 0.8, 0.9), opacity=SEE_THROUGH)
        else:
            b.part("cylinder", (0, 0, 0.2), (0.26, 0.26, 0.4), (0.6, 0.85, 0.7), opacity=SEE_THROUGH)

    return make


def _tripod(b: Builder) -> None:
    paint = b.paint(0.3, 0.5)
    b.thing()
    for k in range(3):
        angle = 2 * math.pi * k / 3
        foot = (0.16 * math.cos(angle), 0.16 * math.sin(angle), 0.35)
        b.part("cylinder", foot, (WIRE, WIRE, 0.7), paint, same=k > 0)
    b.part("sphere", (0, 0, 0.78), (0.2, 0.2, 0.2), b.paint(), "stripes", cell=0.05)


def _rod_frame(b: Builder) -> None:
    paint = b.paint(0.6, 0.6)
    b.thing()
    for k in range(4):
        x, y = (0.25 if k % 2 else -0.25), (0.25 if k // 2 else -0.25)
        b.part("box", (x, y, 0.3), (WIRE, WIRE, 0.6), paint, same=k > 0)
    for k, (x, y) in enumerate(((0.25, 0.0), (-0.25, 0.0), (0.0, 0.25), (0.0, -0.25))):
        size = (WIRE, 0.5, WIRE) if x else (0.5, WIRE, WIRE)
        b.part("box", (x, y, 0.6), size, b.wood() if k == 0 else paint, same=k > 0)


def _ring_stand(b: Builder) -> None:
    b.thing()
    b.part("cylinder", (0, 0, 0.02), (0.3, 0.3, 0.04), b.paint(0.4, 0.6))
    b.part("cylinder", (0, 0, 0.3), (WIRE, WIRE, 0.56), b.paint(0.2, 0.7))
    b.part("torus", (0, 0, 0.76), (0.4, 0.4, WIRE), b.paint(0.7, 0.9), axis="y")


def _fence(b: Builder) -> None:
    paint = b.wood()
    b.thing()
    for k in range(6):
        b.part("box", (0.1 * k - 0.25, 0, 0.25), (WIRE, WIRE, 0.5), paint, same=k > 0)
    for k, z in enumerate((0.15, 0.4)):
        b.part("box", (0, 0.03, z), (0.62, WIRE, WIRE), b.paint(0.4, 0.8), same=k > 0)


_THIN: tuple[Callable[[Builder], None], ...] = (_tripod, _rod_frame, _ring_stand, _fence)

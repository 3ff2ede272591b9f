"""Furnishes two rooms: a toy room, and a room crowded with small things. hard_cases.py has the other rooms."""

import math
from dataclasses import dataclass

import numpy as np

from bgs_engine.made_scenes.builder import Builder, Piece
from bgs_engine.made_scenes.furniture import WALL_SETS, dining_set
from bgs_engine.made_scenes.toys import TOYS

ROOM = (6.0, 5.0)  # metres, inner size of a furnished room
CROWDED_ROOM = (4.4, 4.4)
WALL_HEIGHT = 2.4
SEE_THROUGH = 0.2  # opacity of the one see-through object
CLUSTERS = 4  # of toys, along each side of the crowded room
TOYS_EACH = 4  # in a cluster: 4 x 4 x 4 toys and 16 mats


@dataclass(frozen=True)
class Rooms:
    """Labelled pieces in one room or several closed ones of one size.

    pieces: surfaces with their labels; room: inner width and depth of each room, metres; centers: of the rooms, (x, y).
    """

    pieces: list[Piece]
    room: tuple[float, float]
    centers: tuple[tuple[float, float], ...] = ((0.0, 0.0),)


def furnished_room(rng: np.random.Generator) -> Rooms:
    """A dining set in the middle and five sets along the walls, in an order and in colours that `rng` draws."""
    b = Builder(rng)
    width, depth = ROOM
    shell(b, width, depth)
    dining_set(b, rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15), rng.uniform(-0.3, 0.3), SEE_THROUGH)
    half_w, half_d = width / 2, depth / 2
    slots = [  # where the back of a set stands, and the yaw that turns its front into the room
        (-1.6, half_d, 0.0), (1.5, half_d, 0.0), (half_w, -0.3, -math.pi / 2),
        (0.9, -half_d, math.pi), (-half_w, -0.4, math.pi / 2),
    ]  # fmt: skip
    for place, make in zip(rng.permutation(len(slots)), WALL_SETS, strict=True):
        make(b, *slots[place])
    return Rooms(b.pieces, ROOM)


def crowded_room(rng: np.random.Generator) -> Rooms:
    """Sixteen mats with four small things each: groups are the mats with what stands on them."""
    b = Builder(rng)
    width, depth = CROWDED_ROOM
    shell(b, width, depth)
    pitch = 0.72
    see_through = int(rng.integers(CLUSTERS**2 * TOYS_EACH))
    for number in range(CLUSTERS**2):
        x, y = ((k - (CLUSTERS - 1) / 2) * pitch for k in divmod(number, CLUSTERS))
        b.group(x, y, rng.uniform(-0.15, 0.15))
        b.thing()
        b.part("box", (0, 0, 0.015), (0.6, 0.6, 0.03), b.paint(0.3, 0.9), "stripes" if number % 2 else "plain")
        for k in range(TOYS_EACH):
            dx, dy = (0.14 if k % 2 else -0.14), (0.14 if k // 2 else -0.14)
            b.thing(dx, dy, 0.03, rng.uniform(0, 2 * math.pi))
            clear = number * TOYS_EACH + k == see_through
            TOYS[rng.integers(len(TOYS))](b, SEE_THROUGH if clear else 1.0)
    return Rooms(b.pieces, CROWDED_ROOM)


def shell(b: Builder, width: float, depth: float, x: float = 0.0, y: float = 0.0) -> None:
    """Floor: a group of its own. Walls: one group of four objects. (x, y) is the middle of the room."""
    b.group(x, y)
    b.thing()
    b.part("plane", (0, 0, 0), (width, depth, 0), (0.72, 0.63, 0.52), "checker", shell=True, cell=0.6)
    b.group(x, y)
    paint = b.paint(0.12, 0.88)
    for k, (distance, length) in enumerate(((depth, width), (width, depth)) * 2):
        b.thing(turn=math.pi / 2 * k)
        center = (0.0, distance / 2, WALL_HEIGHT / 2)
        b.part("plane", center, (WALL_HEIGHT, length, 0), paint, shell=True, axis="y")

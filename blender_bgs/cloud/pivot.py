"""The pivot of a label object: its origin is at the centre of mass of its Gaussians, and all stays exact.

The points of a label object lie relative to its pivot. Subtracting it rounds, so every point also keeps the position
that it has in the whole cloud, in the attribute `bgs_whole_position`. Whoever compares or joins objects of one splat,
or writes a file, uses the *splat space*: the space of the whole cloud's points. An object without a pivot is in it.
"""

from collections.abc import Callable

import numpy as np

from ..logic import attributes as at
from ..logic.transforms import change_since_import
from . import point_clouds
from .typed import SplatObject

# Relative to the numbers that are added. A point that is so near to where it was came there by Join or Set Origin.
ROUNDING = 4 * 2.0**-23


def pivot_of(obj: SplatObject) -> np.ndarray:
    """The place of the object's origin in the splat space, float64 [3]."""
    return np.array(obj.bgs.pivot, np.float64)


def shift_of(obj: SplatObject) -> np.ndarray:
    """The matrix [4, 4] from the space of the object's points to the splat space."""
    shift = np.eye(4)
    shift[:3, 3] = pivot_of(obj)
    return shift


def splat_world_of(obj: SplatObject) -> np.ndarray:
    """The matrix [4, 4] from the splat space to the world, where this object is."""
    return point_clouds.world_of(obj) @ np.linalg.inv(shift_of(obj))


def change_of(obj: SplatObject, then: np.ndarray, world: np.ndarray | None = None) -> np.ndarray | None:
    """What moved the object in the splat space since its splat world was `then` [4, 4]; None if nothing did.

    `world` [4, 4] is the world matrix of an instance of the object, or None for the object itself.
    """
    now = splat_world_of(obj) if world is None else world @ np.linalg.inv(shift_of(obj))
    return change_since_import(now, then, reach=float(np.abs(pivot_of(obj)).max()))


def positions_of(obj: SplatObject) -> np.ndarray | None:
    """The positions in the splat space, float32 [N, 3]. Those of the whole cloud come back bit for bit."""
    position, whole = (point_clouds.get_column(obj.data, name) for name in (at.POSITION, at.WHOLE_POSITION))
    pivot = pivot_of(obj)
    if position is None or not pivot.any():
        return position
    moved = position + pivot
    if whole is not None:
        reach = np.abs(position).max(1) + np.abs(whole).max(1) + np.abs(pivot).max()
        same = np.abs(moved - whole).max(1) <= ROUNDING * reach
        moved = np.where(same[:, None], whole, moved)
    return moved.astype(np.float32)


def need_positions(obj: SplatObject) -> np.ndarray:
    """The positions in the splat space, float32 [N, 3].

    Raises:
        InputError: the cloud has lost its positions.
    """
    point_clouds.need_column(obj.data, at.POSITION)
    found = positions_of(obj)
    assert found is not None
    return found


def getter_of(obj: SplatObject) -> Callable[[str], np.ndarray | None]:
    """A function that gives the values of an attribute, with positions in the splat space."""
    return lambda name: positions_of(obj) if name == at.POSITION else point_clouds.get_column(obj.data, name)


def place(obj: SplatObject, positions: np.ndarray) -> None:
    """Write positions of the splat space, float32 [N, 3], to the cloud of an object that has its pivot."""
    pivot = pivot_of(obj)
    if pivot.any():
        point_clouds.set_column(obj.data, at.Column(at.WHOLE_POSITION, "FLOAT_VECTOR", positions))
        positions = (positions - pivot).astype(np.float32)
    point_clouds.set_column(obj.data, at.Column(at.POSITION, "FLOAT_VECTOR", positions))


def center_of_mass(positions: np.ndarray, opacities: np.ndarray) -> np.ndarray:
    """The mean position [3] of Gaussians [N, 3], weighted by opacity [N]."""
    weights = opacities.astype(np.float64)
    total = weights.sum()
    if not total > 0:
        weights, total = np.ones(len(positions)), float(len(positions))
    return np.asarray(weights @ positions.astype(np.float64) / total)

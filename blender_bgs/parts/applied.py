"""Finds what Blender's Apply did to the points of a label object, and where the object is at home."""

import numpy as np

from ..cloud import evaluated, pivot, shapes
from ..cloud.typed import SplatObject
from ..logic.transforms import change_since_import


def applied_to(part: SplatObject, whole: SplatObject) -> np.ndarray | None:
    """The matrix [4, 4] in the splat space from the whole cloud's points to the part's, or None if it is the identity.

    Apply moves a transform from the object's matrix into its points.
    """
    return change_since_import(space_of(part, whole), np.eye(4), reach=reach_of(part))


def home_of(part: SplatObject, whole: SplatObject) -> np.ndarray:
    """The world matrix [4, 4] at which the part's Gaussians are where the whole cloud has them."""
    space = applied_to(part, whole)
    home = evaluated.splat_world_of(whole)
    return (home if space is None else home @ np.linalg.inv(space)) @ pivot.shift_of(part)


def space_of(part: SplatObject, whole: SplatObject) -> np.ndarray:
    """The matrix [4, 4] in the splat space from the whole cloud's points to the part's."""
    return shapes.local_of(part) @ np.linalg.inv(shapes.local_of(whole))


def reach_of(part: SplatObject) -> float:
    """How far from the origin of the splat space the part is, for rounding."""
    return float(np.abs(pivot.pivot_of(part)).max())

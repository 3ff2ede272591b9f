"""Reads attributes of points as the engine's `Gaussians`."""

from collections.abc import Callable

import numpy as np
from bgs_engine.io.gaussians import Gaussians

from ..logic import attributes as at
from . import point_clouds, shapes
from .typed import SplatObject


def gaussians_of(obj: SplatObject) -> Gaussians:
    """The Gaussians of a splat object in the space of its points, without colours, with true shapes.

    Raises:
        InputError: the shapes cannot follow an edit of the points, or an attribute was deleted.
    """
    shapes.make_true(obj)
    return gaussians_from(lambda name: point_clouds.need_column(obj.data, name))


def gaussians_from(need: Callable[[str], np.ndarray], sh: np.ndarray | None = None) -> Gaussians:
    """Gaussians from attributes. `need(name)` returns the values of one; sh: float32 [N, K, 3] or None."""
    means, quats, scales, base = (need(name) for name in (at.POSITION, at.ROTATION, at.SCALE, at.BASE))
    valid = np.isfinite(means).all(1) & np.isfinite(quats).all(1) & quats.any(1)
    valid &= np.isfinite(scales).all(1) & (scales > 0).all(1)
    return Gaussians(means, quats, scales, np.nan_to_num(base[:, 3]), sh, valid)

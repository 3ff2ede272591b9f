"""A scene, the cameras that look at it, and the masks of each view: the input of association and training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bgs_engine.core.cameras import Camera
from bgs_engine.core.codes import BitLayout
from bgs_engine.raster.scene import RasterScene

LevelMaps = Callable[[int], np.ndarray | None]
"""Level maps of a camera number: int32 [L, H, W], 0 = unlabelled; None where the view has no masks."""


@dataclass(frozen=True)
class MaskedViews:
    """N Gaussians and the V views that label them.

    scene: the N Gaussians.
    cameras: one for each view.
    level_maps: the masks of a view, by the camera's number. Views are read when they are needed.
    layout: how many bits each level of the codes has.
    same_ids: whether an id means the same thing in all views, so that nothing has to be merged.
    """

    scene: RasterScene
    cameras: Sequence[Camera]
    level_maps: LevelMaps
    layout: BitLayout
    same_ids: bool = False

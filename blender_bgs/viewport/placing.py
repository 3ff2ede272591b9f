"""The shader's data of each object: its matrix to view space, its colouring and the clipping planes."""

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from ..cloud.typed import SplatObject
from . import look as looks
from .atlas import Atlas

TEXELS = 16  # 3 rows of the matrix to view space, eye, mode, 4 clipping planes; the others are unused


@dataclass
class Row:
    """An object's matrix to view space [4, 4] and its texels [TEXELS, 4]."""

    to_view: np.ndarray
    texels: np.ndarray


def rows_of(
    atlas: Atlas, objects: Sequence[SplatObject], to_view: np.ndarray, projection: np.ndarray,
    region: bpy.types.RegionView3D,
) -> dict[int, Row]:  # fmt: skip
    """The rows of the objects, by member number. An object that is scaled to nothing has no row.

    to_view [4, 4] is the world-to-view matrix; projection [4, 4] is OpenGL's.
    """
    perspective = projection[3, 2] != 0
    planes = np.array([tuple(p) for p in region.clip_planes][:4], np.float64) if region.use_clip_planes else None
    numbers = {m.object_uid: n for n, m in enumerate(atlas.members)}
    out = {}
    for obj in objects:
        number = numbers.get(obj.session_uid)
        if number is None:
            continue
        world = np.array(obj.matrix_world, np.float64)
        both = to_view @ world
        scale = abs(np.linalg.det(both[:3, :3])) ** (1 / 3)
        if scale < 1e-12:
            continue  # a flat object cannot be inverted
        texels = np.zeros((TEXELS, 4), np.float32)
        texels[:3] = both[:3]
        inverse = np.linalg.inv(both[:3, :3])
        texels[3, :3] = -inverse @ both[:3, 3] if perspective else inverse @ (0, 0, -1)
        texels[3, 3] = perspective
        texels[4] = (looks.mode_of(obj), looks.LABEL_SHARE, scale, 0)
        texels[5:9, 3] = 1
        if planes is not None:
            texels[5:9] = planes @ world
        out[number] = Row(both, texels)
    return out

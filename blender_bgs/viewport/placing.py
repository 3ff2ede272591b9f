"""The shader's data of each place of a splat: its matrix to view space, its colouring and the clipping planes."""

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from bgs_engine.core.palette import TINT_SHARE

from . import look as looks
from .atlas import Atlas, Member
from .places import Place

TEXELS = 16  # 3 rows of the matrix to view space, eye, mode, 4 clipping planes; the others are unused


MOST_PLACES = 8192  # rows of the texture; every graphics card that Blender supports can do this
MOST_GAUSSIANS = 30_000_000  # in all places; more would take seconds to sort


@dataclass
class Row:
    """A place's member of the atlas, its matrix to view space [4, 4] and its texels [TEXELS, 4]."""

    member: Member
    to_view: np.ndarray
    texels: np.ndarray


def rows_of(
    atlas: Atlas, places: Sequence[Place], to_view: np.ndarray, projection: np.ndarray,
    region: bpy.types.RegionView3D,
) -> list[Row]:  # fmt: skip
    """The rows of the places. One that is scaled to nothing has none, nor has one beyond the limits.

    to_view [4, 4] is the world-to-view matrix; projection [4, 4] is OpenGL's.
    """
    perspective = projection[3, 2] != 0
    planes = np.array([tuple(p) for p in region.clip_planes][:4], np.float64) if region.use_clip_planes else None
    members = {m.object_uid: m for m in atlas.members}
    out: list[Row] = []
    count = 0
    for place in places:
        member = members.get(place.obj.session_uid)
        if member is None:
            continue
        count += member.stop - member.start
        if out and (len(out) == MOST_PLACES or count > MOST_GAUSSIANS):
            break
        obj, world = place.obj, place.world
        both = to_view @ world
        scale = abs(np.linalg.det(both[:3, :3])) ** (1 / 3)
        if scale < 1e-12:
            continue  # a flat object cannot be inverted
        texels = np.zeros((TEXELS, 4), np.float32)
        texels[:3] = both[:3]
        inverse = np.linalg.inv(both[:3, :3])
        texels[3, :3] = -inverse @ both[:3, 3] if perspective else inverse @ (0, 0, -1)
        texels[3, 3] = perspective
        texels[4] = (looks.mode_of(obj), TINT_SHARE, scale, 0)
        texels[5:9, 3] = 1
        if planes is not None:
            texels[5:9] = planes @ world
        out.append(Row(member, both, texels))
    return out

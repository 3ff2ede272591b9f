"""Gives points that were joined or duplicated into a cloud numbers of their own.

`bgs_row` says which row of the source file a point is, and `bgs_source` from which import it came. Blender's Join puts
points of several objects into one, so rows repeat and labels of different splats get mixed up. New rows and labels
tell them apart again.
"""

import random

import bpy
import numpy as np
from bgs_engine.core.errors import InputError

from ..logic import attributes as at
from ..logic.label_tree import separate_codes
from . import appearance, code_tables, labels, point_clouds
from .properties import without_updates
from .typed import SplatObject

# The level bits of each import in this session. Join deletes the object that has them.
_bits: dict[int, str] = {}


def start(obj: SplatObject, like: SplatObject | None = None) -> None:
    """Note that all points of an object have different rows and came from the import of `like`, or from a new one."""
    count = len(obj.data.points)
    # Blender's Join gives 0 to points that have no number.
    obj.bgs.source = like.bgs.source if like is not None else obj.bgs.source or random.randrange(1, 1 << 31)
    obj.bgs.checked_points = count
    point_clouds.set_column(obj.data, at.Column(at.SOURCE, "INT", np.full(count, obj.bgs.source, np.int32)))
    if obj.data.attributes.get(at.SELECTED) is None:  # without it, Edit Mode would begin with all points selected
        point_clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", np.zeros(count, bool)))


def note_bits(obj: SplatObject) -> None:
    """Remember the level bits of an object's import."""
    _bits[obj.bgs.source] = obj.bgs.level_bits


def adopt(obj: SplatObject) -> None:
    """Make the points that were added to a cloud its own: with rows and labels that nothing else has.

    Points that were duplicated keep their labels. Points of another import get new labels. It does nothing if the
    number of points is the one of the last check.

    Raises:
        InputError: points were joined that are no Gaussians, or there is no free label.
    """
    cloud = obj.data
    count = len(cloud.points)
    if obj.bgs.checked_points == count:
        return
    rows, source = point_clouds.get_column(cloud, at.ROW), point_clouds.get_column(cloud, at.SOURCE)
    if rows is None or source is None:
        obj.bgs.checked_points = count
        return
    others = int((source == 0).sum())
    if others:
        raise InputError(
            f"{others:,} points of {obj.name} are no Gaussians: they were joined from another kind of point cloud.",
            "Undo the join, or delete these points in edit mode.",
        )
    foreign = source != obj.bgs.source
    added = foreign | repeated(rows)
    if added.any():
        if foreign.any():
            _take_labels(obj, source, foreign)
            _take_confidence(cloud, source)
            _widen(obj)
        rows[added] = np.arange(added.sum()) + 1 + max(_last_row(obj), int(rows[~added].max(initial=-1)))
        point_clouds.set_column(cloud, at.Column(at.ROW, "INT", rows))
        source[:] = obj.bgs.source
        point_clouds.set_column(cloud, at.Column(at.SOURCE, "INT", source))
    obj.bgs.checked_points = count
    if foreign.any():
        if obj.bgs.level_bits and obj.bgs.whole is None:
            labels.list_labels(obj)
        appearance.refresh_radii(obj)
        appearance.refresh_one(obj, (obj.bgs.whole or obj).bgs)


def repeated(rows: np.ndarray) -> np.ndarray:
    """Which rows, int [N], occurred before, bool [N]."""
    first = np.unique(rows, return_index=True)[1]
    again = np.ones(len(rows), bool)
    again[first] = False
    return again


def _last_row(obj: SplatObject) -> int:
    """The largest row of the other objects of a splat: its whole cloud and its label objects."""
    whole = obj.bgs.whole or obj
    others = [one for one in (whole, *code_tables.parts_of(whole)) if one != obj]
    rows = [point_clouds.get_column(one.data, at.ROW) for one in others]
    return max((int(values.max(initial=-1)) for values in rows if values is not None), default=-1)


def _take_labels(obj: SplatObject, source: np.ndarray, foreign: np.ndarray) -> None:
    """Give the foreign Gaussians labels that the splat does not have. They stay apart as they were apart before."""
    cloud = obj.data
    codes, layout = point_clouds.get_column(cloud, at.CODE), obj.bgs.bits
    if layout is None:  # the splat has no labels, so labels of others mean nothing here
        if codes is not None:
            cloud.attributes.remove(cloud.attributes[at.CODE])
        return
    if codes is None:
        return
    whole = obj.bgs.whole or obj
    used = [codes[~foreign]] if whole == obj else [codes[~foreign], code_tables.codes_of(whole)]
    for number in np.unique(source[foreign]).tolist():
        rows = source == number
        if _bits.get(number) != obj.bgs.level_bits:
            codes[rows] = 0  # their codes cannot be read with this bit layout, so they become one label
        codes[rows] = separate_codes(codes[rows], np.concatenate(used), layout)
        used.append(codes[rows])
    point_clouds.set_column(cloud, at.Column(at.CODE, "INT", codes))


def _take_confidence(cloud: bpy.types.PointCloud, source: np.ndarray) -> None:
    """Give Gaussians whose import had no confidences the highest one. Blender's Join gives them 0."""
    confidence = point_clouds.get_column(cloud, at.CONFIDENCE)
    if confidence is None:
        return
    for number in np.unique(source).tolist():
        rows = source == number
        if not confidence[rows].any():
            confidence[rows] = 1
    point_clouds.set_column(cloud, at.Column(at.CONFIDENCE, "FLOAT", confidence))


def _widen(obj: SplatObject) -> None:
    """Let the PLY layout of a splat, and of its whole cloud, hold all spherical harmonics that its points have."""
    rest = next((n for n in at.RESTS if obj.data.attributes.get(at.harmonic(n - 1)) is not None), 0)
    for one in {obj, obj.bgs.whole or obj}:
        layout = one.bgs.ply_layout
        if layout.rest < rest:
            with without_updates():
                one.bgs.layout = layout.with_rest(rest).to_text()

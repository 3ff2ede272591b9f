"""Keeps label lists and frames up to date when points were deleted, separated, joined or brought back by Undo."""

import bpy
import numpy as np

from ..logic import attributes as at
from . import appearance, code_tables, geometry_nodes, label_rows, labels, point_clouds, seen
from .typed import SplatObject

SAMPLE = 4096  # points that tell whether a frame still fits

_framed: dict[int, int] = {}  # session_uid of an object: a number that its points had when its frame was fitted
_counted: dict[int, tuple[int, ...]] = {}  # session_uid of a whole cloud: those of its label objects when counted


def forget() -> None:
    """Forget all objects, because another file is opened or the extension is disabled."""
    _framed.clear()
    _counted.clear()


def count_again(changed: set[int]) -> None:
    """Count what one sees of each splat of which label objects came or went, or a cloud changed.

    `changed` has the session_uid of clouds.
    """
    for whole in [obj for obj in bpy.data.objects if point_clouds.is_splat(obj)]:
        if whole.library is not None or not whole.bgs.level_bits or whole.bgs.whole is not None:
            continue
        parts = code_tables.parts_of(whole)
        there = tuple(part.session_uid for part in parts)
        if _counted.get(whole.session_uid) != there or any(o.data.session_uid in changed for o in (whole, *parts)):
            _counted[whole.session_uid] = there
            seen.note_counts(whole)


def follow(obj: SplatObject) -> None:
    """Fit the frame of an object to its points, and list its labels anew if it has other ones or other counts."""
    if obj.library is not None or obj.data.library is not None:
        return
    position = point_clouds.get_column(obj.data, at.POSITION)
    if position is None:
        return
    step = max(1, len(position) // SAMPLE)
    points = hash((len(position), np.ascontiguousarray(position[::step]).tobytes()))
    if _framed.get(obj.session_uid) != points:
        geometry_nodes.fit_frame(obj)
        _framed[obj.session_uid] = points
    if obj.bgs.whole is None and obj.bgs.level_bits and obj.data.attributes.get(at.CODE) and _is_stale(obj):
        labels.list_labels(obj)
        appearance.refresh(obj)


def _is_stale(obj: SplatObject) -> bool:
    table = code_tables.table_of(obj)
    here = label_rows.sums(obj, table, table.counts)
    labels_there = sum(len(np.unique(table.labels(level))) for level in range(1, table.layout.levels + 1))
    return len(here) != labels_there or not np.array_equal(here, label_rows.column(obj, "count"))

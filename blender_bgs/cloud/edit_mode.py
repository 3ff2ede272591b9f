"""Edit Mode of splats: hidden Gaussians are not selected there, and commands on labels work on what is selected.

Blender has no way to hide a point in Edit Mode. Its tools select hidden Gaussians too, so `spare_hidden` deselects them
after each change. Blender's own undo of Edit Mode restores the points only, and neither labels nor objects. A command
that changes those leaves Edit Mode first, so that its undo step holds everything.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np
from bgs_engine.core.errors import BgsError

from ..logic import attributes as at
from . import appearance, label_selection, point_clouds, selection
from .code_tables import table_of
from .typed import Context, SplatObject


def edited(context: Context) -> list[SplatObject]:
    """The splats that are in Edit Mode, both whole clouds and label objects."""
    if context.mode == "OBJECT":
        return []
    return [obj for obj in context.view_layer.objects if point_clouds.is_splat(obj) and obj.mode == "EDIT"]


def spare_hidden(obj: SplatObject) -> bool:
    """Deselect the hidden Gaussians of an object in Edit Mode. Returns whether any was selected."""
    splat = (obj.bgs.whole or obj).bgs
    if obj.data.library is not None or not splat.level_bits or obj.data.attributes.get(at.CODE) is None:
        return False
    table = table_of(obj)
    hidden = appearance.hidden_codes(splat, table)
    if not hidden.any():
        return False
    chosen, gone = selection.selected(obj), hidden[table.inverse]
    if not (chosen & gone).any():
        return False
    point_clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", chosen & ~gone))
    return True


@contextmanager
def left(context: Context) -> Iterator[None]:
    """A context outside Edit Mode. What was selected in label objects is selected in their whole clouds.

    After a `BgsError`, Edit Mode and the selection are as before.
    """
    objects = edited(context)
    if not objects:
        yield
        return
    for obj in objects:
        spare_hidden(obj)
    wholes = {whole.session_uid: whole for obj in objects if (whole := obj.bgs.whole) is not None}
    before = {uid: selection.selected(whole) for uid, whole in wholes.items()}
    chosen = {uid: np.zeros(len(rows), bool) for uid, rows in before.items()}
    for obj in objects:
        whole = obj.bgs.whole
        if whole is not None:
            rows = point_clouds.get_column(whole.data, at.ROW)
            points = selection.points_in_whole(rows, obj)
            if points is not None:
                chosen[whole.session_uid][points[selection.selected(obj) & (points >= 0)]] = True
        elif obj.data.attributes.get(at.SELECTED) is None:  # all are, and outside Edit Mode that would mean none
            point_clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", selection.selected(obj)))
    bpy.ops.object.mode_set(mode="OBJECT")
    for uid, whole in wholes.items():
        _select(whole, chosen[uid])
    try:
        yield
    except BgsError:
        for uid, whole in wholes.items():
            _select(whole, before[uid])
        bpy.ops.object.mode_set(mode="EDIT")
        raise


def _select(whole: SplatObject, rows: np.ndarray) -> None:
    """Select Gaussians of a whole cloud. The label objects keep their selection: the user edits one of them."""
    point_clouds.set_column(whole.data, at.Column(at.SELECTED, "BOOLEAN", rows), tag=False)
    label_selection.note(whole, rows)

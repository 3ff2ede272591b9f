"""What becomes of a suggestion: a new label, Gaussians for the active label, or Gaussians taken from it."""

import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from mathutils import Matrix

from ..cloud import agreement, code_tables, label_selection, labels, locks, pivot, shapes
from ..cloud.properties import BGS_Label
from ..cloud.typed import SplatObject, SplatScene
from ..labelling import editing
from ..logic.clicks import as_new_label, check_taken, first_codes, home_of, label_with_just
from ..logic.transforms import change_since_import

NEW, ADD, TAKE = "NEW", "ADD", "TAKE"


def accept(scene: SplatScene, whole: SplatObject, points: np.ndarray, how: str) -> str:
    """Write a suggestion to the codes at the shown level. Returns a message for the user.

    Args:
        scene: the scene with the collections of the label objects.
        whole: the splat.
        points: the Gaussians, bool [P].
        how: NEW: they get a label of their own, beside the label that has most of them. ADD: they get the active label.
            TAKE: those of the active label get a label of their own beside it. A splat without labels gets some.

    Raises:
        UsageError: there are no Gaussians, there is no active label, no child number is free, or a label is locked.
    """
    if not points.any():
        raise UsageError("The suggestion is empty.", "Click at another place.")
    if not whole.bgs.level_bits:
        return _first_label(whole, points, how)
    agreement.follow(whole)
    level = whole.bgs.shown_level
    if how == ADD:
        active = need_active(whole)
        mine = code_tables.table_of(whole).rows(level, active.label)
        free, left_out = locks.without_locked(whole, points & ~mine)
        points = free | (points & mine)
        target, name = active.label, active.name
        note = editing.move(scene, whole, points, level, target)
        said = f"{int(points.sum()):,} Gaussians belong to {name} now{left_out}"
    else:
        taken_from = ""
        if how == TAKE:
            active = need_active(whole)
            taken_from = f", taken from {active.name}"
            mine = code_tables.table_of(whole).rows(level, active.label)
            check_taken(mine, points, active.name)
            points = points & mine
        same = label_with_just(code_tables.table_of(whole), points, level)
        if same is None and how == TAKE:
            locks.refuse(whole, points)
        elif same is None:
            points, taken_from = locks.without_locked(whole, points)
        target, note = (same, "") if same is not None else _make(scene, whole, points, level)
        entry = labels.find(whole, level, target)
        name = entry.name if entry is not None else str(target)
        said = f"{name}: {int(points.sum()):,} Gaussians{taken_from}"
        if same is not None:
            said = f"The suggestion is just the label {name}"
    label_selection.select_labels(whole, [(level, target)])
    labels.activate(whole, (level, target))
    return said + note


def need_active(whole: SplatObject) -> BGS_Label:
    """The active label of the shown level.

    Raises:
        UsageError: none is active.
    """
    active = whole.bgs.active_label()
    if active is None:
        raise UsageError("No label of this level is active.", "Click one in the list, and press the button again.")
    return active


def _make(scene: SplatScene, whole: SplatObject, points: np.ndarray, level: int) -> tuple[int, str]:
    layout, before = code_tables.bit_layout_of(whole), code_tables.codes_of(whole)
    seen_at = _place_of(whole, home_of(before, points, layout, level), level)
    codes, target = as_new_label(before, points, layout, level)
    note = editing.give(scene, whole, codes, level, target)
    if seen_at is not None:
        for part in _objects_of(whole, target, level):
            world = seen_at @ pivot.shift_of(part)
            part.matrix_world = Matrix(world.tolist())
            shapes.note_world(part, world)
    return target, note


def _place_of(whole: SplatObject, label: int, level: int) -> np.ndarray | None:
    """The matrix [4, 4] from the splat space to the world, where a label's object was moved to; None if it was not.

    Gaussians that leave an object stay where one saw them.
    """
    part = next(iter(_objects_of(whole, label, level)), None)
    if part is None:
        return None
    applied = shapes.local_of(part) @ np.linalg.inv(shapes.local_of(whole))
    world, home = pivot.splat_world_of(part) @ applied, pivot.splat_world_of(whole)
    return None if change_since_import(world, home, float(np.abs(pivot.pivot_of(part)).max())) is None else world


def _objects_of(whole: SplatObject, label: int, level: int) -> list[SplatObject]:
    return [o for o in code_tables.parts_of(whole) if (o.bgs.part_level, o.bgs.part_key & 0xFFFFFFFF) == (level, label)]


def _first_label(whole: SplatObject, points: np.ndarray, how: str) -> str:
    if how != NEW:
        raise UsageError(f"{whole.name} has no labels yet.", "Press New Label.")
    layout = BitLayout()
    codes, names = first_codes(points, layout)
    labels.attach(whole, codes, layout, names=names)
    label_selection.select_labels(whole, [(1, 1)])
    labels.activate(whole, (1, 1))
    entry = labels.find(whole, 1, 1)
    return f"{entry.name if entry else 1}: {int(points.sum()):,} Gaussians. The others have the label Rest"

"""Edits of labels: moving, joining and splitting them. Names, colours, eyes and label objects follow."""

from collections.abc import Collection, Mapping

import numpy as np
from bgs_engine.cutouts.loose_parts import SOLID, loose_parts, near, touching_distance

from ..cloud import code_tables, label_selection, labels, point_clouds
from ..cloud.properties import BGS_Label
from ..cloud.typed import SplatObject, SplatScene
from ..logic import attributes as at
from ..logic.label_edits import join_target, split
from ..logic.label_states import codes_with
from ..logic.label_tree import Key, free_label, reassign
from ..parts import cleaning, label_objects
from ..parts.edited import edited_parts, lost_parts

STALE = ". Press Update Collections to give the label objects their Gaussians"


def change(
    scene: SplatScene,
    obj: SplatObject,
    codes: np.ndarray,
    made: Collection[int] = (),
    names: Mapping[Key, str] | None = None,
) -> str:
    """Write new codes, int32 [N], and give the label objects their Gaussians. Returns a note for the user, or "".

    `made` are labels of the objects' level that get objects too. `names` are names of new labels. Where an update would
    overwrite what the user did to the objects, they stay as they are until Update Collections, which asks first: then
    the note is `STALE`.
    """
    has_objects = obj.bgs.part_collection is not None and bool(code_tables.parts_of(obj))
    edited = has_objects and bool(edited_parts(obj))
    partners = labels.replace_codes(obj, codes, names)
    if not has_objects:
        return ""
    label_objects.rename_keys(obj, partners)
    if edited or lost_parts(obj):
        obj.bgs.parts_stale = True
        return STALE
    before = cleaning.cleaned_now(obj)
    label_objects.update_tree(scene, obj, also=set(made))
    return cleaning.lost_note(obj, before)


def move(scene: SplatScene, obj: SplatObject, rows: np.ndarray, level: int, target: int) -> str:
    """Give the Gaussians `rows`, bool [N], the label `target` at `level`. Returns a note for the user, or "".

    Raises:
        UsageError: the target has no free child number.
    """
    layout = code_tables.bit_layout_of(obj)
    return give(scene, obj, reassign(code_tables.codes_of(obj), rows, layout, level, target), level, target)


def give(scene: SplatScene, obj: SplatObject, codes: np.ndarray, level: int, target: int) -> str:
    """Write codes, int32 [N], in which label `target` of `level` may be new. Returns a note for the user, or ""."""
    return change(scene, obj, codes, {target} if obj.get(label_objects.LEVEL) == level else ())


def new_label(obj: SplatObject, level: int, like: int) -> int:
    """A free label of `level` under the parent of the label `like`.

    Raises:
        UsageError: the parent has no free child number.
    """
    layout = code_tables.bit_layout_of(obj)
    return free_label(code_tables.table_of(obj).labels(level).tolist(), int(layout.parent(like, level)), layout, level)


def rows_of(obj: SplatObject, chosen: Collection[BGS_Label]) -> np.ndarray:
    """The Gaussians of some labels, bool [N]."""
    table = code_tables.table_of(obj)
    return codes_with(table, ((row.level, row.label) for row in chosen))[table.inverse]


def join(scene: SplatScene, obj: SplatObject, chosen: list[BGS_Label]) -> tuple[int, str]:
    """Join labels of one level into one. Returns its number and a note for the user.

    It keeps the name, the colour and the parent of the active label if that is one of them, else of the largest.

    Raises:
        UsageError: fewer than two labels are given, or a free child number is lacking.
    """
    active, level = obj.bgs.active_label(), obj.bgs.shown_level
    target = join_target(active.label if active else None, [row.label for row in chosen])
    note = move(scene, obj, rows_of(obj, chosen), level, target)
    label_selection.select_labels(obj, [(level, target)])
    labels.activate(obj, (level, target))
    return target, note


def split_loose(
    scene: SplatScene, obj: SplatObject, label: BGS_Label, distance: float, least: float
) -> tuple[int, str]:
    """Give the loose parts of a label labels of their own. Returns their number and a note for the user.

    Args:
        scene: the scene with the collections of the label objects.
        obj: the whole cloud.
        label: the label. Its largest part keeps it.
        distance: the widest gap inside a part, in the splat's own space; 0 means as far as typical Gaussians reach.
        least: smaller parts stay with the largest one; a share of the label's Gaussians in 0..1.

    Raises:
        UsageError: the distance is too small, or there are too few free child numbers.
    """
    level, number = label.level, label.label
    rows = np.flatnonzero(code_tables.table_of(obj).rows(level, number))
    points = point_clouds.need_column(obj.data, at.POSITION)[rows].astype(np.float64)
    opacities = point_clouds.need_column(obj.data, at.BASE)[rows, 3]
    found = loose_parts(points, opacities >= SOLID, distance or automatic_distance(obj, label))
    large = np.bincount(found, minlength=1) >= least * len(rows)
    number_of = np.where(large, np.cumsum(large) - 1, 0)
    number_of[0] = 0
    pieces = np.zeros(len(obj.data.points), int)
    pieces[rows] = number_of[found]
    more = int(number_of.max())
    if not more:
        return 0, ""
    before = set(code_tables.table_of(obj).labels(level).tolist())
    codes = split(code_tables.codes_of(obj), code_tables.bit_layout_of(obj), level, number, pieces)
    made = set(np.unique(code_tables.bit_layout_of(obj).labels(codes, level)).tolist()) - before
    note = change(scene, obj, codes, made if obj.get(label_objects.LEVEL) == level else ())
    return more, note


def automatic_distance(obj: SplatObject, label: BGS_Label) -> float:
    """How far typical Gaussians of a label reach, in the splat's own space."""
    rows = code_tables.table_of(obj).rows(label.level, label.label)
    return touching_distance(point_clouds.need_column(obj.data, at.SCALE)[rows])


def touching(obj: SplatObject, chosen: list[BGS_Label], distance: float) -> list[BGS_Label]:
    """The shown labels of the level that touch one of the labels `chosen`, without these.

    Labels touch where solid Gaussians of both are at most `distance` apart, or in neighbouring cells of that width. 0
    means as far as typical Gaussians of the chosen labels reach.
    """
    level, table = obj.bgs.shown_level, code_tables.table_of(obj)
    mine = rows_of(obj, chosen)
    points = point_clouds.need_column(obj.data, at.POSITION).astype(np.float64)
    solid = point_clouds.need_column(obj.data, at.BASE)[:, 3] >= SOLID
    width = distance or touching_distance(point_clouds.need_column(obj.data, at.SCALE)[mine])
    others = near(points, mine & solid, width) & solid & ~mine
    found = set(np.unique(table.labels(level)[table.inverse[others]]).tolist())
    return [row for row in obj.bgs.labels if row.level == level and row.label in found and not row.hidden]

"""Writes codes to a cloud, keeps its label list up to date, and reassigns Gaussians."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from bgs_engine.io.run_folder import run_id_of

from ..logic import attributes as at
from ..logic.carry_over import LabelSettings
from ..logic.label_edits import partners_after
from ..logic.label_states import relative_at
from ..logic.label_tree import CodeTable, Color, Key, build_entries, reassign
from . import (
    appearance,
    code_tables,
    label_selection,
    label_sets,
    locks,
    part_labels,
    point_clouds,
    redraw,
    selection,
    shown,
)
from .properties import BGS_Label, signed, without_updates
from .typed import SplatObject


def attach(
    obj: SplatObject,
    codes: np.ndarray,
    layout: BitLayout,
    run: Path | None = None,
    names: Mapping[Key, str] | None = None,
    colors: Mapping[Key, Color] | None = None,
    automatic: Mapping[Key, str] | None = None,
) -> None:
    """Write the codes, int32 [N] in point order, to a cloud and list its labels with names and colours of the run."""
    set_codes(obj, codes, layout, run)
    list_labels(obj, LabelSettings(names=dict(names or {}), colors=dict(colors or {}), automatic=dict(automatic or {})))
    appearance.refresh(obj)


def set_codes(obj: SplatObject, codes: np.ndarray, layout: BitLayout, run: Path | None) -> None:
    """Write the codes and their bit layout. Call `list_labels` and `appearance.refresh` afterwards."""
    point_clouds.set_column(obj.data, at.Column(at.CODE, "INT", codes))
    with without_updates():
        obj.bgs.level_bits = ",".join(map(str, layout.level_bits))
        obj.bgs.levels = layout.levels
        obj.bgs.level = 1
        if obj.bgs.color_mode == "COLOR":  # a colouring that the user chose stays
            obj.bgs.color_mode = "MIXED"
        if run is not None:
            obj.bgs.run_folder = str(run)
            obj.bgs.run_id = run_id_of(run)
            obj.bgs.run_changed = False


def label_settings(obj: SplatObject) -> LabelSettings:
    """What users can change on each label in the list, and the named sets."""
    rows = {(row.level, row.label): row for row in obj.bgs.labels}
    return LabelSettings(
        names={key: row.name for key, row in rows.items()},
        colors={key: (row.color[0], row.color[1], row.color[2]) for key, row in rows.items()},
        hidden={key for key, row in rows.items() if row.hidden},
        light={key: (*row.tint, row.exposure) for key, row in rows.items() if row.is_lit},
        locked={key for key, row in rows.items() if row.locked},
        sets=label_sets.keys_by_name(obj),
        automatic={key: row.automatic for key, row in rows.items() if row.automatic},
    )


def active_key(obj: SplatObject) -> Key | None:
    """The (level, label) of the active row of the list, whatever its level, or None."""
    rows, index = obj.bgs.labels, obj.bgs.label_index
    return (rows[index].level, rows[index].label) if 0 <= index < len(rows) else None


def list_labels(obj: SplatObject, settings: LabelSettings | None = None, active: Key | None = None) -> None:
    """Rebuild the label list from the codes. Labels keep `settings`, by default those in the present list.

    `active` is the label that becomes active, by default the one that is. Another row does if it does not exist.
    """
    splat = obj.bgs
    settings = label_settings(obj) if settings is None else settings
    entries = build_entries(code_tables.table_of(obj), settings.names, settings.colors)
    active = active_key(obj) if active is None else active
    with without_updates():
        splat.labels.clear()
        for entry in entries:
            row = splat.labels.add()
            row.level, row.key, row.parent = entry.level, signed(entry.label), signed(entry.parent)
            row.count, row.name, row.color = entry.count, entry.name, entry.color
            row.seen, row.automatic = entry.count, settings.automatic.get(entry.key, "")
            row.hidden, row.locked = entry.key in settings.hidden, entry.key in settings.locked
            if entry.key in settings.light:
                row.tint, row.exposure = settings.light[entry.key][:3], settings.light[entry.key][3]
        keys = [entry.key for entry in entries]
        rest = min(splat.label_index, max(0, len(keys) - 1))
        splat.label_index = keys.index(active) if active in keys else rest
    label_sets.keep(obj, settings.sets)
    shown.note_again(obj)
    label_selection.note(obj)
    if splat.part_collection is not None:
        shown.hide_objects(obj)
        label_selection.select_objects(obj)
    part_labels.tell(obj)


def promote_orphan(obj: SplatObject) -> None:
    """Turn a label object without its whole cloud into a whole cloud: list all labels that it contains.

    The source file and the run folder hold the whole splat, so the object does not keep them.
    """
    if not obj.bgs.is_alone:
        return
    with without_updates():
        obj.bgs.part_level, obj.bgs.whole = 0, None
        obj.bgs.source_path = obj.bgs.source_mark = obj.bgs.source_state = ""
        obj.bgs.source_count = 0
        obj.bgs.run_folder = obj.bgs.run_id = ""
        obj.bgs.run_changed = False
    list_labels(obj)


def level_changed(obj: SplatObject) -> None:
    """Update a cloud after the user moved its level slider."""
    promote_orphan(obj)
    _follow_level(obj)
    appearance.refresh(obj)


def _follow_level(obj: SplatObject) -> None:
    """Make the label of the shown level active that contains the active label, or its largest child."""
    active = active_key(obj)
    if active is not None:
        activate_shown(obj, active)


def activate_shown(obj: SplatObject, key: Key) -> None:
    """Make the label of the shown level active that contains label `key`, or its largest child."""
    bits = obj.bgs.bits
    if bits is None:
        return
    counts = {(row.level, row.label): row.count for row in obj.bgs.labels}
    relative = relative_at(bits, key, obj.bgs.shown_level, counts)
    if relative is not None:
        activate(obj, relative)


def activate(obj: SplatObject, key: Key) -> None:
    """Make a label active, if it is in the list. What is selected stays."""
    index = next((i for i, row in enumerate(obj.bgs.labels) if (row.level, row.label) == key), None)
    if index is not None and index != obj.bgs.label_index:
        with without_updates():
            obj.bgs.label_index = index
        redraw.sidebars()


def find(obj: SplatObject, level: int, label: int) -> BGS_Label | None:
    """The list entry of a label, or None."""
    key = signed(label)
    return next((row for row in obj.bgs.labels if row.level == level and row.key == key), None)


def move_to_label(obj: SplatObject, rows: np.ndarray, level: int, target: int) -> None:
    """Give the Gaussians `rows` (bool [N]) the label `target` at `level`, and update lists and colours.

    Raises:
        UsageError: `rows` selects no Gaussian, or the target has no free child number.
    """
    if not rows.any():
        raise UsageError("No Gaussian is selected.", "Pick a label in the viewport or select one in the list.")
    codes, layout = code_tables.codes_of(obj), code_tables.bit_layout_of(obj)
    replace_codes(obj, reassign(codes, rows, layout, level, target))


def replace_codes(obj: SplatObject, codes: np.ndarray, names: Mapping[Key, str] | None = None) -> dict[Key, Key]:
    """Write new codes, int32 [N], after an edit of labels. Returns which label each old one is now.

    Names, colours and eyes stay with their labels, also with those whose number changed with their parent. The labels
    in `names` get these names.

    Raises:
        UsageError: a label is locked that would change. Nothing is written then.
    """
    locks.refuse_changes(obj, codes)
    old, settings = code_tables.table_of(obj), label_settings(obj)
    new = CodeTable.of(codes, old.layout)
    partners = partners_after(old, new)
    point_clouds.set_column(obj.data, at.Column(at.CODE, "INT", codes))
    code_tables.remember(obj, codes, new)
    with without_updates():
        obj.bgs.run_changed = bool(obj.bgs.run_folder)
    active, settings = active_key(obj), settings.renumbered(partners)
    settings.names.update(names or {})
    list_labels(obj, settings, partners.get(active) if active is not None else None)
    for part in code_tables.parts_of(obj):
        copy_codes_to_part(obj, part)
    appearance.refresh(obj)
    return partners


def copy_codes_to_part(whole: SplatObject, part: SplatObject) -> None:
    """Copy the whole cloud's codes to the Gaussians of a label object, so that it shows the new labels.

    The object keeps its Gaussians until Update Collections. `whole.bgs.parts_stale` is set if its codes changed.
    """
    rows, codes = (point_clouds.get_column(whole.data, name) for name in (at.ROW, at.CODE))
    points = selection.points_in_whole(rows, part)
    if points is None or codes is None:
        return
    before = point_clouds.get_column(part.data, at.CODE)
    new = codes[points] if before is None else np.where(points >= 0, codes[points], before)
    if before is None or not np.array_equal(new, before):
        with without_updates():
            part.bgs.level_bits, part.bgs.levels = whole.bgs.level_bits, whole.bgs.levels
            whole.bgs.parts_stale = True
        point_clouds.set_column(part.data, at.Column(at.CODE, "INT", new))

"""Which labels are selected. The attribute `.selection` of the whole cloud is what counts.

A label is selected if all its Gaussians are, so all levels agree. A label object is selected if its label is.
"""

from collections.abc import Iterable

import numpy as np
from bgs_engine.core.errors import UsageError

from ..logic import attributes as at
from ..logic.label_states import codes_with
from ..logic.label_tree import Key
from . import label_rows, point_clouds, properties, redraw, selection
from .code_tables import table_of
from .properties import BGS_Label
from .shown import objects_of_labels
from .typed import SplatObject


def select(obj: SplatObject, rows: np.ndarray, objects: bool = True) -> None:
    """Select the Gaussians `rows`, bool [N], and no others. The label list follows, and with `objects` they do too."""
    column = at.Column(at.SELECTED, "BOOLEAN", rows)
    point_clouds.set_column(obj.data, column, tag=obj.mode == "EDIT")  # only Edit Mode shows the selection itself
    note(obj, rows)
    if objects:
        select_objects(obj)
    properties.hooks.selection_changed(obj)


def select_labels(obj: SplatObject, keys: Iterable[Key]) -> None:
    """Select the Gaussians of the labels `keys`, and no others."""
    table = table_of(obj)
    select(obj, codes_with(table, keys)[table.inverse])


def combine(obj: SplatObject, rows: np.ndarray, mode: str) -> None:
    """Select the Gaussians `rows`, bool [N] (SET), or combine them with the selection: ADD, SUB, XOR, AND."""
    before = selection.selected(obj)
    combined = {"ADD": before | rows, "SUB": before & ~rows, "XOR": before ^ rows, "AND": before & rows}
    select(obj, combined.get(mode, rows))


def combine_labels(obj: SplatObject, keys: Iterable[Key], mode: str) -> None:
    """Select the labels `keys` (SET), or combine them with the selection: ADD, SUB, XOR, AND."""
    table = table_of(obj)
    combine(obj, codes_with(table, keys)[table.inverse], mode)


def select_labels_of_objects(whole: SplatObject) -> None:
    """Select the labels of the selected label objects, and no other Gaussians."""
    table = table_of(whole)
    keys = (key for key, parts in objects_of_labels(whole).items() if any(part.select_get() for part in parts))
    rows = codes_with(table, keys)[table.inverse]
    if not np.array_equal(rows, selection.selected(whole)):
        select(whole, rows, objects=False)


def note(obj: SplatObject, rows: np.ndarray | None = None) -> None:
    """Mark the labels in the list that are selected wholly or partly. `rows` are the selected Gaussians, bool [N]."""
    if not obj.bgs.level_bits:
        return
    if rows is None:
        rows = selection.selected(obj)
    table = table_of(obj)
    found = label_rows.sums(obj, table, np.bincount(table.inverse[rows], minlength=len(table.unique)))
    whole = (found > 0) & (found == label_rows.column(obj, "count"))
    changed = [label_rows.write(obj, name, values) for name, values in (("selected", whole), ("partly", found > 0))]
    if any(changed):
        redraw.sidebars()


def select_objects(whole: SplatObject) -> None:
    """Select the label objects whose labels are selected, and deselect the others."""
    marked = {(row.level, row.label) for row in whole.bgs.labels if row.selected}
    for key, parts in objects_of_labels(whole).items():
        for part in parts:
            if part.visible_get() and part.select_get() != (key in marked):
                part.select_set(key in marked)


def selected_labels(obj: SplatObject) -> list[BGS_Label]:
    """The selected labels of the shown level, largest first."""
    level = obj.bgs.shown_level
    return [row for row in obj.bgs.labels if row.level == level and row.selected]


def need_selected_labels(obj: SplatObject) -> list[BGS_Label]:
    """The selected labels of the shown level, largest first.

    Raises:
        UsageError: no label of the shown level is selected.
    """
    found = selected_labels(obj)
    if not found:
        raise UsageError("No label of this level is selected.", "Click one in the list, or pick one in the viewport.")
    return found


def select_active(obj: SplatObject) -> None:
    """Select the active label and no other, because the user clicked its row."""
    label = obj.bgs.active_label()
    if label is not None:
        select_labels(obj, [(label.level, label.label)])


def are_whole_objects(obj: SplatObject) -> bool:
    """Whether just the Gaussians of selected label objects are selected, and no others."""
    keys = {key for key, parts in objects_of_labels(obj).items() if any(part.select_get() for part in parts)}
    table = table_of(obj)
    return bool(keys) and np.array_equal(codes_with(table, keys)[table.inverse], selection.selected(obj))

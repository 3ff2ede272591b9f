"""Which labels are shown. A label is hidden if all its Gaussians are, so the eyes of all levels always agree."""

from collections.abc import Iterable

import bpy
import numpy as np

from ..logic.label_states import codes_with
from ..logic.label_tree import CodeTable, Key
from . import appearance, label_rows, redraw
from .code_tables import parts_of, table_of
from .properties import BGS_Label, without_updates
from .typed import SplatObject


def set_hidden(obj: SplatObject, hide: Iterable[Key], show: Iterable[Key] = ()) -> None:
    """Hide the labels `hide`, show the labels `show` with all that they contain, and refresh once."""
    table = table_of(obj)
    hidden = appearance.hidden_codes(obj.bgs, table)
    hidden[codes_with(table, show)] = False
    hidden[codes_with(table, hide)] = True
    note(obj, table, hidden)
    hide_objects(obj)
    appearance.refresh(obj)


def note(obj: SplatObject, table: CodeTable, hidden: np.ndarray) -> None:
    """Set the eye of every label in the list. `hidden` says which codes are hidden, bool [U]."""
    gone = label_rows.sums(obj, table, np.where(hidden, table.counts, 0))
    counts, were = label_rows.column(obj, "count"), label_rows.column(obj, "hidden")
    closed = (gone == counts) & (counts > 0)
    if np.array_equal(closed, were):
        return
    with without_updates():
        for row, now, before in zip(obj.bgs.labels, closed.tolist(), were.tolist(), strict=True):
            if now != before:
                row.hidden = now
    redraw.sidebars()


def note_again(obj: SplatObject) -> None:
    """Set all eyes after the codes changed. A Gaussian is hidden if one of its labels is."""
    table = table_of(obj)
    note(obj, table, appearance.hidden_codes(obj.bgs, table))


def eye_changed(obj: SplatObject, row: BGS_Label) -> None:
    """Update a cloud after the user clicked the eye of a label."""
    key = {(row.level, row.label)}
    set_hidden(obj, *((key, ()) if row.hidden else ((), key)))


def isolate(obj: SplatObject, level: int, wanted: Iterable[int]) -> bool:
    """Show only the labels `wanted` of a level, or all labels if just these are shown. Returns whether others hide."""
    table = table_of(obj)
    mine = codes_with(table, ((level, label) for label in wanted))
    alone = np.array_equal(appearance.hidden_codes(obj.bgs, table), ~mine)
    note(obj, table, np.zeros(len(mine), bool) if alone else ~mine)
    hide_objects(obj)
    appearance.refresh(obj)
    return not alone


def is_hidden(part: SplatObject) -> bool:
    """Whether the eye or the screen symbol of a label object is off in the outliner."""
    return part.hide_viewport or part.hide_get()


def hide_objects(whole: SplatObject) -> None:
    """Give the label objects the eyes of their labels. A label is shown as long as one of its objects is."""
    eyes = {(row.level, row.label): row.hidden for row in whole.bgs.labels}
    for key, parts in objects_of_labels(whole).items():
        closed = eyes.get(key)
        if closed is None or closed == all(map(is_hidden, parts)):
            continue
        for part in parts:
            if not closed:
                part.hide_viewport = False
            part.hide_set(closed)


def objects_of_labels(whole: SplatObject) -> dict[Key, list[SplatObject]]:
    """The label objects of each label that are in the view layer. A duplicated object has the label of its original."""
    here = bpy.context.view_layer.objects
    found: dict[Key, list[SplatObject]] = {}
    for part in parts_of(whole):
        if part.name in here:
            found.setdefault((part.bgs.part_level, part.bgs.part_key & 0xFFFFFFFF), []).append(part)
    return found

"""Keeps the label list and the label objects in agreement when Blender or the user changes the objects.

Selecting a label object selects its label, and a click makes that label active too. Hiding it closes the label's eye,
and its name is the label's. Blender's own tools tell nobody, so the states of the objects are compared with those seen
last.
"""

from dataclasses import dataclass

import bpy
import numpy as np

from ..logic.label_states import codes_with
from ..logic.label_tree import Key
from . import label_names, label_selection, labels, point_clouds, selection, shown
from .code_tables import table_of
from .typed import SplatObject


@dataclass(frozen=True)
class _State:
    selected: bool
    hidden: bool
    name: str


_seen: dict[int, dict[int, _State]] = {}  # session_uid of whole cloud -> that of each label object -> its state
_active: dict[int, int] = {}  # session_uid of whole cloud -> that of its label object that is active, or 0
_titles: dict[int, dict[int, str]] = {}  # session_uid of whole cloud -> that of each label's collection -> its name


def forget() -> None:
    """Forget all states, because another file is opened or the extension is disabled."""
    _seen.clear()
    _active.clear()
    _titles.clear()


def follow_all(after_undo: bool = False) -> None:
    """Let the labels of every whole cloud follow its label objects. Nothing happens outside Object Mode."""
    if bpy.context.mode != "OBJECT":
        return
    for obj in [o for o in bpy.context.view_layer.objects if point_clouds.is_splat(o)]:
        if obj.bgs.whole is None and obj.bgs.part_collection is not None:
            follow(obj, after_undo)


def follow(whole: SplatObject, after_undo: bool = False) -> None:
    """Let the labels of one cloud follow its label objects, and new label objects follow their labels.

    Undo brings labels and objects back from different moments. After it the objects count.
    """
    objects = shown.objects_of_labels(whole)
    if not objects or not whole.bgs.level_bits:
        _seen.pop(whole.session_uid, None)
        _active.pop(whole.session_uid, None)
        _titles.pop(whole.session_uid, None)
        return
    before = _seen.get(whole.session_uid, {})
    now = _states(objects)
    rows = {(row.level, row.label): row for row in whole.bgs.labels}
    known = set(now) if after_undo else set(now) & set(before)
    gained: set[Key] = set()
    if now != before or after_undo:
        hide: set[Key] = set()
        show: set[Key] = set()
        lost: set[Key] = set()
        for key, parts in objects.items():
            row, mine = rows.get(key), [part for part in parts if part.session_uid in known]
            if row is None or not mine:
                continue
            for part in mine:
                if after_undo or part.name != before[part.session_uid].name:
                    label_names.rename(row, part.name)
            changed = after_undo or any(now[p.session_uid] != before[p.session_uid] for p in mine)
            closed = all(now[part.session_uid].hidden for part in parts)
            if changed and closed != row.hidden:
                (hide if closed else show).add(key)
            marked = any(now[part.session_uid].selected for part in parts)
            if changed and marked != row.selected:
                (gained if marked else lost).add(key)
        if hide or show:
            shown.set_hidden(whole, hide, show)
        if gained or lost:
            _select(whole, gained, lost, {key for key, parts in objects.items() if any(p.select_get() for p in parts)})
        if set(now) - known:
            shown.hide_objects(whole)
            label_selection.select_objects(whole)
    _follow_active(whole, objects, gained, after_undo)
    _follow_collections(whole, after_undo)
    _seen[whole.session_uid] = _states(objects)


def _follow_active(
    whole: SplatObject, objects: dict[Key, list[SplatObject]], gained: set[Key], after_undo: bool
) -> None:
    """Make the label active whose object a click made active.

    Undo may bring back the active label from before the click. It then is not selected.
    """
    active = bpy.context.view_layer.objects.active
    key = next((key for key, parts in objects.items() if active in parts), None) if active is not None else None
    uid = active.session_uid if active is not None and key is not None else 0
    before = _active.get(whole.session_uid, uid)
    _active[whole.session_uid] = uid
    if active is None or key is None or not active.select_get():
        return
    row = whole.bgs.active_label()
    is_stale = after_undo and (row is None or not row.selected)
    is_clicked = not after_undo and (key in gained or uid != before)
    if is_stale or is_clicked:
        labels.activate_shown(whole, key)


def _follow_collections(whole: SplatObject, after_undo: bool) -> None:
    """Give labels the new names of their collections."""
    rows = {(row.level, row.label): row for row in whole.bgs.labels}
    collections = label_names.collections_of_labels(whole)
    before = _titles.get(whole.session_uid, {})
    for key, found in collections.items():
        for one in found:
            known = before.get(one.session_uid)
            if key in rows and (after_undo or (known is not None and known != one.name)):
                label_names.rename(rows[key], one.name)
    _titles[whole.session_uid] = {one.session_uid: one.name for found in collections.values() for one in found}


def _states(objects: dict[Key, list[SplatObject]]) -> dict[int, _State]:
    return {
        part.session_uid: _State(part.select_get(), shown.is_hidden(part), part.name)
        for parts in objects.values()
        for part in parts
    }


def _select(whole: SplatObject, gained: set[Key], lost: set[Key], objects: set[Key]) -> None:
    """Select labels whose objects were selected. Where objects were deselected, exactly the selected ones count."""
    table = table_of(whole)
    rows = codes_with(table, objects if lost else gained)[table.inverse]
    if not lost:
        rows = rows | selection.selected(whole)
    label_selection.select(whole, np.ascontiguousarray(rows))

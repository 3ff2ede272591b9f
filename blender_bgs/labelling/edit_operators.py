# mypy: disable-error-code="valid-type"
"""The operators that change labels: Reassign, Join, Move to Parent, Split, and one object of several labels."""

from typing import Any

import bpy
import numpy as np
from bgs_engine.core.errors import UsageError

from ..cloud import code_tables, edit_mode, label_selection, labels, locks, selection
from ..cloud.active_splat import need_splat, selected_parts, splat_of
from ..cloud.label_selection import need_selected_labels, selected_labels
from ..cloud.properties import BGS_Label
from ..cloud.typed import Context, Returned, SplatObject
from ..interface.operator_base import NeedsLabels, counted
from ..parts import cleaning, label_objects
from . import editing

NEW = "NEW"


class NeedsSelectedLabels(NeedsLabels):
    """Mix-in for operators that work on the selected labels of the shown level."""

    least = 1

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None or len(selected_labels(obj)) >= cls.least:
            return reason
        if cls.least > 1:
            return "Select several labels first: Ctrl or Shift on the circles in the list"
        return "Select labels first: click one in the list, or pick one in the viewport"


# Blender does not copy the texts of menus, so module variables keep them alive.
_target_items: list[tuple[str, str, str]] = []
_parent_items: list[tuple[str, str, str]] = []


def _targets(_self: object, context: Context | None) -> list[tuple[str, str, str]]:
    global _target_items
    obj = splat_of(context) if context else None
    _target_items = _items(obj, obj.bgs.shown_level if obj else 0)
    return _target_items


def _parents(_self: object, context: Context | None) -> list[tuple[str, str, str]]:
    global _parent_items
    obj = splat_of(context) if context else None
    _parent_items = _items(obj, obj.bgs.shown_level - 1 if obj else 0)
    return _parent_items


def _items(obj: SplatObject | None, level: int) -> list[tuple[str, str, str]]:
    rows = [row for row in obj.bgs.labels if row.level == level] if obj else []
    return [(NEW, "New Label", "Make a new label"), *((str(row.label), row.name, "") for row in rows)]


class BGS_OT_reassign(NeedsLabels, bpy.types.Operator):
    """Give the selected Gaussians another label of the shown level, or a new one."""

    bl_idname = "bgs.reassign"
    bl_label = "Reassign Label"
    bl_property = "target"
    target: bpy.props.EnumProperty(name="To", items=_targets)
    name: bpy.props.StringProperty(
        name="Name",
        description="The name of a new label. Leave it empty for an automatic name",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None or selected_parts(context, obj) or edit_mode.edited(context):
            return reason
        if any(row.partly for row in obj.bgs.labels):
            return ""
        return "Select labels first: click one in the list, or pick one in the viewport"

    def invoke(self, context: Context, _event: bpy.types.Event) -> Returned:
        context.window_manager.invoke_search_popup(self)
        return {"RUNNING_MODAL"}

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        level, layout = obj.bgs.shown_level, code_tables.bit_layout_of(obj)
        rows = selection.selected(obj)
        if not rows.any():
            raise UsageError("No Gaussian is selected.", "Pick in the viewport, or select a label in the list.")
        if self.target == NEW:
            target = editing.new_label(obj, level, int(layout.labels(code_tables.codes_of(obj)[rows], level)[0]))
        else:
            target = int(self.target)
        if label_selection.are_whole_objects(obj):
            note = editing.move(context.scene, obj, rows, level, target)
        else:
            labels.move_to_label(obj, rows, level, target)
            note = ""
        entry = labels.find(obj, level, target)
        if entry is not None and self.target == NEW and self.name:
            entry.name = self.name
        return f"{int(rows.sum()):,} Gaussians have the label {entry.name if entry else target} now{note}"


class BGS_OT_join_labels(NeedsSelectedLabels, bpy.types.Operator):
    """Join the selected labels into the active one, at this level. Finer labels stay as they are."""

    bl_idname = "bgs.join_labels"
    bl_label = "Join Labels"
    least = 2
    make_object: bpy.props.BoolProperty(
        name="Make One Object", description="Also make one object of the joined label", options={"SKIP_SAVE"}
    )

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        if properties.make_object:
            return "Join the selected labels into the active one, and make one object of it"
        return cls.__doc__ or ""

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        chosen, level = need_selected_labels(obj), obj.bgs.shown_level
        target, note = editing.join(context.scene, obj, chosen)
        if self.make_object and note != editing.STALE:
            gone = label_objects.deleted_labels(obj, level) - {target}
            label_objects.make_tree(context.scene, obj, level, {target}, gone)
        entry = labels.find(obj, level, target)
        return f"{len(chosen)} labels joined into {entry.name if entry else target}{note}"


class BGS_OT_move_to_parent(NeedsSelectedLabels, bpy.types.Operator):
    """Move the selected labels, with all that they contain, to another parent label or to a new one."""

    bl_idname = "bgs.move_to_parent"
    bl_label = "Move Labels to Parent"
    bl_property = "parent"
    parent: bpy.props.EnumProperty(name="Parent", items=_parents)

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None or obj.bgs.shown_level > 1:
            return reason
        return "Labels of level 1 have no parent: go to level 2, or join them"

    def invoke(self, context: Context, _event: bpy.types.Event) -> Returned:
        context.window_manager.invoke_search_popup(self)
        return {"RUNNING_MODAL"}

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        chosen, above = need_selected_labels(obj), obj.bgs.shown_level - 1
        if above < 1:
            raise UsageError("Labels of level 1 have no parent.", "Go to level 2, or join them.")
        like = int(code_tables.bit_layout_of(obj).parent(chosen[0].label, above + 1))
        parent = editing.new_label(obj, above, like) if self.parent == NEW else int(self.parent)
        rows, count = editing.rows_of(obj, chosen), len(chosen)
        note = editing.move(context.scene, obj, rows, above, parent)
        label_selection.select(obj, rows)
        entry = labels.find(obj, above, parent)
        return f"{counted(count, 'label')} moved to {entry.name if entry else parent}{note}"


class BGS_OT_split_label(NeedsSelectedLabels, bpy.types.Operator):
    """Give the loose parts of the selected labels, which touch nothing else of them, labels of their own."""

    bl_idname = "bgs.split_label"
    bl_label = "Split Label by Loose Parts"
    distance: bpy.props.FloatProperty(
        name="Distance", default=0, min=0, soft_max=1, precision=4,
        description="The widest gap inside a part, in the splat's own space. 0 means as far as its Gaussians reach",
    )  # fmt: skip
    least: bpy.props.FloatProperty(
        name="Smallest Part", default=1, min=0, max=100, subtype="PERCENTAGE",
        description="Smaller parts stay with the largest one. A share of the label's Gaussians",
    )  # fmt: skip

    def invoke(self, context: Context, _event: bpy.types.Event) -> Returned:
        # A split that finds nothing is cancelled, and then there is no Adjust Last Operation to try other values in.
        return context.window_manager.invoke_props_dialog(self)

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        keys = [(row.level, row.label) for row in need_selected_labels(obj)]
        locks.refuse(obj, editing.rows_of(obj, need_selected_labels(obj)))
        total, stale, before = 0, "", cleaning.cleaned_now(obj)
        for key in keys:
            label = labels.find(obj, *key)
            assert label is not None
            more, said = editing.split_loose(context.scene, obj, label, self.distance, self.least / 100)
            total, stale = total + more, said if said == editing.STALE else stale
        if not total:
            used = self.distance or min(editing.automatic_distance(obj, row) for row in need_selected_labels(obj))
            raise UsageError(
                f"There are no loose parts at Distance {used:.3g}.",
                "Give a smaller Distance, or a smaller Smallest Part.",
            )
        label_selection.select_labels(obj, keys)  # what came off stays out of what the user does next
        return (
            f"{counted(total, 'new label')}; the largest part stays selected{stale or cleaning.lost_note(obj, before)}"
        )


class BGS_OT_select_touching(NeedsSelectedLabels, bpy.types.Operator):
    """Add the shown labels that touch the selected ones to the selection."""

    bl_idname = "bgs.select_touching"
    bl_label = "Select Touching Labels"
    in_edit_mode = True
    distance: bpy.props.FloatProperty(
        name="Distance", default=0, min=0, soft_max=1, precision=4,
        description="How near a label must be, in the splat's own space. 0 means as far as the Gaussians reach",
    )  # fmt: skip

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        chosen: list[BGS_Label] = need_selected_labels(obj)
        found = editing.touching(obj, chosen, self.distance)
        label_selection.select(obj, np.logical_or(selection.selected(obj), editing.rows_of(obj, found)))
        return f"{counted(len(found), 'label')} added"


CLASSES = (
    BGS_OT_reassign,
    BGS_OT_join_labels,
    BGS_OT_move_to_parent,
    BGS_OT_split_label,
    BGS_OT_select_touching,
)

# mypy: disable-error-code="valid-type"
"""The operators that isolate, select, grow and shrink labels, and save them to the run folder."""

from typing import Any

import bpy
import numpy as np
from bgs_engine.core.errors import UsageError

from ..cloud import appearance, code_tables, edit_mode, label_selection, labels, point_clouds, selection, shown
from ..cloud.active_splat import ALONE, label_at, need_splat, splat_of
from ..cloud.label_selection import need_selected_labels
from ..cloud.properties import without_updates
from ..cloud.typed import Context, Returned, SplatObject
from ..files import save_to_run
from ..interface.operator_base import NeedsLabels, NoUndo
from ..logic.attributes import CONFIDENCE
from ..logic.label_states import clicked
from ..logic.label_tree import same_label
from ..parts.missing import make_missing, missing_objects

INDEX = "Row of the label list. -1 means the active row"


class BGS_OT_isolate(NeedsLabels, bpy.types.Operator):
    """Show only this label, or the selected ones. Press again to show all labels."""

    bl_idname = "bgs.isolate_label"
    bl_label = "Isolate Label"
    in_edit_mode = True
    index: bpy.props.IntProperty(
        default=-1, description="Row of the label list. -1 means the selected labels", options={"SKIP_SAVE"}
    )

    def work(self, context: Context) -> None:
        obj = need_splat(context)
        wanted = [label_at(obj, self.index)] if self.index >= 0 else need_selected_labels(obj)
        shown.isolate(obj, wanted[0].level, [label.label for label in wanted])


class BGS_OT_show_all(NeedsLabels, bpy.types.Operator):
    """Show every label again. Labels that have no object get one, if others have."""

    bl_idname = "bgs.show_all"
    bl_label = "Show All Labels"
    in_edit_mode = True

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        shown.set_hidden(obj, (), {(row.level, row.label) for row in obj.bgs.labels})
        if not missing_objects(obj):
            return ""
        with edit_mode.left(context):
            context.view_layer.update()
            return make_missing(context.scene, obj)


class BGS_OT_select_label(NeedsLabels, bpy.types.Operator):
    """Select this label. Ctrl adds it or takes it out. Shift selects all labels from the active one to this one."""

    bl_idname = "bgs.select_label"
    bl_label = "Select Label"
    in_edit_mode = True
    index: bpy.props.IntProperty(default=-1, description=INDEX, options={"SKIP_SAVE"})
    extend: bpy.props.BoolProperty(
        name="Extend", description="Leave the other labels as they are", options={"SKIP_SAVE"}
    )
    fill: bpy.props.BoolProperty(
        name="Range", description="Select all labels from the active one to this one", options={"SKIP_SAVE"}
    )

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        self.extend, self.fill = event.ctrl, event.shift
        return self.execute(context)

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        label = label_at(obj, self.index)
        rows, here = obj.bgs.labels, [i for i, row in enumerate(obj.bgs.labels) if row.level == label.level]
        index = next(i for i in here if rows[i] == label)
        order = list_orders.get(obj.session_uid, here)
        before = {i for i in here if rows[i].selected}
        picked = clicked(index, obj.bgs.label_index, order, before, self.extend, self.fill)
        if not self.fill:
            with without_updates():
                obj.bgs.label_index = index  # a range goes on starting where it started
        label_selection.select_labels(obj, [(label.level, rows[i].label) for i in picked])
        obj.bgs.picked_level = label.level
        obj.bgs.picked_row = int(np.argmax(code_tables.table_of(obj).rows(label.level, label.label)))
        return f"{int(selection.selected(obj).sum()):,} Gaussians selected"


list_orders: dict[int, list[int]] = {}  # session_uid of a cloud -> the rows that its list shows, in their order


class BGS_OT_select_low_confidence(NeedsLabels, bpy.types.Operator):
    """Select the visible Gaussians whose label has low confidence."""

    bl_idname = "bgs.select_low_confidence"
    bl_label = "Select Low Confidence"
    in_edit_mode = True
    below: bpy.props.FloatProperty(
        name="Below", description="Gaussians with a confidence below this limit are selected",
        default=0.4, min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None or obj.data.attributes.get(CONFIDENCE):
            return reason
        return "These labels have no confidence, because they do not come from a run folder"

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        confidence, table = point_clouds.get_column(obj.data, CONFIDENCE), code_tables.table_of(obj)
        rows = (confidence < self.below) & ~appearance.hidden_codes(obj.bgs, table)[table.inverse]
        label_selection.select(obj, rows)
        obj.bgs.picked_row = -1
        return f"{int(rows.sum()):,} Gaussians selected"


class BGS_OT_select_none(NeedsLabels, bpy.types.Operator):
    """Deselect all labels and Gaussians."""

    bl_idname = "bgs.select_none"
    bl_label = "Deselect Labels"
    in_edit_mode = True

    def work(self, context: Context) -> None:
        obj = need_splat(context)
        label_selection.select(obj, np.zeros(len(obj.data.points), bool))
        obj.bgs.picked_row = -1


class BGS_OT_grow(NeedsLabels, bpy.types.Operator):
    """Grow the selection to the parent label, or shrink it to the child label of the picked Gaussian."""

    bl_idname = "bgs.grow_selection"
    bl_label = "Grow Label Selection"
    in_edit_mode = True
    shrink: bpy.props.BoolProperty(name="Shrink", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        if properties.shrink:
            return "Shrink the selection to the child label of the picked Gaussian"
        return "Grow the selection to the parent label of the picked Gaussian"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        return reason or ("" if obj and obj.bgs.picked_row >= 0 else "Pick in the viewport, or select a label, first")

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        if not 0 <= obj.bgs.picked_row < len(obj.data.points):
            raise UsageError("Nothing was picked yet.", "Pick in the viewport, or select a label.")
        level = obj.bgs.picked_level + (1 if self.shrink else -1)
        if not 1 <= level <= obj.bgs.levels:
            raise UsageError(f"There is no {'finer' if self.shrink else 'coarser'} level.")
        return select_at(obj, obj.bgs.picked_row, level, extend=False)


def select_at(obj: SplatObject, row: int, level: int, extend: bool) -> str:
    """Select all Gaussians with the label of Gaussian `row` at `level`, and make that label active in the list.

    Returns a message for the user.
    """
    label, rows = same_label(code_tables.codes_of(obj), code_tables.bit_layout_of(obj), row, level)
    if extend:
        rows = rows | selection.selected(obj)
    obj.bgs.picked_row, obj.bgs.picked_level = row, level
    entry = labels.find(obj, level, label)
    if level == obj.bgs.shown_level:
        labels.activate(obj, (level, label))
    label_selection.select(obj, rows)
    return f"{entry.name if entry else label}: {int(rows.sum()):,} Gaussians selected"


class BGS_OT_save_run(NoUndo, NeedsLabels, bpy.types.Operator):
    """Write the labels to the run folder, for other programs. Saving the .blend does this too."""

    bl_idname = "bgs.save_run"
    bl_label = "Save Labels to Run Folder"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        if obj.bgs.is_alone:
            return f"{obj.name} {ALONE}. The run folder belongs to that splat"
        return "" if obj.bgs.run_folder else "This splat has no run folder; the .blend keeps its labels"

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        return f"{'Saved to' if save_to_run.save(obj) else 'Nothing new for'} {obj.bgs.run_folder}"


CLASSES = (
    BGS_OT_isolate,
    BGS_OT_show_all,
    BGS_OT_select_label,
    BGS_OT_select_low_confidence,
    BGS_OT_select_none,
    BGS_OT_grow,
    BGS_OT_save_run,
)

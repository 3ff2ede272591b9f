# mypy: disable-error-code="valid-type"
"""Select by Condition, Grow and Shrink to Neighbours, and their panel."""

from typing import Any

import bpy

from ..cloud import label_selection
from ..cloud.active_splat import need_splat, splat_of
from ..cloud.typed import Context
from ..interface.operator_base import NeedsLabels, counted
from ..interface.sidebar import SidebarPanel
from . import conditions, label_facts
from .combining import describe, draw_buttons
from .condition_settings import NAMES, ConditionValues, condition_of, draw
from .edit_operators import NeedsSelectedLabels


class BGS_OT_select_by_condition(ConditionValues, NeedsLabels, bpy.types.Operator):
    """Select the labels of the shown level that fulfil a condition. Hidden labels stay out unless it asks for them."""

    bl_idname = "bgs.select_by_condition"
    bl_label = "Select Labels by Condition"
    in_edit_mode = True

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        return describe(properties, "the labels that fulfil the condition")

    def draw(self, _context: Context) -> None:
        draw(self.layout.column(), self)  # type: ignore[attr-defined]
        self.layout.row(align=True).prop(self, "mode", expand=True)  # type: ignore[attr-defined]

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        found = conditions.matching(obj, condition_of(self, context))
        label_selection.combine_labels(obj, [(obj.bgs.shown_level, label) for label in found], self.mode)
        obj.bgs.picked_row = -1
        fit = f"{counted(len(found), 'label')} {'fits' if len(found) == 1 else 'fit'}"
        return f"{fit}, {counted(len(label_selection.selected_labels(obj)), 'label')} selected"


class BGS_OT_grow_to_neighbours(NeedsSelectedLabels, bpy.types.Operator):
    """Add the shown labels that touch the selected ones to the selection."""

    bl_idname = "bgs.grow_to_neighbours"
    bl_label = "Grow Selection to Neighbours"
    in_edit_mode = True
    shrink: bpy.props.BoolProperty(
        name="Shrink", description="Take the labels out that touch a label that is not selected",
        options={"SKIP_SAVE"},
    )  # fmt: skip

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        if properties.shrink:
            return "Take the labels out of the selection that touch a shown label that is not selected"
        return cls.__doc__ or ""

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        before = len(label_selection.selected_labels(obj))
        found = conditions.grown(obj, self.shrink)
        label_selection.select_labels(obj, [(obj.bgs.shown_level, label) for label in found])
        changed = abs(len(found) - before)
        done = f"{counted(changed, 'label')} {'taken out' if self.shrink else 'added'}"
        return f"{done}, {counted(len(found), 'label')} selected"


class BGS_PT_conditions(SidebarPanel, bpy.types.Panel):
    """A condition and the button that selects by it."""

    bl_label = "Select by Condition"
    bl_idname = "BGS_PT_conditions"
    bl_parent_id = "BGS_PT_labels"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        settings = context.scene.bgs_condition  # type: ignore[attr-defined]
        whole = splat_of(context)
        if whole is not None:
            label_facts.ask_ahead(whole)
        column = self.layout.column()
        draw(column, settings)
        draw_buttons(column, "bgs.select_by_condition", **{name: getattr(settings, name) for name in NAMES})
        row = column.row(align=True)
        row.operator("bgs.grow_to_neighbours", text="Add Neighbours", icon="ADD").shrink = False
        row.operator("bgs.grow_to_neighbours", text="Shrink", icon="REMOVE").shrink = True


CLASSES = (BGS_OT_select_by_condition, BGS_OT_grow_to_neighbours, BGS_PT_conditions)

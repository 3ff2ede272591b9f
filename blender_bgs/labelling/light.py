# mypy: disable-error-code="valid-type"
"""The Light panel: tint and exposure of the active label, and the operator that resets them."""

import bpy

from ..cloud import appearance
from ..cloud.active_splat import need_splat, splat_of
from ..cloud.properties import without_updates
from ..cloud.typed import Context
from ..interface.operator_base import NeedsLabels, counted
from ..interface.sidebar import SidebarPanel


class BGS_OT_reset_light(NeedsLabels, bpy.types.Operator):
    """Give the active label, or all labels, the captured light again."""

    bl_idname = "bgs.reset_light"
    bl_label = "Reset Light"
    all_labels: bpy.props.BoolProperty(name="All Labels", description="Reset the light of all labels of all levels")

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        return "" if any(row.is_lit for row in obj.bgs.labels) else "All labels have the captured light"

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        active = obj.bgs.active_label()
        rows = [row for row in obj.bgs.labels if row.is_lit and (self.all_labels or row == active)]
        with without_updates():
            for row in rows:
                row.property_unset("tint")
                row.property_unset("exposure")
        appearance.refresh(obj)
        return (
            f"{counted(len(rows), 'label')} have the captured light again"
            if len(rows) != 1
            else (f"{rows[0].name} has the captured light again")
        )


class BGS_PT_light(SidebarPanel, bpy.types.Panel):
    """Tint and exposure of the active label."""

    bl_label = "Light"
    bl_idname = "BGS_PT_light"
    bl_parent_id = "BGS_PT_labels"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        obj = splat_of(context)
        column = self.layout.column()
        active = None if obj is None else obj.bgs.active_label()
        if active is None:
            column.label(text="Click a label in the list", icon="INFO")
        else:
            column.label(text=active.name)
            column.prop(active, "tint")
            column.prop(active, "exposure")
        row = column.row(align=True)
        row.operator("bgs.reset_light", text="Reset").all_labels = False
        row.operator("bgs.reset_light", text="Reset All").all_labels = True


CLASSES = (BGS_OT_reset_light, BGS_PT_light)

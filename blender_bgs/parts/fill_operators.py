# mypy: disable-error-code="valid-type"
"""The operators that close the holes that label objects leave."""

import bpy

from ..cloud.active_splat import need_splat, selected_parts, splat_of
from ..cloud.typed import Context
from ..interface.operator_base import NeedsParts
from . import filling, label_objects


class BGS_OT_fill(NeedsParts, bpy.types.Operator):
    """Continue the floor and the walls where deleted label objects hid them. The fill is a label of its own."""

    bl_idname = "bgs.fill"
    bl_label = "Fill"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        return "" if filling.unfilled_labels(obj) else "Delete a label object first, or use Remove and Fill"

    def work(self, context: Context) -> str:
        context.view_layer.update()
        whole = need_splat(context)
        return filling.fill_labels(context.scene, whole, sorted(filling.unfilled_labels(whole)))


class BGS_OT_remove_and_fill(NeedsParts, bpy.types.Operator):
    """Delete the selected label objects and close the holes they leave. An object that was moved stays."""

    bl_idname = "bgs.remove_and_fill"
    bl_label = "Remove and Fill"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        return "" if selected_parts(context, obj) else "Select the label objects first"

    def work(self, context: Context) -> str:
        context.view_layer.update()
        whole = need_splat(context)
        level = whole[label_objects.LEVEL]
        parts = [part for part in selected_parts(context, whole) if part.bgs.part_level == level]
        chosen = sorted({part.bgs.part_key & 0xFFFFFFFF for part in parts})
        return filling.fill_labels(context.scene, whole, chosen)


CLASSES = (BGS_OT_fill, BGS_OT_remove_and_fill)

"""Use as Splat: a splat of Blender's own or of another add-on becomes one of ours."""

import bpy
from bgs_engine.core.errors import UsageError

from ..cloud.active_splat import make_active
from ..cloud.typed import Context
from ..interface.operator_base import ReportingOperator
from . import adopting


class BGS_OT_use_as_splat(ReportingOperator, bpy.types.Operator):
    """Let the active object, a splat of Blender's own, geometry nodes or another add-on, segment and export as ours."""

    bl_idname = "bgs.use_as_splat"
    bl_label = "Use as Splat"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        obj = context.view_layer.objects.active
        if obj is None:
            return "Select a point cloud or mesh with the attributes of a Gaussian splat"
        if obj.bgs.is_splat:  # type: ignore[attr-defined]
            return f"{obj.name} is a splat already"
        if adopting.points_of(obj) is None and not obj.modifiers:
            return f"{obj.name} has no attributes of a Gaussian splat, such as scale, rotation and radiance:base"
        return ""

    def work(self, context: Context) -> str:
        obj = context.view_layer.objects.active
        if obj is None:
            raise UsageError("No object is active.", "Select a splat of another program.")
        made = adopting.adopt(context.scene, obj, context.evaluated_depsgraph_get())
        make_active(context, made)
        beside = "" if made == obj else f". {obj.name} is hidden"
        return f"{made.name} is a splat of {len(made.data.points):,} Gaussians{beside}"


CLASSES = (BGS_OT_use_as_splat,)

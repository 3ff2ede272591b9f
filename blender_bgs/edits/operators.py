# mypy: disable-error-code="valid-type"
"""The operators that apply transforms to splats, and that accept shapes as they are."""

import bpy

from ..cloud import shapes
from ..cloud.active_splat import need_splat, selected_splats, splat_of
from ..cloud.typed import Context
from ..interface.operator_base import NeedsSplat, counted
from . import applying


class BGS_OT_apply_transform(NeedsSplat, bpy.types.Operator):
    """Apply the transform of the selected splats to positions, rotations, scales and colours of their Gaussians."""

    bl_idname = "bgs.apply_transform"
    bl_label = "Apply Transform to Splat"
    in_edit_mode = True

    location: bpy.props.BoolProperty(name="Location", default=True, description="Apply the object's location")
    rotation: bpy.props.BoolProperty(name="Rotation", default=True, description="Apply the object's rotation")
    scale: bpy.props.BoolProperty(
        name="Scale", default=True, description="Apply the object's scale. A negative scale mirrors"
    )

    def work(self, context: Context) -> str:
        objects = selected_splats(context) or [need_splat(context)]
        context.view_layer.update()
        applying.apply_transform(context, objects, self.location, self.rotation, self.scale)
        return f"Transform of {counted(len(objects), 'splat')} applied"


class BGS_OT_keep_shapes(NeedsSplat, bpy.types.Operator):
    """Accept the shapes as they are after an edit of points that they cannot follow."""

    bl_idname = "bgs.keep_shapes"
    bl_label = "Keep Shapes as They Are"
    in_edit_mode = True

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        obj = splat_of(context)
        if reason or obj is None:
            return reason
        found = shapes.problems_of(obj)
        if not found:
            return "All shapes follow their points"
        return "" if any(shapes.HINT in problem for problem in found) else found[0]

    def work(self, context: Context) -> str:
        changed = [obj for obj in shapes.family_of(need_splat(context)) if not shapes.are_true(obj.data)]
        for obj in changed:
            shapes.keep(obj)
        return f"Shapes of {counted(len(changed), 'splat')} kept"


CLASSES = (BGS_OT_apply_transform, BGS_OT_keep_shapes)

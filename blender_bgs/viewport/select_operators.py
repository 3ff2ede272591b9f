# mypy: disable-error-code="valid-type"
"""Click, box and lasso on drawn splats in Object Mode. They select objects as Blender's own operators do.

Blender's operators still do all they did: these take over only where there is a splat to hit, and other objects are
left to Blender's.
"""

from typing import Any, ClassVar

import bpy

from ..cloud.typed import Context, Returned
from ..interface.operator_base import ReportingOperator
from . import areas, object_picking
from .gesture import MODES, SHAPES, Gesture


class NeedsSplatInView(ReportingOperator):
    """Mix-in for operators that select splat objects in the 3D view. They cannot be adjusted afterwards."""

    bl_options: ClassVar[set[str]] = {"UNDO"}

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        if context.mode != "OBJECT" or context.region_data is None:
            return "Point at a 3D view in Object Mode"
        return "" if object_picking.selectable_splats(context) else "There is no splat in this view"


class BGS_OT_select_object(NeedsSplatInView, bpy.types.Operator):
    """Select the splat or label object under the mouse. Shift adds it, or takes it out if it is active."""

    bl_idname = "bgs.select_object"
    bl_label = "Select Splat Object"
    toggle: bpy.props.BoolProperty(
        name="Toggle", description="Add the object, or take it out if it is active", options={"SKIP_SAVE"}
    )
    drag: bpy.props.BoolProperty(
        name="Drag", description="Move the selected objects if the mouse is dragged", options={"SKIP_SAVE", "HIDDEN"}
    )

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        mouse = (event.mouse_region_x, event.mouse_region_y)
        found = object_picking.splat_at(context, mouse)
        if found is None:
            return {"PASS_THROUGH"}  # Blender's own operator comes next
        obj = object_picking.nearer_object(context, mouse, found.depth) or found.obj
        self._name, self._pressed = obj.name, (event.mouse_x, event.mouse_y)
        self._waits = self.drag and obj.select_get() and not self.toggle
        if not self._waits:
            object_picking.choose(context, obj, self.toggle)
        if not self.drag:
            return {"FINISHED"}
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: bpy.types.Event) -> Returned:
        way = max(abs(event.mouse_x - self._pressed[0]), abs(event.mouse_y - self._pressed[1]))
        if event.type in {"MOUSEMOVE", "INBETWEEN_MOUSEMOVE"} and way > context.preferences.inputs.drag_threshold_mouse:
            bpy.ops.transform.translate("INVOKE_DEFAULT", release_confirm=True)
            return {"FINISHED"}
        if event.value == "RELEASE" and event.type in {"LEFTMOUSE", "RIGHTMOUSE"}:
            obj = bpy.data.objects.get(self._name)
            if self._waits and obj is not None:
                object_picking.choose(context, obj, toggle=False)
            return {"FINISHED"}
        return {"RUNNING_MODAL"}

    def work(self, _context: Context) -> None:
        """Do nothing, because a click needs a mouse."""


class BGS_OT_select_objects_in(Gesture, NeedsSplatInView, bpy.types.Operator):
    """Select the objects in a box or a lasso: splats where one sees them, and all others as Blender does."""

    bl_idname = "bgs.select_objects_in"
    bl_label = "Area Select Splat Objects"
    shape: bpy.props.EnumProperty(name="Shape", items=SHAPES, options={"SKIP_SAVE"})
    mode: bpy.props.EnumProperty(name="Mode", items=MODES, options={"SKIP_SAVE"})
    wait: bpy.props.BoolProperty(name="Wait for Input", default=True, options={"SKIP_SAVE", "HIDDEN"})
    path: list[areas.Point]

    def work(self, context: Context) -> None:
        if not getattr(self, "path", None):
            return
        before = object_picking.selected_names(context)
        hits = object_picking.splats_in(context, self.path)
        _blenders_own(self.shape, self.path, self.mode)
        object_picking.combine(context, before, hits, self.mode)


def _blenders_own(shape: str, path: list[areas.Point], mode: Any) -> None:
    """Let Blender select the objects that it draws itself. Splats are set right afterwards."""
    if shape == "BOX":
        across, up = [round(x) for x, _ in path], [round(y) for _, y in path]
        bpy.ops.view3d.select_box(xmin=min(across), xmax=max(across), ymin=min(up), ymax=max(up),
                                  wait_for_input=False, mode=mode)  # fmt: skip
    else:
        steps: Any = [{"name": "", "loc": (x, y), "time": 0.0} for x, y in path]
        bpy.ops.view3d.select_lasso(path=steps, mode=mode)


CLASSES = (BGS_OT_select_object, BGS_OT_select_objects_in)

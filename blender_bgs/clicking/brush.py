# mypy: disable-error-code="attr-defined, valid-type"
"""The brush of Click to Select: its radius, the keys that change it, and its circle under the mouse."""

from typing import Any, ClassVar

import bpy
from gpu_extras.presets import draw_circle_2d

from ..cloud.typed import Context, Returned
from ..interface.operator_base import ReportingOperator
from .asking import TOOL

STEP = 1.15  # factor between two radii
WHITE = (1.0, 1.0, 1.0, 0.8)


def radius_of(context: Context) -> int:
    """The radius of the brush in pixels."""
    return int(context.scene.bgs_view.brush_radius)


def is_brush(context: Context) -> bool:
    """Whether the tool is active, and a drag draws with the brush."""
    tools: Any = context.workspace.tools
    tool = tools.from_space_view3d_mode("OBJECT", create=False)
    return tool is not None and tool.idname == TOOL and tool.operator_properties("bgs.mark_area").shape == "BRUSH"


def draw_circle(tool: Any, mouse: tuple[int, int]) -> None:
    """Draw the circle of the brush round the mouse, in pixels of the window."""
    if tool.operator_properties("bgs.mark_area").shape == "BRUSH":
        draw_circle_2d(mouse, WHITE, radius_of(bpy.context))  # type: ignore[arg-type]


class NeedsBrush(ReportingOperator):
    """Mix-in for operators that change the brush, and nothing else."""

    bl_options: ClassVar[set[str]] = set()

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        return "" if is_brush(context) else "Choose Brush in the header of the tool Click to Select"


class BGS_OT_brush_radius(NeedsBrush, bpy.types.Operator):
    """Make the brush of Click to Select larger or smaller, or drag its radius."""

    bl_idname = "bgs.brush_radius"
    bl_label = "Radius of Brush"
    by: bpy.props.IntProperty(
        name="By", description="1 is larger, -1 is smaller, 0 drags the radius", default=1, min=-1, max=1
    )

    def invoke(self, context: Context, _event: bpy.types.Event) -> Returned:
        if not self.by:
            bpy.ops.wm.radial_control("INVOKE_DEFAULT", data_path_primary="scene.bgs_view.brush_radius")
            return {"FINISHED"}
        return self.execute(context)

    def work(self, context: Context) -> str:
        old = radius_of(context)
        new = max(old + 1, round(old * STEP)) if self.by > 0 else min(old - 1, round(old / STEP))
        if self.by:
            context.scene.bgs_view.brush_radius = new
        if context.area is not None:
            context.area.tag_redraw()
        return f"Brush of {radius_of(context)} pixels"


CLASSES = (BGS_OT_brush_radius,)

# mypy: disable-error-code="valid-type"
"""The operators of the tool Click to Select: point at a place, mark an area, other sizes, take back, cancel, accept.

Pointing changes nothing in the file, so only accepting is an undo step.
"""

from typing import Any, ClassVar

import bpy
import numpy as np
from bgs_engine.core.errors import UsageError

from ..cloud import point_clouds
from ..cloud.active_splat import need_splat, splat_of
from ..cloud.typed import Context, Returned, SplatObject
from ..interface.operator_base import ReportingOperator
from ..logic.attributes import POSITION
from ..logic.clicks import camera_of, spread
from ..viewport import areas
from ..viewport.gesture import BRUSH, SHAPES, Gesture
from . import view
from .accepting import ADD, NEW, TAKE, accept
from .asking import TOOL, asking, tool_is_active
from .brush import radius_of
from .engine_scene import file_to_view
from .pointing import Pointing, Step

WAYS = (
    (NEW, "New Label", "Give the suggestion a label of its own"),
    (ADD, "Add to Active Label", "Give the suggestion the active label"),
    (TAKE, "Take from Active Label", "Give what the suggestion has of the active label a label of its own"),
)


class Pointer(ReportingOperator):
    """Mix-in for operators that change what is pointed at, and nothing in the file."""

    bl_options: ClassVar[set[str]] = set()

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        if context.mode != "OBJECT":
            return "Go to Object Mode"
        return "" if splat_of(context) or any(map(point_clouds.is_splat, bpy.data.objects)) else "Import a splat first"


class NeedsPointing(ReportingOperator):
    """Mix-in for operators that work on what is pointed at."""

    bl_options: ClassVar[set[str]] = set()

    @classmethod
    def disabled_reason(cls, _context: Context) -> str:
        return "" if asking.pointing is not None else "Point at a thing first, with the tool Click to Select"


class NeedsSuggestion(NeedsPointing):
    """Mix-in for operators that work on a suggestion."""

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        reason = super().disabled_reason(context)
        if reason or (asking.pointing is not None and asking.pointing.answer is not None):
            return reason
        return "There is no suggestion yet"


class UndoStep(ReportingOperator):
    """Mix-in for operators that change the file and cannot be adjusted afterwards."""

    bl_options: ClassVar[set[str]] = {"UNDO"}


class BGS_OT_click_tool(Pointer, bpy.types.Operator):
    """Choose the tool with which one clicks a thing and gets all of it. It is in the toolbar of the 3D view too."""

    bl_idname = "bgs.click_tool"
    bl_label = "Click to Select"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        in_view = context.area is not None and context.area.type == "VIEW_3D"
        return super().disabled_reason(context) or ("" if in_view else "Point at a 3D view")

    def work(self, _context: Context) -> str:
        bpy.ops.wm.tool_set_by_id(name=TOOL, space_type="VIEW_3D")
        return "Click a thing in the 3D view"


class BGS_OT_add_place(Pointer, bpy.types.Operator):
    """Point at a thing under the mouse, or with Ctrl at a place beside it, and ask the engine for all of the thing."""

    bl_idname = "bgs.add_place"
    bl_label = "Add Place"
    beside: bpy.props.BoolProperty(
        name="Beside", description="The place does not belong to the thing", options={"SKIP_SAVE"}
    )
    point: bpy.props.IntProperty(
        name="Point", description="For scripts: a point of the active splat, instead of the mouse", default=-1, min=-1,
        options={"SKIP_SAVE"},
    )  # fmt: skip
    _mouse: tuple[int, int] | None = None

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        if context.region_data is not None and self.point < 0:
            self._mouse = (event.mouse_region_x, event.mouse_region_y)
        return self.execute(context)

    def work(self, context: Context) -> str | None:
        touched = self._touched(context)
        if touched is None:
            whole = asking.whole()
            if whole is None:
                return "There is no Gaussian under the mouse"
            return f"There is no Gaussian of {whole.name} under the mouse. Esc cancels, for another splat"
        pointing = asking.begin(touched.whole, self._mouse is not None and tool_is_active(context))
        row = int(pointing.rows[touched.point])
        place = pointing.scene.place_of(touched.obj, row, touched.place, touched.mean)
        if self._mouse is not None:
            look(context, pointing, touched.whole, touched.obj)
        x, y, z = touched.place.tolist()
        asking.add(pointing, Step(not self.beside, place, None, touched.obj.session_uid, (x, y, z)))
        return None

    def _touched(self, context: Context) -> view.Touched | None:
        if self._mouse is not None:
            return view.touch(context, asking.whole(), self._mouse)
        obj = need_splat(context)
        if not 0 <= self.point < len(obj.data.points):
            raise UsageError("A place needs a mouse.", f"Scripts give a point from 0 to {len(obj.data.points) - 1}.")
        mean = point_clouds.need_column(obj.data, POSITION)[self.point].astype(np.float64)
        return view.Touched(obj, obj, self.point, mean, mean)


class BGS_OT_mark_area(Gesture, Pointer, bpy.types.Operator):
    """Mark Gaussians of a thing with a box, a lasso or a brush, or with Ctrl Gaussians beside it, and ask for all."""

    bl_idname = "bgs.mark_area"
    bl_label = "Mark Area"
    shape: bpy.props.EnumProperty(name="Shape", items=(*SHAPES, BRUSH), default="BOX")
    through: bpy.props.BoolProperty(
        name="Through", description="Also mark what is hidden behind the surface that one sees"
    )
    beside: bpy.props.BoolProperty(
        name="Beside", description="The area does not belong to the thing", options={"SKIP_SAVE"}
    )
    wait: bpy.props.BoolProperty(name="Wait for Input", default=True, options={"SKIP_SAVE", "HIDDEN"})
    mode = "ADD"
    path: list[areas.Point]

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        self.brush_radius = radius_of(context)
        return super().invoke(context, event)

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        return super().disabled_reason(context) or ("" if context.region_data is not None else "Point at a 3D view")

    def work(self, context: Context) -> str | None:
        path = getattr(self, "path", None)
        if not path:
            raise UsageError("No area was drawn.", "Drag in the 3D view.")
        whole, size = asking.whole() or need_splat(context), (context.region.width, context.region.height)
        brushed = self.shape == "BRUSH"
        area = areas.stroke(path, self.brush_radius, size) if brushed else areas.area_of(path, size)
        points = view.points_in(context, whole, area, self.through)
        if not points.any():
            return f"There is no Gaussian of {whole.name} in the area"
        pointing = asking.begin(whole, tool_is_active(context))
        look(context, pointing, whole, whole)
        inside = not self.beside and self.mode != "SUB"
        asking.add(pointing, Step(inside, marked=spread(points, pointing.rows, pointing.scene.count)))
        return None


def look(context: Context, pointing: Pointing, whole: SplatObject, obj: SplatObject) -> None:
    """Note the view in which a person points: its camera, as it sees `obj`, and what it shows."""
    region = context.region_data
    size = (context.region.width, context.region.height)
    to_view = file_to_view(obj, np.array(region.view_matrix, np.float64))
    pointing.camera = camera_of(np.array(region.window_matrix, np.float64), to_view, size)
    shown = view.shown_points(context, whole)
    everything = shown.all() and len(shown) == pointing.scene.count
    pointing.among = None if everything else spread(shown, pointing.rows, pointing.scene.count)


class BGS_OT_change_size(NeedsSuggestion, bpy.types.Operator):
    """Show a larger suggestion of the engine, for example the whole instead of a part, or a smaller one."""

    bl_idname = "bgs.change_size"
    bl_label = "Change Size of Suggestion"
    by: bpy.props.IntProperty(name="By", description="1 is larger, -1 is smaller", default=1, min=-1, max=1)

    def work(self, _context: Context) -> str:
        found = asking.change_size(self.by)
        return "" if found else f"There is no {'larger' if self.by > 0 else 'smaller'} suggestion"


class BGS_OT_take_back_place(NeedsPointing, bpy.types.Operator):
    """Take back the last place or area that was pointed at."""

    bl_idname = "bgs.take_back_place"
    bl_label = "Take Back Place"

    def work(self, _context: Context) -> None:
        asking.take_back()


class BGS_OT_cancel_pointing(NeedsPointing, bpy.types.Operator):
    """Leave all as it was: the suggestion goes, and nothing in the file has changed."""

    bl_idname = "bgs.cancel_pointing"
    bl_label = "Cancel Suggestion"

    def work(self, _context: Context) -> None:
        asking.drop(stop_opening=True)


class BGS_OT_accept_suggestion(UndoStep, NeedsSuggestion, bpy.types.Operator):
    """Give the suggested Gaussians a label."""

    bl_idname = "bgs.accept_suggestion"
    bl_label = "Accept Suggestion"
    how: bpy.props.EnumProperty(name="Label", items=WAYS, options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        return next(text for name, _, text in WAYS if name == properties.how)

    def work(self, context: Context) -> str:
        pointing, whole = asking.pointing, asking.whole()
        points = pointing.points() if pointing is not None else None
        if pointing is None or whole is None or points is None:
            raise UsageError("There is no suggestion.", "Click a thing with the tool Click to Select.")
        if not pointing.fits(whole):
            asking.drop()
            raise UsageError(f"{whole.name} has other Gaussians than before.", "Click again.")
        message = accept(context.scene, whole, points & ~view.hidden_points(whole), self.how)
        asking.drop()
        return message


CLASSES = (
    BGS_OT_click_tool,
    BGS_OT_add_place,
    BGS_OT_mark_area,
    BGS_OT_change_size,
    BGS_OT_take_back_place,
    BGS_OT_cancel_pointing,
    BGS_OT_accept_suggestion,
)

# mypy: disable-error-code="valid-type"
"""Selects labels in the 3D view: by a click, by a lasso or a box, and with a brush. The tools below have them."""

from typing import Any, ClassVar

import bpy
import numpy as np
from bgs_engine.core.errors import UsageError

from ..cloud import code_tables, label_selection
from ..cloud.active_splat import need_splat
from ..cloud.typed import Context, Returned, SplatObject
from ..interface.operator_base import NeedsLabels, counted
from ..logic.label_states import sums_by_label
from ..viewport import areas, hover
from ..viewport.gesture import MODES, SHAPES, Gesture
from .pick import pick

SHARE = 0.5  # of a label's visible Gaussians that must lie in an area that selects it


class InView(NeedsLabels):
    """Mix-in for operators that need a 3D view in Object Mode. They cannot be adjusted afterwards."""

    bl_options: ClassVar[set[str]] = {"UNDO"}

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        if context.mode != "OBJECT" or context.region_data is None:
            return "Point at a 3D view in Object Mode"
        return super().disabled_reason(context)


def labels_in(context: Context, whole: SplatObject, path: list[areas.Point]) -> set[int]:
    """The labels of the shown level of which at least half of the visible Gaussians lie inside `path`."""
    level, inside, everything = whole.bgs.shown_level, dict[int, int](), dict[int, int]()
    area = areas.area_of(path, (context.region.width, context.region.height))
    projection = np.array(context.region_data.window_matrix, np.float64)
    targets, objects = hover.targets_of(context, hover.shown_objects(context, whole))
    for target, obj in zip(targets, objects, strict=True):
        table = code_tables.table_of(obj)
        for rows, into in ((areas.rows_in(target, projection, area), inside), (areas.visible(target), everything)):
            sums = sums_by_label(table, np.bincount(table.inverse[rows], minlength=len(table.unique)))
            for (at_level, label), count in sums.items():
                if at_level == level:
                    into[label] = into.get(label, 0) + count
    return {label for label, count in inside.items() if count and count >= SHARE * everything[label]}


def apply(obj: SplatObject, labels: set[int], mode: str) -> None:
    """Select labels of the shown level, add them to the selection (ADD), or take them out of it (SUB)."""
    label_selection.combine_labels(obj, ((obj.bgs.shown_level, label) for label in labels), mode)


class BGS_OT_click_label(InView, bpy.types.Operator):
    """Select the label under the mouse, or its parent if it is selected already. Shift adds."""

    bl_idname = "bgs.click_label"
    bl_label = "Click Label"
    extend: bpy.props.BoolProperty(name="Extend", options={"SKIP_SAVE"})
    _row: int | None = None

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        self._row = hover.row_under_mouse(context, need_splat(context), (event.mouse_region_x, event.mouse_region_y))
        return self.execute(context)

    def work(self, context: Context) -> str:
        obj = need_splat(context)
        if self._row is None:
            if not self.extend:
                apply(obj, set(), "SET")
            return "There is no Gaussian under the mouse"
        return pick(obj, self._row, self.extend)


class BGS_OT_select_labels_in(Gesture, InView, bpy.types.Operator):
    """Select the labels of which at least half lies in a lasso or a box. Shift adds, Ctrl takes out."""

    bl_idname = "bgs.select_labels_in"
    bl_label = "Area Select Labels"
    shape: bpy.props.EnumProperty(name="Shape", items=SHAPES, default="LASSO", options={"SKIP_SAVE"})
    mode: bpy.props.EnumProperty(name="Mode", items=MODES, options={"SKIP_SAVE"})
    wait: bpy.props.BoolProperty(name="Wait for Input", default=True, options={"SKIP_SAVE", "HIDDEN"})
    path: list[areas.Point]

    def work(self, context: Context) -> str:
        path = getattr(self, "path", None)
        if not path:
            raise UsageError("No area was drawn.", "Drag in the 3D view.")
        obj = need_splat(context)
        found = labels_in(context, obj, path)
        apply(obj, found, self.mode)
        return f"{counted(len(found), 'label')} in the area"


class BGS_OT_brush_labels(InView, bpy.types.Operator):
    """Select every label over which the mouse is dragged. Shift adds to the selection, Ctrl takes out."""

    bl_idname = "bgs.brush_labels"
    bl_label = "Brush Select Labels"
    mode: bpy.props.EnumProperty(name="Mode", items=MODES[:3], options={"SKIP_SAVE"})

    def invoke(self, context: Context, event: bpy.types.Event) -> Returned:
        self._found: set[int] = set()
        if self.mode == "SET":
            apply(need_splat(context), set(), "SET")
        region = context.region
        start = (event.mouse_prev_press_x - region.x, event.mouse_prev_press_y - region.y)  # type: ignore[attr-defined]
        self._touch(context, start)
        self._touch(context, (event.mouse_region_x, event.mouse_region_y))
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: bpy.types.Event) -> Returned:
        if event.type == "MOUSEMOVE":
            self._touch(context, (event.mouse_region_x, event.mouse_region_y))
        elif event.value == "RELEASE" and event.type in {"LEFTMOUSE", "RIGHTMOUSE"}:
            return {"FINISHED"}
        elif event.type == "ESC":
            return {"FINISHED"}  # what was painted stays, as with Blender's brushes
        return {"RUNNING_MODAL"}

    def _touch(self, context: Context, mouse: tuple[float, float]) -> None:
        obj = need_splat(context)
        row = hover.row_under_mouse(context, obj, mouse)
        if row is None:
            return
        layout = code_tables.bit_layout_of(obj)
        label = int(layout.labels(code_tables.codes_of(obj)[[row]], obj.bgs.shown_level)[0])
        if label not in self._found:
            self._found.add(label)
            apply(obj, {label}, "SUB" if self.mode == "SUB" else "ADD")

    def work(self, _context: Context) -> None:
        """Do nothing, because a brush needs a mouse."""


def _keys(drag: str, **properties: Any) -> tuple[Any, ...]:
    """The keymap of a tool: clicks pick labels, drags do `drag`; Shift adds, and Ctrl takes out in a drag."""
    click, dragged = {"type": "LEFTMOUSE", "value": "CLICK"}, {"type": "LEFTMOUSE", "value": "CLICK_DRAG"}
    return (
        ("bgs.click_label", click, None),
        ("bgs.click_label", {**click, "shift": True}, {"properties": [("extend", True)]}),
        *(
            (drag, {**dragged, **held}, {"properties": [("mode", mode), *properties.items()]})
            for mode, held in (("SET", {}), ("ADD", {"shift": True}), ("SUB", {"ctrl": True}))
        ),
    )


class LassoLabels(bpy.types.WorkSpaceTool):
    """Click labels, or draw round them."""

    bl_space_type = "VIEW_3D"
    bl_context_mode = "OBJECT"
    bl_idname = "bgs.lasso_labels"
    bl_label = "Select Labels"
    bl_description = "Click a label to select it, click again for its parent, or draw round labels"
    bl_icon = "ops.generic.select_lasso"
    bl_keymap = _keys("bgs.select_labels_in", shape="LASSO", wait=False)


class BrushLabels(bpy.types.WorkSpaceTool):
    """Click labels, or drag over them."""

    bl_space_type = "VIEW_3D"
    bl_context_mode = "OBJECT"
    bl_idname = "bgs.brush_labels_tool"
    bl_label = "Brush Labels"
    bl_description = "Click a label to select it, click again for its parent, or drag over labels"
    bl_icon = "ops.generic.select_circle"
    bl_keymap = _keys("bgs.brush_labels")


def add_tools() -> None:
    """Add the tools to the toolbar of the 3D view in Object Mode."""
    bpy.utils.register_tool(LassoLabels, after={"builtin.select_lasso"}, group=True)
    bpy.utils.register_tool(BrushLabels, after={LassoLabels.bl_idname})


def remove_tools() -> None:
    """Remove the tools."""
    bpy.utils.unregister_tool(BrushLabels)
    bpy.utils.unregister_tool(LassoLabels)


CLASSES = (BGS_OT_click_label, BGS_OT_select_labels_in, BGS_OT_brush_labels)

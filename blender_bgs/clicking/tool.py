"""The tool Click to Select in the toolbar of the 3D view, its keys and its header."""

from typing import Any

import bpy

from ..cloud.typed import Context
from ..engine import segmenting
from . import brush
from .asking import TITLE, TOOL, asking
from .operators import WAYS
from .pointing import Pointing

NARROW = 60  # characters of a sentence in the header; the sidebar and the Segment panel have all of it


def _keys() -> tuple[Any, ...]:
    """The keymap. All keys but the mouse pass on to Blender while nothing is pointed at."""
    click, dragged = {"type": "LEFTMOUSE", "value": "CLICK"}, {"type": "LEFTMOUSE", "value": "CLICK_DRAG"}
    areas = [
        ("bgs.mark_area", {**dragged, **held}, {"properties": [("wait", False), *more]})
        for held, more in (({}, []), ({"shift": True}, []), ({"ctrl": True}, [("beside", True)]))
    ]
    larger = ({"type": "NUMPAD_PLUS"}, {"type": "EQUAL"}, {"type": "EQUAL", "shift": True}, {"type": "PLUS"},
              {"type": "WHEELUPMOUSE", "alt": True})  # fmt: skip
    smaller = ({"type": "NUMPAD_MINUS"}, {"type": "MINUS"}, {"type": "WHEELDOWNMOUSE", "alt": True})
    held_for = {"NEW": {}, "ADD": {"shift": True}, "TAKE": {"ctrl": True}}
    return (
        ("bgs.add_place", click, None),
        ("bgs.add_place", {**click, "shift": True}, None),
        ("bgs.add_place", {**click, "ctrl": True}, {"properties": [("beside", True)]}),
        *areas,
        *(("bgs.change_size", {**key, "value": "PRESS"}, {"properties": [("by", 1)]}) for key in larger),
        *(("bgs.change_size", {**key, "value": "PRESS"}, {"properties": [("by", -1)]}) for key in smaller),
        *(
            ("bgs.accept_suggestion", {"type": key, "value": "PRESS", **held}, {"properties": [("how", how)]})
            for how, held in held_for.items()
            for key in ("RET", "NUMPAD_ENTER")
        ),
        ("bgs.take_back_place", {"type": "Z", "value": "PRESS", "ctrl": True}, None),
        ("bgs.cancel_pointing", {"type": "ESC", "value": "PRESS"}, None),
        *(
            ("bgs.brush_radius", {"type": key, "value": "PRESS"}, {"properties": [("by", by)]})
            for key, by in (("F", 0), ("LEFT_BRACKET", -1), ("RIGHT_BRACKET", 1))
        ),
    )


class ClickThing(bpy.types.WorkSpaceTool):
    """Click a thing and get it whole."""

    bl_space_type = "VIEW_3D"
    bl_context_mode = "OBJECT"
    bl_idname = TOOL
    bl_label = TITLE
    bl_description = "Click a thing, and the engine finds all of it. Ctrl Click says what does not belong to it"
    bl_icon = "ops.paint.eyedropper_add"
    bl_cursor = "PAINT_CROSS"
    bl_keymap = _keys()

    @staticmethod
    def draw_cursor(_context: Context, tool: Any, mouse: tuple[int, int]) -> None:
        """The circle of the brush."""
        brush.draw_circle(tool, mouse)

    @staticmethod
    def draw_settings(context: Context, layout: bpy.types.UILayout, tool: Any) -> None:
        """The header of the tool: what the engine does, the suggestion with its buttons, or the settings."""
        pointing, state = asking.pointing, asking.state
        if pointing is None:
            settings = tool.operator_properties("bgs.mark_area")
            layout.prop(settings, "shape", expand=True)
            if settings.shape == "BRUSH":
                layout.prop(context.scene.bgs_view, "brush_radius")  # type: ignore[attr-defined]
            layout.prop(settings, "through")
            missing = asking.problem or segmenting.engine_missing()
            if missing:
                _sentence(layout, context, missing, alert=bool(asking.problem))
            return
        if pointing.answer is not None:
            _draw_suggestion(layout, pointing)
        if asking.opens and state is not None:
            layout.progress(factor=state.opening.fraction, type="BAR", text=state.words)
        elif pointing.problem:
            _sentence(layout, context, pointing.problem, alert=True)
        elif state is not None and state.phase == "asking":
            layout.label(text="Looking ...", icon="SORTTIME")
        layout.operator("bgs.cancel_pointing", text="Cancel", icon="X")


def _draw_suggestion(layout: bpy.types.UILayout, pointing: Pointing) -> None:
    assert pointing.answer is not None
    count = len(pointing.answer.suggestions)
    row = layout.row(align=True)
    for by, free in ((-1, pointing.size > 0), (1, pointing.size < count - 1)):
        part = row.row(align=True)
        part.enabled = free
        part.operator("bgs.change_size", text="", icon="ADD" if by > 0 else "REMOVE").by = by
    layout.label(text=pointing.words())
    whole = asking.whole()
    active = whole.bgs.active_label() if whole is not None and whole.bgs.level_bits else None
    row = layout.row(align=True)
    for how, name, _ in WAYS:
        part = row.row(align=True)
        part.enabled = how == "NEW" or active is not None
        text = name if how == "NEW" or active is None else name.replace("Active Label", active.name)
        part.operator("bgs.accept_suggestion", text=text).how = how


def _sentence(layout: bpy.types.UILayout, context: Context, text: str, alert: bool) -> None:
    row = layout.row()
    row.alert = alert
    in_header = context.region is not None and context.region.type == "TOOL_HEADER"
    short = text if not in_header or len(text) <= NARROW else f"{text[:NARROW].rstrip()} ..."
    row.label(text=short, icon="ERROR" if alert else "INFO")


def add_tools() -> None:
    """Add the tool to the toolbar, with a button of its own beside the tools that select."""
    bpy.utils.register_tool(ClickThing, after={"builtin.cursor"})


def remove_tools() -> None:
    """Remove the tool."""
    bpy.utils.unregister_tool(ClickThing)

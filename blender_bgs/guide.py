"""The first steps: five lines at the top of the sidebar. The present step is lit, and the guide can be closed."""

from typing import Any

import bpy

from .cloud.active_splat import splat_of
from .cloud.typed import Context, SplatObject
from .engine.preferred import ADDON, preferences
from .interface.operator_base import NoUndo
from .interface.sidebar import SidebarPanel, wrapped_text

# (title, what to do)
STEPS = (
    ("Import a splat", "Drop a .ply into the view, or press Import Splat."),
    ("Segment it", "Press Segment. The engine finds the objects while you go on working."),
    ("Find your object", "Choose a Level, press Pick and click the object. The list selects it too."),
    ("Make it an object", "Press Make Collections and choose which labels become objects."),
    ("Use it", "Move, hide, render or export the objects. V opens the menu of splats."),
)


def step_of(obj: SplatObject | None) -> int:
    """The number of the step that comes next, counted from 0, for the active splat `obj`."""
    if obj is None:
        return 0
    if obj.bgs.part_collection is not None or obj.bgs.is_alone:
        return 4
    if not obj.bgs.level_bits:
        return 1
    return 3 if any(row.selected for row in obj.bgs.labels) else 2


class BGS_PT_guide(SidebarPanel, bpy.types.Panel):
    """The first steps."""

    bl_label = "First Steps"
    bl_idname = "BGS_PT_guide"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        return preferences().show_guide

    def draw_header_preset(self, _context: Context) -> None:
        """The button that closes the guide, at the right of the panel's header."""
        self.layout.operator("bgs.close_guide", text="", icon="X", emboss=False)

    def draw(self, context: Context) -> None:
        here = step_of(splat_of(context))
        column = self.layout.column(align=True)
        for number, (title, what) in enumerate(STEPS):
            row = column.row()
            row.active = number == here
            icon: Any = "CHECKMARK" if number < here else "RIGHTARROW" if number == here else "BLANK1"
            row.label(text=f"{number + 1}. {title}", icon=icon)
            if number == here:
                wrapped_text(column.box(), what, context)


class BGS_OT_close_guide(NoUndo, bpy.types.Operator):
    """Close the first steps for good. The extension's preferences show them again."""

    bl_idname = "bgs.close_guide"
    bl_label = "Close First Steps"

    @classmethod
    def disabled_reason(cls, context: Context) -> str:
        if context.preferences.addons.get(ADDON) is None:
            return "The extension is not enabled in the preferences"
        return "" if preferences().show_guide else "The first steps are closed"

    def work(self, context: Context) -> None:
        preferences().show_guide = False
        context.preferences.is_dirty = True  # so that Blender saves it with the others when it ends


CLASSES = (BGS_PT_guide, BGS_OT_close_guide)

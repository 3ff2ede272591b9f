"""The Segment panel and its Settings."""

import bpy

from ..cloud.typed import Context
from ..interface.sidebar import SidebarPanel
from . import status
from .runner import runner
from .settings import settings_of


class BGS_PT_segment(SidebarPanel, bpy.types.Panel):
    """The Segment button, or the progress of the running job, and the result of the last one."""

    bl_label = "Segment"
    bl_idname = "BGS_PT_segment"

    def draw(self, context: Context) -> None:
        column = self.layout.column()
        if runner.current is not None:
            status.draw_job(column, runner.current)
            return
        big = column.row()
        big.scale_y = 1.5
        big.operator("bgs.segment", text="Segment", icon="MOD_EXPLODE")
        status.draw_missing_engine(column, context)
        status.draw_last_job(column, context)


class BGS_PT_settings(SidebarPanel, bpy.types.Panel):
    """The settings of Segment, and Check Engine."""

    bl_label = "Settings"
    bl_parent_id = "BGS_PT_segment"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        column = self.layout.column()
        settings = settings_of(context.scene)
        for name in ("level_bits", "iterations", "device", "dataset", "views", "masks_model", "seed", "output"):
            column.prop(settings, name)
        status.draw_doctor(column, context)


CLASSES = (BGS_PT_segment, BGS_PT_settings)

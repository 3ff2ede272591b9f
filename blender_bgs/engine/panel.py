"""The Segment panel and its Settings."""

import bpy
from bgs_engine.core.view_counts import SEGMENT_VIEWS

from ..cloud.active_splat import splat_of
from ..cloud.typed import Context
from ..interface.sidebar import SidebarPanel
from . import keeping, status
from .runner import runner
from .settings import BGS_Settings, settings_of


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
        column.operator("bgs.click_tool", icon="EYEDROPPER")
        if keeping.shows_switch(splat_of(context)):
            column.prop(settings_of(context.scene), "keep_labels")
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
        column.prop(settings, "level_bits")
        _number(column, settings, "iterations", settings.default_steps)
        column.prop(settings, "device")
        column.prop(settings, "dataset")
        if not settings.dataset:
            _number(column, settings, "views", SEGMENT_VIEWS)
        for name in ("masks_model", "seed", "output"):
            column.prop(settings, name)
        status.draw_doctor(column, context)


def _number(column: bpy.types.UILayout, settings: BGS_Settings, name: str, default: int) -> None:
    """Draw a number whose 0 means the engine's default: as a switch that says this default, or as a number."""
    row = column.row(align=True)
    if getattr(settings, name):
        row.prop(settings, name)
        row.prop(settings, f"{name}_auto", toggle=True)
    else:
        split = row.split(factor=0.4, align=True)
        split.label(text=f"{name.title()}:")
        split.prop(settings, f"{name}_auto", text=f"Auto ({default})", toggle=True)


CLASSES = (BGS_PT_segment, BGS_PT_settings)

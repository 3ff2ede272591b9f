"""The Render Splats panel."""

import bpy

from ..cloud.typed import Context
from ..interface.sidebar import SidebarPanel
from .settings import settings_of
from .shot import PASSES, renderable


class BGS_PT_render(SidebarPanel, bpy.types.Panel):
    """The passes, the output files, and the buttons for a frame and the animation."""

    bl_label = "Render Splats"
    bl_idname = "BGS_PT_render"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        return bool(renderable(context.scene))

    def draw(self, context: Context) -> None:
        settings = settings_of(context.scene)
        column = self.layout.column()
        row = column.row(align=True)
        for name in PASSES:
            row.prop(settings, name, toggle=True)
        column.row(align=True).prop(settings, "files", expand=True)
        column.prop(settings, "output", text="")
        row = column.row(align=True)
        row.operator("bgs.render_splats", text="Frame", icon="RENDER_STILL").animation = False
        row.operator("bgs.render_splats", text="Animation", icon="RENDER_ANIMATION").animation = True


CLASSES = (BGS_PT_render,)

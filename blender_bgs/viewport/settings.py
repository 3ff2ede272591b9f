# mypy: disable-error-code="valid-type"
"""The settings for names, legend and the brush in the 3D view. Blender saves them with the scene."""

import bpy

from ..cloud.typed import Context
from ..interface.sidebar import SidebarPanel
from .draw import redraw


def _changed(_self: object, _context: Context) -> None:
    redraw()


class BGS_ViewSettings(bpy.types.PropertyGroup):
    """The settings for names, legend and the brush, `scene.bgs_view`."""

    names: bpy.props.BoolProperty(
        name="Names", description="Name the label under the mouse and the label picked last", default=True,
        update=_changed,
    )  # fmt: skip
    legend: bpy.props.BoolProperty(
        name="Legend", description="List the largest visible labels with their colours in the 3D view", update=_changed
    )
    brush_radius: bpy.props.IntProperty(
        name="Radius", description="The radius of the brush of Click to Select. F, [ and ] change it", default=30,
        min=2, soft_max=300, max=2000, subtype="PIXEL",
    )  # fmt: skip


class BGS_PT_view(SidebarPanel, bpy.types.Panel):
    """The switches for names and legend."""

    bl_label = "In the View"
    bl_idname = "BGS_PT_view"
    bl_parent_id = "BGS_PT_labels"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        settings = context.scene.bgs_view  # type: ignore[attr-defined]
        row = self.layout.row(align=True)
        row.prop(settings, "names", toggle=True)
        row.prop(settings, "legend", toggle=True)


CLASSES = (BGS_ViewSettings, BGS_PT_view)


def add_to_blender() -> None:
    """Add the settings to all scenes."""
    bpy.types.Scene.bgs_view = bpy.props.PointerProperty(type=BGS_ViewSettings)  # type: ignore[attr-defined]


def remove_from_blender() -> None:
    """Remove the settings."""
    del bpy.types.Scene.bgs_view  # type: ignore[attr-defined]

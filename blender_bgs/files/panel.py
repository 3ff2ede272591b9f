"""The Gaussian Splat panel, the first of the sidebar. It shows the active splat."""

import bpy

from ..cloud import evaluated, point_clouds, shapes
from ..cloud.active_splat import ALONE, splat_of
from ..cloud.typed import Context, SplatObject
from ..interface.sidebar import SidebarPanel, wrapped_text
from . import adopting, first_view

NAMED = 3  # objects in the splat that the panel names


class BGS_PT_splat(SidebarPanel, bpy.types.Panel):
    """The active splat with its up axis and colouring."""

    bl_label = "Gaussian Splat"
    bl_idname = "BGS_PT_splat"

    def draw(self, context: Context) -> None:
        obj = splat_of(context)
        column = self.layout.column()
        active = context.view_layer.objects.active
        if adopting.points_of(active) is not None:
            wrapped_text(column, f"{active.name} is a splat of Blender or of another add-on.", context, icon="INFO")
            column.operator("bgs.use_as_splat", icon="OUTLINER_OB_POINTCLOUD")
        if obj is None:
            column.label(text="Drop a splat file into the view,", icon="INFO")
            column.label(text="or select a splat.", icon="BLANK1")
            column.operator("bgs.import_splat", text="Import Splat", icon="IMPORT")
            return
        column.label(text=obj.name, icon="OUTLINER_OB_POINTCLOUD")
        column.label(text=f"{len(obj.data.points):,} Gaussians")
        if obj.bgs.is_alone:
            wrapped_text(column.box(), f"This {ALONE}. It can do all but merge back.", context, icon="INFO")
        column.prop(obj.bgs, "up_axis")
        for problem in shapes.problems_of(obj):
            box = column.box()
            wrapped_text(box, problem, context, icon="ERROR", alert=True)
            box.operator("bgs.keep_shapes")
        _modifiers(column, context, obj)
        _obstacles(column, context, obj)
        if obj.bgs.level_bits:
            # Two columns: the sidebar is too narrow for four words side by side.
            modes = column.grid_flow(row_major=True, columns=2, even_columns=True, align=True)
            modes.prop(obj.bgs, "color_mode", expand=True)


def _modifiers(column: bpy.types.UILayout, context: Context, obj: SplatObject) -> None:
    """Say that exports differ from the 3D view, which draws the points without modifiers."""
    active = context.active_object
    objects = [obj, active] if point_clouds.is_splat(active) and active != obj else [obj]
    for one in objects:
        if evaluated.modifiers_of(one):
            text = f"{evaluated.named(one)} counts in exports and renders. The 3D view shows the splat without it."
            wrapped_text(column.box(), text, context, icon="MODIFIER")


def _obstacles(column: bpy.types.UILayout, context: Context, obj: SplatObject) -> None:
    """Offer to hide what stood in the splat at its import, or to show it again."""
    others = first_view.noted(context, obj)
    if not others:
        return
    hidden = all(other.hide_get() for other in others)
    names, more = ", ".join(other.name for other in others[:NAMED]), len(others) - NAMED
    names += f" and {more} more" if more > 0 else ""
    box = column.box()
    text = f"Hidden: {names}" if hidden else f"{names} {'reaches' if len(others) == 1 else 'reach'} into the splat."
    wrapped_text(box, text, context, icon="HIDE_ON" if hidden else "INFO")
    row = box.row(align=True)
    row.operator("bgs.hide_obstacles", text="Show Again" if hidden else "Hide").show = hidden
    row.operator("bgs.hide_obstacles", text="", icon="X").forget = True


CLASSES = (BGS_PT_splat,)

"""The pie menu of the commands that one uses most, and its key V. V is free in Blender's own keymap for these modes."""

from typing import Any

import bpy

from ..cloud.active_splat import splat_of
from ..cloud.typed import Context
from .operator_base import NeedsSplat, NoUndo

KEY = "V"
MODES = ("Object Mode", "Point Cloud")  # names of Blender's keymaps; 4.x has no edit mode for point clouds

_keys: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


class BGS_MT_pie(bpy.types.Menu):
    """The commands that one uses most. Without labels these are others."""

    bl_idname = "BGS_MT_pie"
    bl_label = "Gaussian Splat"

    def draw(self, context: Context) -> None:
        pie = self.layout.menu_pie()
        obj = splat_of(context)
        if obj is None or not obj.bgs.level_bits:
            pie.operator("bgs.export_splat", text="Export", icon="EXPORT")
            pie.operator("bgs.segment", text="Segment", icon="MOD_EXPLODE")
            pie.operator("bgs.import_splat", text="Import", icon="IMPORT")
            return
        # Blender's order of the places: left, right, below, above, then the corners from above left.
        pie.operator("bgs.pick", text="Pick", icon="EYEDROPPER")
        pie.operator("bgs.isolate_label", text="Isolate Label", icon="ZOOM_SELECTED")
        pie.operator("bgs.show_all", text="Show All", icon="HIDE_OFF")
        pie.operator_menu_enum("bgs.make_collections", "only", text="Make Collections", icon="OUTLINER")
        pie.operator("bgs.grow_selection", text="Grow").shrink = False
        pie.operator("bgs.grow_selection", text="Shrink").shrink = True
        pie.operator("bgs.reassign", text="Reassign")
        pie.prop_menu_enum(obj.bgs, "color_mode", text="Colors", icon="COLOR")


class BGS_OT_pie(NoUndo, NeedsSplat, bpy.types.Operator):
    """Open the pie menu of splats."""

    bl_idname = "bgs.pie"
    bl_label = "Pie Menu of Splats"

    def work(self, _context: Context) -> None:
        if not bpy.app.background:
            bpy.ops.wm.call_menu_pie(name=BGS_MT_pie.bl_idname)


def added_keys() -> list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]]:
    """The keymaps and items of the extension, for the preferences."""
    return list(_keys)


def add_keys() -> None:
    """Add the key. Users change it in the preferences. Blender without a window has no keymaps."""
    config: Any = bpy.context.window_manager.keyconfigs.addon
    if config is None:
        return
    for mode in MODES:
        keymap = config.keymaps.new(name=mode, space_type="EMPTY")
        _keys.append((keymap, keymap.keymap_items.new(BGS_OT_pie.bl_idname, KEY, "PRESS")))


def remove_keys() -> None:
    """Remove the key."""
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    _keys.clear()


CLASSES = (BGS_MT_pie, BGS_OT_pie)

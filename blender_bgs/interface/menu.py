"""The menu Object > Gaussian Splat, and entries in other menus of Blender.

The menu lists every command, so Blender's search (F3) finds them.
"""

from collections.abc import Callable
from typing import Any

import bpy

from ..cloud.active_splat import splat_of
from ..cloud.typed import Context


class BGS_MT_splat(bpy.types.Menu):
    """All commands of the sidebar."""

    bl_idname = "BGS_MT_splat"
    bl_label = "Gaussian Splat"

    def draw(self, _context: Context) -> None:
        for number, group in enumerate(MENU):
            if number:
                self.layout.separator()
            for name in group:
                self.layout.operator(name)


MENU = (
    ("bgs.import_splat", "bgs.use_as_splat", "bgs.hide_obstacles"),
    ("bgs.export_splat", "bgs.export_labels", "bgs.export_animation", "bgs.export_frames", "bgs.render_splats"),
    ("bgs.segment", "bgs.cancel_job", "bgs.copy_details", "bgs.dismiss_result"),
    ("bgs.install_engine", "bgs.check_engine", "bgs.fetch_model"),
    ("bgs.pick", "bgs.select_label", "bgs.grow_selection", "bgs.select_low_confidence", "bgs.select_none"),
    ("bgs.select_object", "bgs.select_objects_in", "bgs.click_label", "bgs.select_labels_in", "bgs.brush_labels"),
    ("bgs.click_tool", "bgs.add_place", "bgs.mark_area", "bgs.brush_radius", "bgs.change_size"),
    ("bgs.take_back_place", "bgs.cancel_pointing", "bgs.accept_suggestion"),
    ("bgs.isolate_label", "bgs.show_all"),
    ("bgs.select_touching", "bgs.grow_to_neighbours", "bgs.select_similar", "bgs.select_by_condition"),
    ("bgs.name_labels", "bgs.select_by_name", "bgs.select_copies"),
    ("bgs.find_words", "bgs.select_found", "bgs.close_found"),
    (
        "bgs.save_set",
        "bgs.select_set",
        "bgs.update_set",
        "bgs.delete_set",
        "bgs.lock_labels",
    ),
    ("bgs.reassign", "bgs.join_labels", "bgs.move_to_parent", "bgs.split_label", "bgs.save_run"),
    ("bgs.find_crumbs", "bgs.accept_crumbs"),
    ("bgs.reset_light",),
    ("bgs.make_collections", "bgs.update_collections", "bgs.merge_back", "bgs.remove_collections", "bgs.put_back"),
    ("bgs.clean_objects", "bgs.fill", "bgs.remove_and_fill"),
    ("bgs.make_proxy", "bgs.make_cage", "bgs.apply_cage"),
    ("bgs.apply_transform", "bgs.keep_shapes"),
    ("bgs.pie", "bgs.close_guide"),
)
SELECT = (
    "bgs.pick", "bgs.select_label", "bgs.grow_selection", "bgs.select_touching", "bgs.grow_to_neighbours",
    "bgs.select_similar", "bgs.select_by_condition", "bgs.select_set",
    "bgs.select_low_confidence", "bgs.find_crumbs", "bgs.select_none",
)  # fmt: skip


def _object_menu(self: bpy.types.Menu, _context: Context) -> None:
    self.layout.separator()
    self.layout.menu(BGS_MT_splat.bl_idname, icon="OUTLINER_OB_POINTCLOUD")


def _context_menu(self: bpy.types.Menu, context: Context) -> None:
    """The same menu at a right click, where there is a splat to work on."""
    if splat_of(context) is not None:
        _object_menu(self, context)


def _select_menu(self: bpy.types.Menu, context: Context) -> None:
    obj = splat_of(context)
    if obj is not None and obj.bgs.level_bits:
        self.layout.separator()
        for name in SELECT:
            self.layout.operator(name)


# (Blender's menu, what is added at its end)
_PLACES: tuple[tuple[str, Callable[[Any, Any], None]], ...] = (
    ("VIEW3D_MT_object", _object_menu),
    ("VIEW3D_MT_object_context_menu", _context_menu),
    ("OUTLINER_MT_object", _context_menu),
    ("OUTLINER_MT_collection", _context_menu),
    ("VIEW3D_MT_select_object", _select_menu),
)


def add_menus() -> None:
    """Add the entries to Blender's menus Object and Select and to the menus of the right mouse button."""
    for name, draw in _PLACES:
        getattr(bpy.types, name).append(draw)


def remove_menus() -> None:
    """Remove the entries."""
    for name, draw in _PLACES:
        getattr(bpy.types, name).remove(draw)


CLASSES = (BGS_MT_splat,)

"""The menu Object > Gaussian Splat. It lists every command, so Blender's search (F3) finds them."""

import bpy

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
    ("bgs.import_splat", "bgs.hide_obstacles", "bgs.export_splat", "bgs.render_splats"),
    ("bgs.segment", "bgs.cancel_job", "bgs.copy_details", "bgs.dismiss_result"),
    ("bgs.install_engine", "bgs.check_engine"),
    ("bgs.pick", "bgs.select_label", "bgs.grow_selection", "bgs.select_low_confidence", "bgs.select_none"),
    ("bgs.select_object", "bgs.select_objects_in"),
    ("bgs.isolate_label", "bgs.show_all"),
    ("bgs.reassign", "bgs.join_labels", "bgs.move_to_parent", "bgs.split_label", "bgs.select_touching", "bgs.save_run"),
    ("bgs.make_collections", "bgs.update_collections", "bgs.merge_back", "bgs.remove_collections"),
    ("bgs.apply_transform", "bgs.keep_shapes"),
)


def _object_menu(self: bpy.types.Menu, _context: Context) -> None:
    self.layout.separator()
    self.layout.menu(BGS_MT_splat.bl_idname, icon="OUTLINER_OB_POINTCLOUD")


def add_menus() -> None:
    """Add Object > Gaussian Splat."""
    bpy.types.VIEW3D_MT_object.append(_object_menu)  # type: ignore[arg-type]


def remove_menus() -> None:
    """Remove Object > Gaussian Splat."""
    bpy.types.VIEW3D_MT_object.remove(_object_menu)  # type: ignore[arg-type]


CLASSES = (BGS_MT_splat,)

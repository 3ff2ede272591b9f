"""Adds and removes the draw handlers, and the handlers that notice changes in the file.

The drawing itself is in `draw` and `tags`. Handlers stay when another file is opened, until the extension is disabled.
"""

import bpy
from bpy.app.handlers import persistent

from ..cloud.typed import SplatScene
from . import draw, tags

_handles: list[object] = []


@persistent
def _changed(_scene: SplatScene, depsgraph: bpy.types.Depsgraph) -> None:
    draw.display.scene_number += 1
    for update in depsgraph.updates:
        if update.is_updated_geometry and isinstance(update.id, bpy.types.PointCloud | bpy.types.Object):
            data = update.id if isinstance(update.id, bpy.types.PointCloud) else update.id.data
            if isinstance(data, bpy.types.PointCloud):
                draw.display.changed.add(data.original.session_uid)


@persistent
def _all_changed(*_: object) -> None:
    """Mark all clouds as changed, because undo and redo do not tell which data they replace."""
    draw.display.scene_number += 1
    draw.display.changed.update(cloud.session_uid for cloud in bpy.data.pointclouds)


@persistent
def _moved(*_: object) -> None:
    """Note that objects may have moved, because the frame changed. The clouds are the same."""
    draw.display.scene_number += 1


@persistent
def _forget(*_: object) -> None:
    draw.display.forget()


def start() -> None:
    """Add all handlers. Without a window, Blender gets no draw handlers."""
    bpy.app.handlers.depsgraph_update_post.append(_changed)
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        handlers.append(_all_changed)
    bpy.app.handlers.frame_change_post.append(_moved)
    bpy.app.handlers.load_pre.append(_forget)
    if not bpy.app.background:
        _handles.append(bpy.types.SpaceView3D.draw_handler_add(draw.draw, (), "WINDOW", "POST_VIEW"))
        _handles.append(bpy.types.SpaceView3D.draw_handler_add(tags.draw, (), "WINDOW", "POST_PIXEL"))


def stop() -> None:
    """Remove all handlers and free the textures."""
    for handle in _handles:
        bpy.types.SpaceView3D.draw_handler_remove(handle, "WINDOW")
    _handles.clear()
    bpy.app.handlers.depsgraph_update_post.remove(_changed)
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post):
        handlers.remove(_all_changed)
    bpy.app.handlers.frame_change_post.remove(_moved)
    bpy.app.handlers.load_pre.remove(_forget)
    draw.stop()

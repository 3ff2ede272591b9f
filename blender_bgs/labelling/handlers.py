"""Calls `agreement` after each change of the file, so that labels follow their objects, and after Undo and Redo."""

import bpy
from bpy.app.handlers import persistent

from ..cloud import agreement, label_selection, point_clouds
from ..cloud.typed import SplatScene
from ..parts import cleaning
from . import crumbs

_busy = False


@persistent
def _changed(scene: SplatScene, depsgraph: bpy.types.Depsgraph) -> None:
    """Blender calls this after selecting and hiding objects too."""
    global _busy
    if _busy or scene.name.startswith(point_clouds.WORKSHOP) or bpy.app.is_job_running("RENDER"):
        return  # hiding an object changes the file again; a render reads the file in another thread
    _busy = True
    try:
        agreement.follow_all()
        if bpy.context.mode != "EDIT_POINTCLOUD":
            _note_edited(depsgraph)
    finally:
        _busy = False


def _note_edited(depsgraph: bpy.types.Depsgraph) -> None:
    """Mark selected labels again after the points of a cloud changed, for example when Edit Mode ends."""
    clouds = {
        update.id.original.session_uid
        for update in depsgraph.updates
        if update.is_updated_geometry and isinstance(update.id, bpy.types.PointCloud)
    }
    for obj in [o for o in bpy.data.objects if clouds and point_clouds.is_splat(o) and o.bgs.whole is None]:
        if obj.data.session_uid in clouds and obj.bgs.labels and obj.data.attributes.get("bgs_code") is not None:
            label_selection.note(obj)


@persistent
def _replaced(*_: object) -> None:
    agreement.follow_all(after_undo=True)


@persistent
def _forget(*_: object) -> None:
    agreement.forget()
    crumbs.forget()
    cleaning.forget()


_HANDLERS = (
    (bpy.app.handlers.depsgraph_update_post, _changed),
    (bpy.app.handlers.undo_post, _replaced),
    (bpy.app.handlers.redo_post, _replaced),
    (bpy.app.handlers.load_pre, _forget),
)


def start() -> None:
    """Start following label objects."""
    for handlers, function in _HANDLERS:
        handlers.append(function)


def stop() -> None:
    """Stop following them and forget their states."""
    for handlers, function in _HANDLERS:
        handlers.remove(function)
    _forget()

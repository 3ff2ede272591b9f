"""Watches Blender's changes of points, so that shapes follow each edit before anything reads them.

Blender calls the handlers after each change and after Undo and Redo, in the main thread and never while it draws. Undo
steps that hold moved points with old shapes do no harm: the shapes follow again when such a step comes back.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import bpy
from bgs_engine.core.errors import BgsError
from bpy.app.handlers import persistent

from ..cloud import added_points, edit_mode, geometry_nodes, identity, label_selection, point_clouds, shapes, up_to_date
from ..cloud.typed import Context, SplatObject, SplatScene

WAIT_SECONDS = 0.1  # between two checks whether a transform in edit mode has ended
MODAL = ("TRANSFORM_OT_", "POINTCLOUD_OT_")  # operators that change points until a mouse button ends them

_unchecked: set[int] = set()  # session_uid of clouds whose geometry may have changed
_moved: set[int] = set()  # session_uid of objects whose matrix may have changed


_paused = False


@contextmanager
def paused() -> Iterator[None]:
    """A context in which shapes do not follow by themselves. The changes are checked later."""
    global _paused
    _paused = True
    try:
        yield
    finally:
        _paused = False


@persistent
def _changed(scene: SplatScene, depsgraph: bpy.types.Depsgraph) -> None:
    if scene.name.startswith(point_clouds.WORKSHOP):
        return
    for update in depsgraph.updates:
        changed = update.id.original
        if isinstance(changed, bpy.types.PointCloud) and update.is_updated_geometry:
            _unchecked.add(changed.session_uid)
        elif isinstance(changed, bpy.types.Object) and update.is_updated_transform and point_clouds.is_splat(changed):
            _moved.add(changed.session_uid)
    busy = _is_busy()
    if _unchecked and not busy:
        _follow_selection()
    if (_unchecked or _moved) and not _paused:
        if not busy:
            identity.tidy()  # new objects may be copies, or come from a file of an older version
        _check()
    elif not _paused and not busy:
        up_to_date.count_again(set())  # an object may have been deleted


@persistent
def _everything_changed(*_: object) -> None:
    """Check all clouds, because opening a file, undo and redo do not tell which data they replace."""
    identity.tidy(again=True)
    _unchecked.update(cloud.session_uid for cloud in bpy.data.pointclouds)
    splats = [obj for obj in bpy.data.objects if point_clouds.is_splat(obj)]
    _moved.update(obj.session_uid for obj in splats)
    for obj in splats:
        geometry_nodes.pin(obj)  # in a file of an older version it is not
    _follow_selection()
    _check()


@persistent
def _forget_places(*_: object) -> None:
    identity.forget()


@persistent
def _forget(*_: object) -> None:
    identity.forget()
    shapes.forget()
    up_to_date.forget()
    _unchecked.clear()
    _moved.clear()


def _follow_selection() -> None:
    """In Edit Mode, take hidden Gaussians out of the selection, and mark the selected labels in the list."""
    for obj in edit_mode.edited(cast(Context, bpy.context)):
        if obj.data.session_uid in _unchecked:
            edit_mode.spare_hidden(obj)
            if obj.bgs.whole is None:
                label_selection.note(obj)


def _check() -> None:
    """Let shapes follow. While the user drags points in edit mode, it waits: each step back would lose digits."""
    if _is_busy():
        if not bpy.app.timers.is_registered(_check_later):
            bpy.app.timers.register(_check_later, first_interval=WAIT_SECONDS)
        return
    clouds, moved = set(_unchecked), set(_moved)
    _unchecked.clear()
    _moved.clear()
    splats = [obj for obj in bpy.data.objects if point_clouds.is_splat(obj)]
    for obj in splats:
        if obj.data.session_uid in clouds:
            _follow(obj, together=obj.session_uid in moved)
            up_to_date.follow(obj)
    for obj in splats:
        if (obj.session_uid in moved or obj.data.session_uid in clouds) and obj.data.session_uid not in shapes.problems:
            shapes.note_world(obj)
    shapes.forget(gone_only=True)
    up_to_date.count_again(clouds)


def _follow(obj: SplatObject, together: bool) -> None:
    added_points.note_bits(obj)
    try:
        if together:
            shapes.follow_fixed(obj)
        shapes.make_true(obj)
    except BgsError:
        pass  # `shapes.problems` has it, the panel shows it, and whoever reads the shapes raises it again


def _check_later() -> float | None:
    if _is_busy():
        return WAIT_SECONDS
    _check()
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()
    return None


def _is_busy() -> bool:
    """Whether Blender is in the middle of a transform, or renders with the data in another thread."""
    if bpy.app.is_job_running("RENDER"):
        return True
    windows = bpy.context.window_manager.windows
    return any(one.bl_idname.startswith(MODAL) for window in windows for one in window.modal_operators)


_HANDLERS = (
    (bpy.app.handlers.depsgraph_update_post, _changed),
    (bpy.app.handlers.undo_pre, _forget_places),
    (bpy.app.handlers.redo_pre, _forget_places),
    (bpy.app.handlers.undo_post, _everything_changed),
    (bpy.app.handlers.redo_post, _everything_changed),
    (bpy.app.handlers.load_post, _everything_changed),
    (bpy.app.handlers.load_pre, _forget),
)


def start() -> None:
    """Start watching."""
    for handlers, function in _HANDLERS:
        handlers.append(function)


def stop() -> None:
    """Stop watching and forget everything."""
    for handlers, function in _HANDLERS:
        handlers.remove(function)
    if bpy.app.timers.is_registered(_check_later):
        bpy.app.timers.unregister(_check_later)
    _forget()

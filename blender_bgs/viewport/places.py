"""Where splat objects are drawn in a view: in their own places, and in those of their instances."""

from dataclasses import dataclass, field
from typing import TypeGuard

import bpy
import numpy as np

from ..cloud import instances, point_clouds
from ..cloud.typed import Context, SplatObject
from . import look as looks


@dataclass(frozen=True)
class Place:
    """A splat object, and the world matrix [4, 4] at which it is drawn."""

    obj: SplatObject
    world: np.ndarray


@dataclass
class _Instances:
    """The instances of a view layer after a change of the scene. Objects are kept by session_uid: they may go."""

    key: tuple[int, int] = (0, -1)  # the view layer, and the number of the change
    found: list[tuple[int, int, np.ndarray]] = field(default_factory=list)  # object, instancer, world matrix [4, 4]


_instances = _Instances()


def forget() -> None:
    """Forget the instances, because another file is opened."""
    _instances.key, _instances.found = (0, -1), []


def shown_splats(context: Context) -> list[SplatObject]:
    """The splat objects to draw in this view."""
    space = context.space_data
    return [o for o in context.view_layer.objects if _is_drawn(o) and o.visible_get(viewport=space)]


def shown_places(context: Context, scene_number: int) -> list[Place]:
    """The places of splat objects in this view. `scene_number` changes with every change in the file."""
    places = [Place(o, np.array(o.matrix_world, np.float64)) for o in shown_splats(context)]
    found = _instances_of(context.view_layer, scene_number)
    if found:
        by_uid = {o.session_uid: o for o in bpy.data.objects}
        for uid, parent_uid, world in found:
            obj, parent = by_uid.get(uid), by_uid.get(parent_uid)
            if obj is None or parent is None or not parent.visible_get(viewport=context.space_data):
                continue
            if _is_drawn(obj):
                places.append(Place(obj, world))
    return places


def _is_drawn(obj: bpy.types.Object) -> TypeGuard[SplatObject]:
    """Blender 5.3 and later draw splats in their captured colours, so only other colourings are drawn here."""
    if obj.type != "POINTCLOUD" or not point_clouds.is_splat(obj):
        return False
    return not (point_clouds.can_show_native_splats() and looks.mode_of(obj) == 0)


def _instances_of(layer: bpy.types.ViewLayer, scene_number: int) -> list[tuple[int, int, np.ndarray]]:
    key = (layer.as_pointer(), scene_number)
    if _instances.key != key:
        graph = layer.depsgraph
        found = instances.instances_in(graph) if graph is not None else []
        _instances.found = [(one.obj.session_uid, one.parent.session_uid, one.world) for one in found]
        _instances.key = key
    return _instances.found

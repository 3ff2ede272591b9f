# mypy: disable-error-code="arg-type, has-type"
"""Finds the splat objects that a pixel or an area of the view shows, and selects them as Blender selects objects.

Blender's own click tests only what it draws itself, which is a frame around each splat.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from bpy_extras.view3d_utils import region_2d_to_origin_3d, region_2d_to_vector_3d
from mathutils import Vector

from ..cloud import agreement, companions, label_selection, point_clouds
from ..cloud.typed import Context, SplatObject
from . import areas, hover
from .probing import heaviest, probe


@dataclass(frozen=True)
class Found:
    """A splat object at a pixel, and the distance of what was hit along the viewing direction, in scene units."""

    obj: SplatObject
    depth: float


def selectable_splats(context: Context) -> list[SplatObject]:
    """The splat objects of this view that can be selected."""
    space = context.space_data
    return [
        obj
        for obj in context.view_layer.objects
        if point_clouds.is_splat(obj) and not obj.hide_select and obj.visible_get(viewport=space)
    ]


def splat_at(context: Context, mouse: tuple[float, float]) -> Found | None:
    """The splat object that contributes most to the pixel at `mouse`, or None if the pixel is nearly empty."""
    targets, objects = hover.targets_of(context, selectable_splats(context))
    projection = np.array(context.region_data.window_matrix, np.float64)
    size = (context.region.width, context.region.height)
    numbers = [np.broadcast_to(np.int32(n), len(target.arrays)) for n, target in enumerate(targets)]
    found = heaviest(probe(targets, projection, size, mouse), numbers)
    if found is None:
        return None
    number, row = found
    place = targets[number].to_view @ np.array([*targets[number].arrays.means[row], 1.0])
    return Found(objects[number], -float(place[2]))


def splats_in(context: Context, path: Sequence[areas.Point]) -> set[str]:
    """The names of the splat objects of which a Gaussian is in the area inside `path` (pixels of the region)."""
    area = areas.area_of(path, (context.region.width, context.region.height))
    targets, objects = hover.targets_of(context, selectable_splats(context))
    projection = np.array(context.region_data.window_matrix, np.float64)
    inside = (areas.rows_in(target, projection, area).any() for target in targets)
    return {obj.name for obj, hit in zip(objects, inside, strict=True) if hit}


def nearer_object(context: Context, mouse: tuple[float, float], depth: float) -> bpy.types.Object | None:
    """The object of another kind that Blender's own click hits nearer than `depth`, or None.

    A proxy or a cage is around its splat and nearer everywhere. So a click goes through it.
    """
    space = context.space_data
    if not any(
        not point_clouds.is_splat(o)
        and not companions.is_companion(o)
        and not o.hide_select
        and o.visible_get(viewport=space)
        for o in context.view_layer.objects
    ):
        return None
    before, active = _selected(context), context.view_layer.objects.active
    bpy.ops.view3d.select(location=(round(mouse[0]), round(mouse[1])), deselect_all=True)
    hit = next(iter(_selected(context)), None)
    _select_only(context, before)
    context.view_layer.objects.active = active
    if hit is None or point_clouds.is_splat(hit) or companions.is_companion(hit):
        return None
    return hit if _depth_of(context, hit, mouse) < depth else None


def _depth_of(context: Context, obj: bpy.types.Object, mouse: tuple[float, float]) -> float:
    """The distance of an object's surface under the mouse, or of its origin if it has no surface there."""
    region, view = context.region, context.region_data
    origin = region_2d_to_origin_3d(region, view, mouse)
    direction = region_2d_to_vector_3d(region, view, mouse)
    graph = context.evaluated_depsgraph_get()
    met, place, _, _, there, _ = context.scene.ray_cast(graph, origin, direction)
    point = place if met and there is not None and there.original == obj else obj.matrix_world.translation
    return float(-(view.view_matrix @ Vector(point)).z)


def choose(context: Context, obj: bpy.types.Object, toggle: bool) -> None:
    """Select an object as a click does. `toggle` is Shift: an active object is deselected, another one is added."""
    if not toggle:
        _select_only(context, [obj])
        context.view_layer.objects.active = obj
    elif obj.select_get() and context.view_layer.objects.active == obj:
        obj.select_set(False)
    else:
        obj.select_set(True)
        context.view_layer.objects.active = obj
    labels_follow(context, exactly=not toggle)


def labels_follow(context: Context, exactly: bool) -> None:
    """Select the labels of the selected label objects. `exactly` deselects all other Gaussians too."""
    for whole in [o for o in context.view_layer.objects if point_clouds.is_splat(o) and o.bgs.part_collection]:
        agreement.follow(whole)
        if exactly:
            label_selection.select_labels_of_objects(whole)


def combine(context: Context, before: Iterable[str], hits: set[str], mode: str) -> None:
    """Select the splat objects after an area was drawn. `before` names the objects that were selected before it."""
    names = set(before)
    for obj in selectable_splats(context):
        wanted = areas.combined(obj.name in names, obj.name in hits, mode)
        if obj.select_get() != wanted:
            obj.select_set(wanted)
    labels_follow(context, exactly=mode == "SET")


def _selected(context: Context) -> list[bpy.types.Object]:
    return [o for o in context.view_layer.objects if o.select_get()]


def _select_only(context: Context, wanted: Sequence[bpy.types.Object]) -> None:
    for obj in _selected(context):
        if obj not in wanted:
            obj.select_set(False)
    for obj in wanted:
        obj.select_set(True)


def selected_names(context: Context) -> list[str]:
    """The names of the selected objects."""
    return [obj.name for obj in _selected(context)]

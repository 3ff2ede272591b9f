"""Cages of splat objects: meshes whose points bend the Gaussians inside, see `logic.cage`."""

from typing import Any

import bpy
import numpy as np
from bgs_engine.core.errors import UsageError
from bgs_engine.cutouts.solid import box_of

from ..cloud import appearance, companions, geometry_nodes, point_clouds, shapes
from ..cloud.active_splat import make_active
from ..cloud.gaussians import gaussians_of
from ..cloud.typed import Context, SplatObject
from ..logic import attributes as at
from ..logic.bending import bent
from ..logic.cage import Cage
from ..logic.transforms import is_flat
from . import trimmed

MOST_POINTS = 4  # along an axis
BOX = "bgs_cage"  # custom property of a cage: the number of points along an axis, the low and the high corner
MARGIN = 0.02  # of the longest side
ANEW = "Undo, or press Make Cage to begin anew."
THINNEST = 0.01  # of the longest side; a flat object gets a box that can be bent too


def make_cages(context: Context, objects: list[SplatObject], points: int) -> list[bpy.types.Object]:
    """Make a cage at rest around each object, or make its cage anew. The cages are selected then.

    Raises:
        UsageError: an object has no visible Gaussians, or is linked from another file, or its cage is being edited.
        InputError: the shapes of an object cannot follow an edit of its points.
    """
    found = []
    for obj in objects:
        companions.need_editable(obj, companions.CAGE)
        box = box_of(gaussians_of(obj))
        if box is None:
            raise UsageError(f"{obj.name} is too transparent for a cage.", "Choose an object that one can see.")
        longest = float((box[1] - box[0]).max())
        middle = (box[0] + box[1]) / 2
        half = np.maximum(box[1] - box[0], THINNEST * longest) / 2 + MARGIN * longest
        found.append((obj, Cage(points, middle - half, middle + half)))
    made = []
    for obj, cage in found:
        mesh = companions.put(
            obj, companions.CAGE, f"{obj.name} Cage", cage.rest(), cage.faces(), cage.edges() if points > 2 else None
        )
        mesh[BOX] = [float(points), *cage.low.tolist(), *cage.high.tolist()]
        mesh.display_type, mesh.show_in_front, mesh.hide_render = "WIRE", True, True
        made.append(mesh)
    make_active(context, made[0])  # type: ignore[arg-type]
    for mesh in made:
        mesh.select_set(True)
    return made


def apply_cages(context: Context, objects: list[SplatObject]) -> int:
    """Bend the Gaussians of objects as their cages are bent, and delete the cages. Returns the number of changed ones.

    Where the cage object is does not matter, as with Blender's lattices: it says which Gaussians are in the box. Only
    the points of its mesh bend. All is computed before anything is changed.

    Raises:
        UsageError: no object has a cage, or one is cleaned or shares its points with another one; or a cage has lost
            points or what it was at rest, or it has modifiers or shape keys, or it is scaled to nothing.
        InputError: a cage is flat at some Gaussians, or the shapes cannot follow an earlier edit.
    """
    pairs = [(obj, companions.companion_of(obj, companions.CAGE)) for obj in objects]
    caged = [(obj, cage) for obj, cage in pairs if cage is not None]
    if not caged:
        raise UsageError("The selected objects have no cage.", "Press Make Cage first.")
    context.view_layer.update()
    results = [(obj, *_bent_by(obj, cage)) for obj, cage in caged]
    for _, cage in caged:
        if cage.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
    for obj, columns, _ in results:
        for column in columns:
            point_clouds.set_column(obj.data, column)
        if columns:
            shapes.keep(obj)
            geometry_nodes.fit_frame(obj)
            appearance.refresh_radii(obj)
    make_active(context, caged[0][0])
    for obj, _ in caged:
        obj.select_set(True)
    for _, cage in caged:
        mesh: Any = cage.data
        bpy.data.objects.remove(cage)
        if mesh.users == 0:
            bpy.data.meshes.remove(mesh)
    return sum(count for _, _, count in results)


def _bent_by(obj: SplatObject, mesh: bpy.types.Object) -> tuple[list[at.Column], int]:
    """The attributes of an object that its cage changes, and how many Gaussians it changes."""
    if obj.library is not None or obj.data.library is not None:
        raise UsageError(f"{obj.name} is linked from another file.", "Make it local first.")
    point_clouds.need_own_cloud(obj)
    shapes.make_true(obj)
    if mesh.mode == "EDIT":
        mesh.update_from_editmode()
    cage = _cage_of(mesh)
    _refuse_unapplied(mesh)
    data: Any = mesh.data
    if len(data.vertices) != cage.points**3:
        raise UsageError(
            f"{mesh.name} has {len(data.vertices)} points instead of {cage.points**3}.",
            "Undo until it has them again, or press Make Cage.",
        )
    moved = np.empty(3 * len(data.vertices), np.float32)
    data.vertices.foreach_get("co", moved)
    if not np.isfinite(moved).all():
        raise UsageError(f"Points of {mesh.name} have no place: their numbers are not finite.", ANEW)
    places = point_clouds.need_column(obj.data, at.POSITION).astype(np.float64)
    for one in (obj, mesh):
        if is_flat(point_clouds.world_of(one)):
            raise UsageError(f"{one.name} is scaled to nothing in a direction.", "Give it a scale that is not 0.")
    there = np.linalg.inv(point_clouds.world_of(mesh)) @ point_clouds.world_of(obj)
    linear, back = there[:3, :3], np.linalg.inv(there[:3, :3])
    shifts, jacobians = cage.bend(places @ linear.T + there[:3, 3], moved.reshape(-1, 3))
    changed = shifts.any(1) | (jacobians != np.eye(3)).any((1, 2))
    if changed.any() and trimmed.is_trimmed(obj):  # what cleaning changed could not be given back bent
        hint = "Press Clean Objects at Strength 0 first. To bend it clean, use Export Labels and import its file."
        raise UsageError(f"{obj.name} is cleaned, and cleaned Gaussians cannot be bent.", hint)
    if not np.array_equal(linear, np.eye(3)):
        shifts = shifts @ back.T
        jacobians[changed] = back @ jacobians[changed] @ linear
    columns = bent(lambda name: point_clouds.get_column(obj.data, name), shifts, jacobians)
    return columns, int(changed.sum())


def _cage_of(mesh: bpy.types.Object) -> Cage:
    """The cage at rest that a mesh object was made as.

    Raises:
        UsageError: the object does not tell it any more.
    """
    kept: Any = mesh.get(BOX)
    numbers = np.array(kept.to_list() if hasattr(kept, "to_list") else [], np.float64)
    usable = numbers.shape == (7,) and np.isfinite(numbers).all() and (numbers[1:4] < numbers[4:]).all()
    if not usable or round(numbers[0]) not in range(2, MOST_POINTS + 1):
        raise UsageError(f"{mesh.name} has lost its custom property {BOX}.", ANEW)
    return Cage(round(numbers[0]), numbers[1:4], numbers[4:])


def _refuse_unapplied(mesh: bpy.types.Object) -> None:
    """Refuse what moves the points that one sees, but not the points of the mesh."""
    data: Any = mesh.data
    found = [f"the modifier {one.name}" for one in mesh.modifiers if one.show_viewport]
    if data.shape_keys is not None and len(data.shape_keys.key_blocks) > 1:
        found.append("shape keys")
    if found:
        raise UsageError(f"{mesh.name} has {', '.join(found)}: only the points of its mesh bend.", "Apply them first.")

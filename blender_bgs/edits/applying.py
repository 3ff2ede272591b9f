# mypy: disable-error-code="attr-defined"
# (The stubs of Blender 5.2 do not know that an override is a context.)
"""Applies the transforms of splat objects to their Gaussians."""

from collections.abc import Sequence

import bpy
import numpy as np
from bgs_engine.core.errors import UsageError

from ..cloud import point_clouds, shapes
from ..cloud.typed import Context, SplatObject
from ..logic.affine_fit import Move
from ..logic.transforms import is_flat
from . import handlers


def apply_transform(
    context: Context, objects: Sequence[SplatObject], location: bool, rotation: bool, scale: bool
) -> None:
    """Apply transforms to the positions, shapes and colours of splat objects. They stay where they are in the world.

    Blender's own Apply moves points and children. The shapes follow with the map from the matrix before to the one
    after. Nothing is changed if an error is raised.

    Raises:
        UsageError: an object shares its cloud with another one, is hidden, is linked from another file or is in edit
            mode, or nothing is chosen.
        InputError: an object is scaled to nothing, or the shapes cannot follow an earlier edit of its points.
    """
    if not (location or rotation or scale):
        raise UsageError("Nothing is chosen.", "Choose location, rotation or scale.")
    for obj in objects:
        _refuse(context, obj)
        shapes.make_true(obj)
    before = [(point_clouds.world_of(obj), np.array(obj.matrix_basis, np.float64)) for obj in objects]
    override = context.temp_override(
        active_object=objects[0], object=objects[0], selected_objects=list(objects),
        selected_editable_objects=list(objects),
    )  # fmt: skip
    with handlers.paused(), override:
        bpy.ops.object.transform_apply(location=location, rotation=rotation, scale=scale)
        for obj, (world, basis) in zip(objects, before, strict=True):
            # Constraints may have moved the object meanwhile, so its world matrix is computed from what was applied.
            applied = np.linalg.inv(np.array(obj.matrix_basis, np.float64)) @ basis
            shapes.follow(obj, [Move.between(world, world @ np.linalg.inv(applied))])
        context.view_layer.update()
        for obj in objects:
            shapes.note_world(obj)


def _refuse(context: Context, obj: SplatObject) -> None:
    if obj.library is not None or obj.data.library is not None:
        raise UsageError(f"{obj.name} is linked from another file.", "Apply the transform there, or make it local.")
    point_clouds.need_own_cloud(obj)
    if obj.mode == "EDIT":
        raise UsageError(f"{obj.name} is in edit mode.", "Leave edit mode with Tab.")
    if obj.name not in context.view_layer.objects or not obj.visible_get():
        raise UsageError(f"{obj.name} is hidden.", "Show it, or select its label objects.")
    if is_flat(np.array(obj.matrix_basis, np.float64)):
        raise UsageError(f"{obj.name} is scaled to nothing in a direction.", "Give it a scale that is not 0.")

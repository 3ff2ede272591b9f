# mypy: disable-error-code="attr-defined"
# (The stubs of Blender 4.2 lack what 4.3 added.)
"""Completes splats that are appended or pasted from another file. Their label objects do not come along."""

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..cloud import code_tables, identity, labels, point_clouds
from ..cloud.typed import SplatObject
from . import label_objects


@persistent
def _imported(context: Any) -> None:
    """Blender calls this after Append, Link and Paste."""
    identity.tidy(again=True)
    found = {item.id for item in context.import_items if item.id is not None}
    for obj in bpy.data.objects:
        if obj in found and obj.library is None and point_clouds.is_splat(obj):
            complete(obj)


def complete(obj: SplatObject) -> None:
    """Show a whole cloud that came without the label objects that replace it; list the labels of one that came alone.

    It changes nothing else.
    """
    if obj.bgs.is_alone:
        if obj.bgs.level_bits:
            labels.list_labels(obj)
    elif obj.bgs.whole is None and obj.get(label_objects.MADE) is not None and not code_tables.parts_of(obj):
        label_objects.remove_tree(obj)


def start() -> None:
    """Start to watch. Blender 4.2 does not tell of appended objects."""
    if hasattr(bpy.app.handlers, "blend_import_post"):
        bpy.app.handlers.blend_import_post.append(_imported)


def stop() -> None:
    """Stop to watch."""
    if hasattr(bpy.app.handlers, "blend_import_post"):
        bpy.app.handlers.blend_import_post.remove(_imported)

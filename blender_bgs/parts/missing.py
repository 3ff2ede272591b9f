"""The labels that have no objects, because the user made objects of some labels only.

The whole cloud is hidden while there are label objects, so nothing shows the Gaussians of these labels.
"""

from typing import Any

from ..cloud.typed import SplatObject, SplatScene
from ..interface.operator_base import counted
from . import label_objects
from .edited import edited_parts, lost_parts


def missing_objects(whole: SplatObject) -> set[int]:
    """The labels that never got an object, at the level of the objects. A deleted object is not missing."""
    made: Any = whole.get(label_objects.MADE)
    if made is None or whole.get(label_objects.ONLY) is None or whole.bgs.part_collection is None:
        return set()
    level = whole[label_objects.LEVEL]
    return {row.label for row in whole.bgs.labels if row.level == level} - {int(key) & 0xFFFFFFFF for key in made}


def make_missing(scene: SplatScene, whole: SplatObject) -> str:
    """Make the missing objects. Returns a sentence for the user, or "" if none is missing.

    Nothing is made where that would overwrite what the user did to the objects.
    """
    number = len(missing_objects(whole))
    if not number:
        return ""
    level = whole[label_objects.LEVEL]
    if edited_parts(whole) or lost_parts(whole):
        return f"{lacking(number)}. Press Make Collections > All at level {level}"
    label_objects.make_tree(scene, whole, level, None, label_objects.deleted_labels(whole, level))
    return f"{counted(number, 'missing object')} made"


def lacking(number: int) -> str:
    """Says how many labels have no object, without a full stop."""
    return f"{counted(number, 'label')} {'has no object' if number == 1 else 'have no objects'}"

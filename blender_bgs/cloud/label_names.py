"""A label, its objects and its collection have one name. Renaming one of them renames the others."""

from collections.abc import Mapping

import bpy

from ..logic.label_names import is_name_of, unique_name
from ..logic.label_tree import Key
from .properties import BGS_Label, without_updates
from .shown import objects_of_labels
from .typed import SplatObject


def settle(obj: SplatObject, row: BGS_Label) -> None:
    """Tidy a label's name after it changed, and rename its objects and its collection.

    An empty name becomes the automatic one. A name that another label of the level has gets a number.
    """
    level = [other for other in obj.bgs.labels if other.level == row.level]
    rank = next(number for number, other in enumerate(level, 1) if other == row)
    name = row.name.strip() or row.automatic or f"L{row.level}_{rank:0{len(str(len(level)))}d}"
    name = unique_name(name, {other.name for other in level if other != row})
    if name != row.name:
        with without_updates():
            row.name = name
    rename_objects(obj, {(row.level, row.label): name})


def rename_objects(obj: SplatObject, names: Mapping[Key, str]) -> None:
    """Give the objects and collections of some labels the names of these."""
    objects, collections = objects_of_labels(obj), collections_of_labels(obj)
    for key, name in names.items():
        for part in objects.get(key, ()):
            if not is_name_of(part.name, name):
                part.name = part.data.name = name
        for collection in collections.get(key, ()):
            if not is_name_of(collection.name, name):
                collection.name = name


def collections_of_labels(whole: SplatObject) -> dict[Key, list[bpy.types.Collection]]:
    """The collections of each label."""
    root, found = whole.bgs.part_collection, dict[Key, list[bpy.types.Collection]]()
    for collection in root.children_recursive if root is not None else ():
        mark = collection.get("bgs_label")
        if mark:
            found.setdefault((mark[0], mark[1] & 0xFFFFFFFF), []).append(collection)
    return found


def rename(row: BGS_Label, name: str) -> None:
    """Give a label the new name of its object or collection. The property's update does the rest."""
    if not is_name_of(name, row.name):
        row.name = name

# mypy: disable-error-code="attr-defined"
# (The stubs of Blender 4.2 lack what 5.0 added.)
"""Finds the whole cloud of a label object, and the collection of its label objects, by identities in the file.

Blender takes along whatever a datablock points to. A pointer from a label object to its whole cloud would bring the
whole splat with every Append, copy-paste or asset. Files of older versions have such pointers; `tidy` replaces them.
"""

import uuid
from collections.abc import Iterator
from typing import Any, TypeAlias

import bpy

SplatObject: TypeAlias = Any  # that of `typed`, which imports the properties, and those import this module

COLLECTION_MARK = "bgs_splat"  # custom property of the collection of a splat's label objects: the splat's identity
OLD_WHOLE, OLD_COLLECTION = "whole", "part_collection"  # pointers of older versions

# Where the whole cloud of an identity was last found: by identity and library file, its name. It is only a hint.
_names: dict[tuple[str, str | None], str] = {}


def identity_of(whole: SplatObject) -> str:
    """The identity of a whole cloud. It gets one if it has none."""
    if not whole.bgs.splat_id:
        whole.bgs.splat_id = uuid.uuid4().hex
    return whole.bgs.splat_id


def whole_of(obj: SplatObject) -> SplatObject | None:
    """The whole cloud that a label object was made from, or None if it is in no open file or `obj` is none.

    Of a copy and its original, it is the original. A cloud of the same file comes before one of another library.
    """
    key = obj.bgs.whole_id
    if not key:
        return _old_whole(obj)
    where = (key, _file_of(obj))
    hint = bpy.data.objects.get((_names.get(where, ""), where[1]))  # type: ignore[arg-type, call-overload]
    if hint is not None and _is_whole(hint, key):
        return hint
    found = sorted(_wholes(key), key=lambda one: (one.library != obj.library, one.session_uid))
    if not found:
        return None
    if found[0].library == obj.library:
        _names[where] = found[0].name
    return found[0]


def parts_of(whole: SplatObject) -> list[SplatObject]:
    """The label objects of a whole cloud."""
    key = whole.bgs.splat_id
    return [obj for obj in _splats() if obj.bgs.whole_id in ("", key) and whole_of(obj) == whole]


def collection_of(whole: SplatObject) -> bpy.types.Collection | None:
    """The collection of the label objects of a whole cloud, or None."""
    key = whole.bgs.splat_id
    found = [c for c in bpy.data.collections if key and c.get(COLLECTION_MARK) == key and c.library == whole.library]
    return min(found, key=lambda one: one.session_uid, default=None) or _old(whole, OLD_COLLECTION)


def set_collection(whole: SplatObject, collection: bpy.types.Collection | None) -> None:
    """Make a collection that of the label objects of a whole cloud. None means that it has none any more."""
    before = collection_of(whole)
    if before is not None and before.get(COLLECTION_MARK):
        del before[COLLECTION_MARK]
    _drop_old(whole, OLD_COLLECTION)
    if collection is not None:
        collection[COLLECTION_MARK] = identity_of(whole)


def set_whole(obj: SplatObject, whole: SplatObject | None) -> None:
    """Make an object a label object of `whole`. None means that it belongs to no other cloud."""
    _drop_old(obj, OLD_WHOLE)
    obj.bgs.whole_id = identity_of(whole) if whole is not None else ""


def tidy() -> None:
    """Replace the pointers of older versions, and give copies of whole clouds identities of their own."""
    here = [obj for obj in _splats() if obj.library is None]
    for obj in here:
        whole = _old_whole(obj)
        if whole is not None and not obj.bgs.whole_id:
            set_whole(obj, whole)
        collection = _old(obj, OLD_COLLECTION)
        if collection is not None and whole is None and not collection.get(COLLECTION_MARK):
            set_collection(obj, collection)
        _drop_old(obj, OLD_WHOLE)
        _drop_old(obj, OLD_COLLECTION)
    originals: dict[str, SplatObject] = {}
    for obj in sorted(here, key=lambda one: one.session_uid):
        key = obj.bgs.splat_id
        if not key or obj.bgs.whole_id:
            continue
        if originals.setdefault(key, obj) != obj:
            _renew(obj, originals[key])


def _renew(copy: SplatObject, original: SplatObject) -> None:
    """Give a copy its own identity, and the label objects and the collection that were copied with it to a scene."""
    parts, scenes, others = parts_of(original), set(copy.users_scene), set(original.users_scene)
    marked = [c for c in bpy.data.collections if c.get(COLLECTION_MARK) == copy.bgs.splat_id and c.library is None]
    copy.bgs.splat_id = ""
    for part in parts:
        if scenes & set(part.users_scene) and not others & set(part.users_scene):
            set_whole(part, copy)
    theirs = {c for scene in others for c in scene.collection.children_recursive}
    mine = {c for scene in scenes for c in scene.collection.children_recursive} - theirs
    for collection in marked:
        if collection in mine:
            collection[COLLECTION_MARK] = identity_of(copy)
    identity_of(copy)


def _splats() -> Iterator[SplatObject]:
    for obj in bpy.data.objects:
        splat: SplatObject = obj
        if obj.type == "POINTCLOUD" and splat.bgs.is_splat:
            yield splat


def _wholes(key: str) -> Iterator[SplatObject]:
    return (obj for obj in _splats() if _is_whole(obj, key))


def _is_whole(obj: bpy.types.Object, key: str) -> bool:
    if obj.type != "POINTCLOUD":
        return False
    splat: Any = obj.bgs
    return bool(splat.is_splat and splat.splat_id == key and not splat.whole_id)


def _file_of(obj: bpy.types.Object) -> str | None:
    return obj.library.filepath if obj.library is not None else None


def _old_whole(obj: SplatObject) -> SplatObject | None:
    whole = _old(obj, OLD_WHOLE)
    usable = isinstance(whole, bpy.types.Object) and whole.type == "POINTCLOUD" and whole != obj
    return whole if usable else None


def _old(obj: bpy.types.Object, name: str) -> Any:
    """What a pointer of an older version points to, or None."""
    return next((found for group in _groups(obj) if (found := group.get(name)) is not None), None)


def _drop_old(obj: bpy.types.Object, name: str) -> None:
    for group in _groups(obj):
        if name in group:
            del group[name]


def _groups(obj: bpy.types.Object) -> list[Any]:
    """The saved properties of this extension. Blender 5 keeps a second copy for a file of Blender 4."""
    system = obj.bl_system_properties_get() if hasattr(obj, "bl_system_properties_get") else None
    found = [None if owner is None else owner.get("bgs") for owner in (system, obj)]
    return [group for group in found if group is not None and hasattr(group, "keys")]

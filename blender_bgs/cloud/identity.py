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

# The whole cloud of an identity and a library file, as it was last found. Searching it takes longer the more objects
# there are, and the viewport asks for each of them. Undo and opening a file replace all objects, see `forget`.
_found: dict[tuple[str, str | None], SplatObject] = {}
_tidied: set[int] = set()  # session_uid of the splat objects at the last `tidy`


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
    return _find(key, obj.library) if key else _old_whole(obj)


def _find(key: str, library: bpy.types.Library | None) -> SplatObject | None:
    where = (key, library.filepath if library is not None else None)
    hint = _found.get(where)
    try:
        if hint is not None and _is_whole(hint, key):
            return hint
    except ReferenceError:
        del _found[where]  # it was deleted
    found = sorted(_wholes(key), key=lambda one: (one.library != library, one.session_uid))
    if not found:
        return None
    if found[0].library == library:
        _found[where] = found[0]
    return found[0]


def parts_of(whole: SplatObject) -> list[SplatObject]:
    """The label objects of a whole cloud."""
    key, library = whole.bgs.splat_id, whole.library
    is_it = bool(key) and _find(key, library) == whole  # a copy that nobody has given its own identity is not
    found = []
    for obj in _splats():
        wanted = obj.bgs.whole_id
        if not wanted:
            belongs = _old_whole(obj) == whole
        elif obj.library == library:
            belongs = is_it and wanted == key
        else:
            belongs = wanted == key and whole_of(obj) == whole
        if belongs:
            found.append(obj)
    return found


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


def forget() -> None:
    """Forget where whole clouds are, because all objects are replaced."""
    _found.clear()


def tidy(again: bool = False) -> None:
    """Replace the pointers of older versions, and give copies of whole clouds identities of their own.

    It does nothing if no splat object came since the last call, unless `again` is true.
    """
    here = [obj for obj in _splats() if obj.library is None]
    uids = {obj.session_uid for obj in here}
    if again:
        forget()
    elif uids <= _tidied:
        return
    _tidied.clear()
    _tidied.update(uids)
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

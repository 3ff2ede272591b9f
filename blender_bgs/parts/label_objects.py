"""Makes one object per label, in collections that are nested from coarse to fine, and keeps them up to date.

The code calls a label object a part. `whole` is the cloud that it was made from.
"""

from collections.abc import Collection
from typing import Any, cast

import bpy
import numpy as np
from bgs_engine.core.codes import BitLayout
from bgs_engine.core.errors import UsageError
from mathutils import Matrix

from ..cloud import appearance, code_tables, evaluated, geometry_nodes, labels, part_labels, pivot, point_clouds, shapes
from ..cloud.companions import keep_children
from ..cloud.properties import signed, without_updates
from ..cloud.typed import SplatObject, SplatScene
from ..logic import attributes as at
from ..logic.label_tree import Key
from . import gone as taken_away
from . import kept, trimmed
from .applied import applied_to

SPLAT_COPIED = (
    "is_splat",
    "source_path",
    "run_folder",
    "run_id",
    "layout",
    "up_axis",
    "level_bits",
    "levels",
    "color_mode",
)

# Custom properties of the whole cloud: the level of its parts, the labels that got parts, and the labels that the user
# chose. ONLY is missing if the user chose all labels. FILLED: the labels whose holes `filling` closed.
LEVEL, MADE, ONLY, FILLED = "bgs_part_level", "bgs_made", "bgs_only", "bgs_filled"
NOT_COPIED = (at.POSITION, at.WHOLE_POSITION, at.SELECTED, at.IN_OBJECTS, at.SHAPED_AT, at.SOURCE)
NO_LABEL: Key = (0, 0)  # marks a part whose label does not exist any more; there is no level 0


def make_tree(
    scene: SplatScene, whole: SplatObject, level: int, only: Collection[int] | None = None, gone: Collection[int] = ()
) -> list[SplatObject]:
    """Make one object per label of `level`, in collections named after the labels, and hide the whole cloud.

    An existing part keeps its transform, name, materials and collection if its label still exists. It keeps its points
    with all attributes if it has the Gaussians of its label already. The parts of other labels are removed.

    Args:
        scene: the scene that gets the collections, beside the whole cloud.
        whole: the whole cloud.
        level: the level of the labels, counted from 1.
        only: the labels that get parts, besides those that have one already; None means all.
        gone: labels that get no part, because the user deleted theirs.

    Returns:
        The parts.

    Raises:
        UsageError: the cloud has no labels, or a modifier that changes its Gaussians, or none of the chosen labels
            exists.
        InputError: the shapes of the whole cloud cannot follow an edit of its points.
    """
    layout = code_tables.bit_layout_of(whole)
    layout.bits_to(level)
    evaluated.refuse_modifiers([whole], "which its label objects would not have")
    shapes.make_true(whole)
    labels.promote_orphan(whole)
    groups = code_tables.table_of(whole).groups(level)
    old = {o.bgs.part_key & 0xFFFFFFFF: o for o in code_tables.parts_of(whole) if o.bgs.part_level == level}
    if only is not None:
        wanted = {*only, *old}  # existing parts stay
        groups = {label: rows for label, rows in groups.items() if label in wanted or label in gone}
    deleted = {label: groups.pop(label) for label in gone if label in groups}
    ranks = {(row.level, row.label): rank for rank, row in enumerate(whole.bgs.labels)}
    groups = dict(sorted(groups.items(), key=lambda item: _tree_position(layout, ranks, level, item[0])))
    if not groups:
        raise UsageError("None of these labels has Gaussians.", "Choose labels from the list.")
    before = trimmed.Originals(whole)
    stay = kept.unchanged(before, old, groups)
    cleaned = {label: trimmed.take(obj, before) for label, obj in old.items() if label not in stay}
    for part in code_tables.parts_of(whole):
        if part.bgs.part_level != level or part.bgs.part_key & 0xFFFFFFFF not in groups:
            remove_part(part)
    root = whole.bgs.part_collection
    if root is None or root not in scene.collection.children_recursive:
        root = bpy.data.collections.new(whole.name)
        _beside(whole, scene).children.link(root)
        whole.bgs.part_collection = root
    rows_by_key = {(row.level, row.label): row for row in whole.bgs.labels}
    world = evaluated.splat_world_of(whole)
    where, base = pivot.need_positions(whole), point_clouds.get_column(whole.data, at.BASE)
    collections = _LabelCollections(root, whole, {key: row.name for key, row in rows_by_key.items()})
    parts = {label: old[label] for label in groups if label in stay}
    for label, part in parts.items():
        _describe_part(part, whole, level, label)
        kept.tell(part, whole)
    fresh = {label: rows for label, rows in groups.items() if label not in stay}
    for label, rows in fresh.items():
        row = rows_by_key[(level, label)]
        cloud = point_clouds.new_cloud(row.name, len(rows))
        obj = old.get(label)
        for material in (whole if obj is None else obj).data.materials:
            cloud.materials.append(material)
        if obj is None:
            obj = cast(SplatObject, bpy.data.objects.new(row.name, cloud))
            obj.bgs.pivot = pivot.center_of_mass(where[rows], np.ones(len(rows)) if base is None else base[rows, 3])
            obj.matrix_world = Matrix((world @ pivot.shift_of(obj)).tolist())
            collections.of(level, label).objects.link(obj)
        else:
            applied = applied_to(obj, whole)
            if applied is not None:  # the new Gaussians are not transformed, so the object is again
                world_before = pivot.splat_world_of(obj) @ applied @ pivot.shift_of(obj)
                obj.matrix_world = Matrix(world_before.tolist())
                shapes.note_world(obj, world_before)
            point_clouds.replace_cloud(obj, cloud)
        _describe_part(obj, whole, level, label)
        parts[label] = obj
    _fill([parts[label] for label in fresh], whole, list(fresh.values()))
    originals = trimmed.Originals(whole)
    for label in fresh:
        shapes.start(parts[label], whole)
        trimmed.put_again(parts[label], originals, cleaned.get(label))
        geometry_nodes.attach(parts[label])
    if whole.get(LEVEL) != level and whole.get(FILLED) is not None:
        del whole[FILLED]  # its labels are of the other level
    whole[LEVEL], whole[MADE] = level, [signed(label) for label in (*groups, *deleted)]
    _remember_only(whole, groups if only is not None else None, deleted)
    whole.bgs.parts_stale = False
    whole.hide_render = whole.hide_viewport = True
    part_labels.tell(whole)
    _drop_empty(root)
    return [parts[label] for label in groups]


def _beside(whole: SplatObject, scene: SplatScene) -> bpy.types.Collection:
    """The collection of the scene in which the whole cloud is."""
    inside = set(scene.collection.children_recursive)
    return next((c for c in whole.users_collection if c in inside), scene.collection)


def update_tree(scene: SplatScene, whole: SplatObject, also: Collection[int] = ()) -> list[SplatObject]:
    """Update the label objects after labels changed. It uses the same level and labels, and also the labels `also`.

    A label object that the user deleted stays deleted, unless its label is in `also`.

    Raises:
        UsageError: none of the labels exists any more.
    """
    made: Any = whole.get(ONLY)
    only = None if made is None else {int(key) & 0xFFFFFFFF for key in made} | set(also)
    level = min(whole[LEVEL], whole.bgs.levels)
    return make_tree(scene, whole, level, only, deleted_labels(whole, level).difference(also))


def deleted_labels(whole: SplatObject, level: int) -> set[int]:
    """The labels of `level` whose label objects the user deleted."""
    made: Any = whole.get(MADE)
    if made is None or whole[LEVEL] != level:
        return set()
    there = {o.bgs.part_key & 0xFFFFFFFF for o in code_tables.parts_of(whole) if o.bgs.part_level == level}
    return {int(key) & 0xFFFFFFFF for key in made} - there


def _remember_only(
    whole: SplatObject, groups: dict[int, np.ndarray] | None, deleted: dict[int, np.ndarray] | None = None
) -> None:
    """Save which labels have parts, and which Gaussians these parts hold or held. `groups` is None for all labels."""
    held = whole.data.attributes.get(at.IN_OBJECTS)
    if groups is None:
        if whole.get(ONLY) is not None:
            del whole[ONLY]
        if held is not None:
            whole.data.attributes.remove(held)
        return
    whole[ONLY] = [signed(label) for label in groups]
    inside = np.zeros(len(whole.data.points), bool)
    inside[np.concatenate([*groups.values(), *(deleted or {}).values()])] = True
    point_clouds.set_column(whole.data, at.Column(at.IN_OBJECTS, "BOOLEAN", inside))


def rename_keys(whole: SplatObject, partners: dict[Key, Key]) -> None:
    """Give parts and collections the new numbers of their labels. `partners` maps old to new (level, label).

    A part or collection whose label has no match gets `NO_LABEL`. `make_tree` removes it later.
    """
    for part in code_tables.parts_of(whole):
        level, label = partners.get((part.bgs.part_level, part.bgs.part_key & 0xFFFFFFFF), NO_LABEL)
        with without_updates():
            part.bgs.part_level, part.bgs.part_key = level, signed(label)
    if whole.bgs.part_collection is not None:
        for collection in whole.bgs.part_collection.children_recursive:
            if collection.get("bgs_label"):
                at_level, key = collection["bgs_label"]
                level, label = partners.get((at_level, key & 0xFFFFFFFF), NO_LABEL)
                collection["bgs_label"] = [level, signed(label)]
    for name in (MADE, ONLY, FILLED):
        made: Any = whole.get(name)
        if made is not None:
            found = (partners.get((whole[LEVEL], int(key) & 0xFFFFFFFF), NO_LABEL) for key in made)
            whole[name] = [signed(label) for level, label in found if level]


def _tree_position(layout: BitLayout, ranks: dict[Key, int], level: int, label: int) -> tuple[int, ...]:
    """The sort key of a label in the tree. As in the list, larger labels come first at every level."""
    chain = []
    for at_level in range(level, 0, -1):
        chain.append(ranks.get((at_level, label), 0))
        label = int(layout.parent(label, at_level))
    return tuple(reversed(chain))


class _LabelCollections:
    """The collections of the labels, nested by parents under `root`. Each is made when it is first needed."""

    def __init__(self, root: bpy.types.Collection, whole: SplatObject, names: dict[tuple[int, int], str]) -> None:
        self.root, self.names, self.layout = root, names, code_tables.bit_layout_of(whole)
        self.made: dict[tuple[int, int], bpy.types.Collection] = {}
        for collection in root.children_recursive:
            if collection.get("bgs_label"):
                at_level, key = collection["bgs_label"]
                self.made[(at_level, key & 0xFFFFFFFF)] = collection

    def of(self, level: int, label: int) -> bpy.types.Collection:
        collection = self.made.get((level, label))
        if collection is None:
            collection = bpy.data.collections.new(self.names.get((level, label), f"L{level}_{label}"))
            collection["bgs_label"] = [level, signed(label)]
            parent = self.root if level == 1 else self.of(level - 1, int(self.layout.parent(label, level)))
            parent.children.link(collection)
            self.made[(level, label)] = collection
        return collection


def _describe_part(obj: SplatObject, whole: SplatObject, level: int, label: int) -> None:
    with without_updates():
        for name in SPLAT_COPIED:
            setattr(obj.bgs, name, getattr(whole.bgs, name))
        obj.bgs.import_matrix = whole.bgs.import_matrix[:]
        obj.bgs.whole = whole
        obj.bgs.level = obj.bgs.part_level = level
        obj.bgs.part_key = signed(label)


def _fill(parts: list[SplatObject], whole: SplatObject, groups: list[np.ndarray]) -> None:
    """Copy every attribute of the whole cloud to the parts. It gathers once for all parts and then takes slices.

    Positions are relative to the parts' pivots.
    """
    order = np.concatenate([np.zeros(0, int), *groups])
    ends = np.cumsum([len(rows) for rows in groups])
    where = pivot.need_positions(whole)[order]
    for part, end, rows in zip(parts, ends, groups, strict=True):
        pivot.place(part, where[end - len(rows) : end])
    for column in point_clouds.columns(whole.data):
        if column.name in NOT_COPIED:
            continue
        values = column.values[order]
        for part, end, rows in zip(parts, ends, groups, strict=True):
            point_clouds.set_column(part.data, at.Column(column.name, column.data_type, values[end - len(rows) : end]))


def remove_part(obj: SplatObject) -> None:
    """Delete one part, and its cloud if no other object uses it. Its children go to the whole cloud."""
    data = obj.data
    keep_children(obj, obj.bgs.whole)
    bpy.data.objects.remove(obj)
    if data.users == 0:
        bpy.data.pointclouds.remove(data)


def remove_tree(whole: SplatObject) -> int:
    """Delete all parts and their collections and show the whole cloud again. Returns the number of parts."""
    parts = code_tables.parts_of(whole)
    for part in parts:
        remove_part(part)
    root = whole.bgs.part_collection
    if root is not None:
        _drop_empty(root)
        if not root.objects and not root.children:
            bpy.data.collections.remove(root)
        whole.bgs.part_collection = None
    _remember_only(whole, None)
    for name in (MADE, FILLED, taken_away.RECORD):
        if whole.get(name) is not None:
            del whole[name]
    whole.bgs.parts_stale = False
    whole.hide_render = whole.hide_viewport = False
    appearance.refresh(whole)
    return len(parts)


def _drop_empty(collection: bpy.types.Collection) -> None:
    """Remove empty label collections. A collection with objects of the user stays."""
    for child in list(collection.children):
        _drop_empty(child)
        if child.get("bgs_label") and not child.objects and not child.children:
            bpy.data.collections.remove(child)

"""A label, its object and its collection have one name; names and colours come back with an import."""

import bpy
import pytest

from bgs_engine.core.codes import unsigned
from blender_bgs.cloud import code_tables, labels
from tests.helpers import made_splat


def rows_of(obj, level: int) -> list:
    return [row for row in obj.bgs.labels if row.level == level]


def object_of(obj, label: int):
    return next(part for part in code_tables.parts_of(obj) if unsigned(part.bgs.part_key) == label)


def collection_of(obj, level: int, label: int):
    wanted = [level, label - (1 << 32) if label >= 1 << 31 else label]
    return next(c for c in obj.bgs.part_collection.children_recursive if list(c.get("bgs_label", ())) == wanted)


def test_a_renamed_label_renames_its_object_and_collection(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    label = rows_of(obj, 1)[2].label
    rows_of(obj, 1)[2].name = "Chair"
    assert object_of(obj, label).name == object_of(obj, label).data.name == "Chair"
    assert collection_of(obj, 1, label).name == "Chair"
    assert sum(part.name == "Chair" for part in code_tables.parts_of(obj)) == 1


@pytest.mark.parametrize("what", ["object", "collection"])
def test_a_renamed_object_or_collection_renames_its_label(coded, what: str) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    label = rows_of(obj, 1)[1].label
    (object_of(obj, label) if what == "object" else collection_of(obj, 1, label)).name = "Lamp"
    object_of(obj, label).update_tag()
    bpy.context.view_layer.update()
    assert labels.find(obj, 1, label).name == "Lamp"
    assert object_of(obj, label).name == collection_of(obj, 1, label).name == "Lamp"


def test_collections_of_parents_are_renamed_too(coded) -> None:
    obj, _, _ = coded
    obj.bgs.level = 2
    bpy.ops.bgs.make_collections()
    parent = rows_of(obj, 1)[0]
    parent.name = "Plant"
    assert collection_of(obj, 1, parent.label).name == "Plant"


def test_duplicates_and_empty_names(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    one, two, three = rows_of(obj, 1)[:3]
    one.name = "Chair"
    two.name = "Chair"
    three.name = "  "
    assert [row.name for row in rows_of(obj, 1)[:3]] == ["Chair", "Chair.001", "L1_3"]
    assert object_of(obj, two.label).name == "Chair.001"
    rows_of(obj, 2)[0].name = "Chair"  # at another level it is another name
    assert rows_of(obj, 2)[0].name == "Chair"


def test_a_number_that_blender_adds_is_no_new_name(coded) -> None:
    obj, _, _ = coded
    bpy.data.objects.new("Chair", None)
    bpy.ops.bgs.make_collections()
    label = rows_of(obj, 1)[0].label
    rows_of(obj, 1)[0].name = "Chair"
    bpy.context.view_layer.update()
    assert object_of(obj, label).name == "Chair.001" and rows_of(obj, 1)[0].name == "Chair"


def test_imports_go_to_the_active_collection(tmp_path) -> None:
    mine = bpy.data.collections.new("Mine")
    bpy.context.scene.collection.children.link(mine)
    layer = bpy.context.view_layer
    layer.active_layer_collection = layer.layer_collection.children["Mine"]
    rows, codes = made_splat.made_splat(per_object=20, rest=0)
    path = made_splat.write(tmp_path / "a.ply", made_splat.with_codes(rows, codes))
    bpy.ops.bgs.import_splat(filepath=str(path))
    obj = layer.objects.active
    assert list(obj.users_collection) == [mine]
    bpy.ops.bgs.make_collections()
    assert obj.bgs.part_collection.name in mine.children
    layer.layer_collection.children["Mine"].exclude = True
    bpy.ops.bgs.import_splat(filepath=str(path))
    assert list(layer.objects.active.users_collection) == [bpy.context.scene.collection]

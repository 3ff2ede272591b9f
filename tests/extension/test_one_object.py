"""A label object leaves its file alone, by Append, Paste, as an asset or by Make Local, and is complete there."""

import shutil
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, identity, labels, point_clouds
from blender_bgs.engine import segmenting
from blender_bgs.logic import attributes as at
from blender_bgs.viewport import look

# What a label object brings: itself, its points, and the shared material and node group, which make it visible.
OWN = {
    "objects": ["My Chair"],
    "pointclouds": ["My Chair"],
    "materials": ["Gaussian Splat"],
    "node_groups": ["Gaussian Splat"],
    "collections": [],
}


def datablocks() -> dict[str, list[str]]:
    return {kind: sorted(one.name for one in getattr(bpy.data, kind)) for kind in OWN}


def empty_file() -> None:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=False)
    bpy.data.batch_remove([*bpy.data.objects, *bpy.data.collections, *bpy.data.materials, *bpy.data.node_groups])
    assert datablocks() == {kind: [] for kind in OWN}


@pytest.fixture
def library(coded, tmp_path):
    """A saved file with label objects of level 1, one named My Chair; (file, its positions, its rows, codes)."""
    whole, _, codes = coded
    bpy.ops.bgs.make_collections(only="ALL")
    part = code_tables.parts_of(whole)[1]
    labels.find(whole, 1, part.bgs.part_key & 0xFFFFFFFF).name = "Armchair"
    part.name = part.data.name = "My Chair"
    whole.bgs.color_mode = "COLOR"
    path = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    rows = point_clouds.need_column(part.data, at.ROW)
    yield path, rows, codes
    empty_file()


def appended(path: Path, name: str = "My Chair"):
    bpy.ops.wm.append(filepath=str(path / "Object" / name), directory=str(path / "Object"), filename=name)
    bpy.context.view_layer.update()
    return bpy.data.objects[name]


def test_append_brings_the_object_and_its_own_data(library) -> None:
    path, rows, _ = library
    empty_file()
    part = appended(path)
    assert datablocks() == OWN
    assert len(part.data.points) == len(rows) and part.visible_get()


def test_a_library_loads_one_object(library) -> None:
    path, _, _ = library
    empty_file()
    with bpy.data.libraries.load(str(path), link=False) as (_, into):
        into.objects = ["My Chair"]
    assert datablocks() == OWN


def test_an_asset_is_one_object(library) -> None:
    path, _, _ = library
    bpy.data.objects["My Chair"].asset_mark()
    bpy.ops.wm.save_mainfile()
    empty_file()
    with bpy.data.libraries.load(str(path), link=False, assets_only=True) as (there, into):
        assert there.objects == ["My Chair"]
        into.objects = there.objects
    assert datablocks() == OWN


def test_make_local_brings_one_object(library) -> None:
    path, _, _ = library
    empty_file()
    with bpy.data.libraries.load(str(path), link=True) as (_, into):
        into.objects = ["My Chair"]
    linked = into.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    assert datablocks() == OWN
    linked.make_local()
    linked.data.make_local()
    assert datablocks() == OWN
    assert bpy.data.objects["My Chair"].library is None


def test_copy_and_paste_brings_one_object(library) -> None:
    _, rows, _ = library
    part = bpy.data.objects["My Chair"]
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == part)
    bpy.context.view_layer.objects.active = part
    copy: Any = bpy.ops.view3d.copybuffer
    if not copy.poll():
        pytest.skip("copying needs a window in this Blender; the window's tests do it")
    bpy.ops.view3d.copybuffer()
    empty_file()
    bpy.ops.view3d.pastebuffer()
    assert datablocks() == OWN
    assert len(bpy.data.objects["My Chair"].data.points) == len(rows)


def test_alone_it_draws_exports_and_says_what_it_cannot(library, tmp_path) -> None:
    path, rows, _ = library
    source = read_ply(Path(bpy.data.objects["My Chair"].bgs.source_path)).take(rows)
    empty_file()
    part = appended(path)
    bpy.context.view_layer.objects.active = part
    part.select_set(True)
    assert part.bgs.is_alone and part.bgs.whole is None
    assert look.mode_of(part) == look.MODES["COLOR"]  # as the whole splat was shown
    assert part.modifiers[0].node_group.name == "Gaussian Splat"
    assert [row.name for row in part.bgs.labels if row.level == 1] == ["My Chair"]  # as its object was called
    for what in ("SELECTED", "WHOLE"):
        bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what=what)
        out = read_ply(tmp_path / "out.ply")
        made = out.take(np.arange(out.count))
        assert all(made[name].tobytes() == source[name].tobytes() for name in source.dtype.names)
    for name in ("merge_back", "update_collections", "remove_collections", "save_run"):
        operator = getattr(bpy.types, f"BGS_OT_{name}")
        reason = operator.disabled_reason(bpy.context)
        assert reason.startswith("My Chair is a label object without its splat"), reason
        button: Any = getattr(bpy.ops.bgs, name)
        assert not button.poll()
    assert segmenting.default_run_folder(part).name == "My_Chair_bgs"
    assert segmenting.default_run_folder(part).parent != path.parent  # not the folder of the whole splat's run
    assert "whole splat" in segmenting.input_for_engine(part, tmp_path / "run").reason
    assert code_tables.table_of(part).counts.sum() == len(rows)


def test_alone_it_can_be_taken_apart(library) -> None:
    path, rows, codes = library
    empty_file()
    part = appended(path)
    bpy.context.view_layer.objects.active = part
    part.bgs.level = 2
    assert not part.bgs.is_alone and not part.bgs.run_folder and not part.bgs.source_path
    assert bpy.ops.bgs.make_collections(only="ALL") == {"FINISHED"}
    assert len(code_tables.parts_of(part)) == len({code >> 10 for code in codes[rows].tolist()})
    bpy.ops.bgs.merge_back()
    assert len(part.data.points) == len(rows)


def test_it_finds_its_splat_again(library) -> None:
    path, _, _ = library
    empty_file()
    part = appended(path)
    whole = appended(path, "coded")
    assert part.bgs.whole == whole and code_tables.parts_of(whole) == [part]


def test_the_whole_cloud_comes_alone_and_is_shown(library) -> None:
    path, _, codes = library
    empty_file()
    whole = appended(path, "coded")
    assert sorted(bpy.data.objects.keys()) == ["coded"] and not bpy.data.collections
    assert len(whole.data.points) == len(codes)
    if bpy.app.version >= (4, 3):  # Blender 4.2 does not tell of appended objects
        assert not whole.hide_viewport and not whole.hide_render


def test_a_copy_of_the_splat_has_no_label_objects(coded) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    copy = whole.copy()
    copy.data = whole.data.copy()
    bpy.context.scene.collection.objects.link(copy)
    identity.tidy(again=True)
    assert len(code_tables.parts_of(whole)) == 4 and not code_tables.parts_of(copy)
    assert copy.bgs.part_collection is None and whole.bgs.part_collection is not None
    assert copy.bgs.splat_id != whole.bgs.splat_id


def test_a_copied_scene_has_its_own_label_objects(coded) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    scene = bpy.context.scene
    bpy.ops.scene.new(type="FULL_COPY")
    identity.tidy(again=True)
    copy = next(o for o in bpy.context.scene.objects if point_clouds.is_splat(o) and not o.bgs.whole)
    mine = code_tables.parts_of(copy)
    assert len(mine) == 4 and all(bpy.context.scene in part.users_scene for part in mine)
    assert {part.name for part in code_tables.parts_of(whole)} == {
        obj.name for obj in scene.objects if obj.bgs.part_level
    }
    assert copy.bgs.part_collection in bpy.context.scene.collection.children_recursive
    bpy.ops.scene.delete()


def old_group(obj):
    """The saved properties, as versions with pointers wrote them."""
    if hasattr(obj, "bl_system_properties_get"):
        return obj.bl_system_properties_get()["bgs"]
    return obj["bgs"]


def test_a_file_with_pointers_opens(coded, tmp_path) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    old_group(whole)["part_collection"] = whole.bgs.part_collection
    names = sorted(part.name for part in code_tables.parts_of(whole))
    del whole.bgs.part_collection[identity.COLLECTION_MARK]
    for name in names:
        part = bpy.data.objects[name]
        part.bgs.whole_id = ""
        old_group(part)["whole"] = whole
    whole.bgs.splat_id = ""
    assert bpy.data.objects[names[0]].bgs.whole == whole  # read before anything is changed
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "old.blend"))
    shutil.copy(tmp_path / "old.blend", tmp_path / "kept.blend")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "old.blend"))
    whole = bpy.data.objects["coded"]
    assert sorted(part.name for part in code_tables.parts_of(whole)) == names
    assert whole.bgs.part_collection is not None and whole.bgs.splat_id
    bpy.ops.wm.save_mainfile()
    empty_file()
    appended(tmp_path / "old.blend", names[0])
    assert datablocks() == OWN | {"objects": [names[0]], "pointclouds": [names[0]]}
    empty_file()
    appended(tmp_path / "kept.blend", names[0])  # the old file itself still brings all, and nothing is lost
    assert len(code_tables.parts_of(bpy.data.objects["coded"])) == 4
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "old.blend"))
    bpy.context.view_layer.objects.active = bpy.data.objects["coded"]
    bpy.ops.bgs.merge_back()
    assert len(bpy.data.objects["coded"].data.points) == 6000
    empty_file()

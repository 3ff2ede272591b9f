"""Animations as sequences of files: each file has its frame, and nothing is half-written."""

import os
from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix

from bgs_engine.core.codes import CODE_BYTE_NAMES
from bgs_engine.core.errors import UsageError
from bgs_engine.formats.read import open_splat
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, point_clouds
from blender_bgs.files import sequence
from blender_bgs.headless.command_line import main
from blender_bgs.logic import attributes as at
from blender_bgs.logic.frame_numbers import file_of_frame, parse_frames
from tests.extension import node_groups as nodes
from tests.extension.edited_splat import Splat, activate, assert_is, drive, make, scene_of_frames


@pytest.fixture(autouse=True)
def three_frames():
    with scene_of_frames(3):
        yield


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def export(path, **options) -> None:
    bpy.ops.bgs.export_splat(filepath=str(path), frames="RANGE", **options)


def test_each_file_has_its_frame(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    world = np.array(obj.matrix_world, np.float64)
    obj.rotation_mode = "XYZ"
    euler = obj.rotation_euler.copy()
    drive(obj, "location", 0, "frame * 2")
    drive(obj, "rotation_euler", 2, f"{euler.z} + frame * 0.3")
    drive(obj, "scale", 0, "1 + frame * 0.5")
    out = tmp_path / "out"
    out.mkdir()
    export(out / "walk.ply", what="WHOLE")
    assert names_in(out) == ["walk.0001.ply", "walk.0002.ply", "walk.0003.ply"]
    source, codes = Splat.of(tmp_path / "a.ply"), read_ply(tmp_path / "a.ply").columns(CODE_BYTE_NAMES)
    for n in (1, 2, 3):
        turned = Euler((euler.x, euler.y, euler.z + 0.3 * n))
        now = np.array(Matrix.LocRotScale((2 * n, 0, 0), turned, (1 + 0.5 * n, 1, 1)), np.float64)
        assert_is(Splat.of(out / f"walk.{n:04d}.ply"), source, np.linalg.inv(world) @ now)
        assert np.array_equal(read_ply(out / f"walk.{n:04d}.ply").columns(CODE_BYTE_NAMES), codes)
    assert bpy.context.scene.frame_current == 2


def test_label_objects_and_modifiers_are_animated_too(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 30)
    bpy.ops.bgs.make_collections()
    part, other = code_tables.parts_of(obj)[:2]
    drive(part, "location", 0, f"{part.location.x} + frame")
    modifier = nodes.modify(other, nodes.transform(Translation=(0, 0, 0)))
    node = next(n for n in modifier.node_group.nodes if n.bl_idname == "GeometryNodeTransform")
    node.inputs["Translation"].driver_add("default_value", 2).driver.expression = "frame * 10"
    activate(obj)
    export(tmp_path / "walk.ply", what="WHOLE")
    source = Splat.of(tmp_path / "a.ply")
    mine, its = (point_clouds.need_column(one.data, at.ROW) for one in (part, other))
    rest = np.setdiff1d(np.arange(120), np.concatenate([mine, its]))
    for n in (1, 2, 3):
        found = Splat.of(tmp_path / f"walk.{n:04d}.ply")
        assert np.abs(found.means[mine] - source.means[mine] - (n, 0, 0)).max() < 1e-5
        assert np.abs(found.means[its] - source.means[its] - (0, 0, 10 * n)).max() < 1e-5
        assert np.array_equal(found.means[rest], source.means[rest])


def test_selected_objects_with_instances(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 10)
    kit = bpy.data.collections.new("Kit")
    kit.objects.link(obj)
    empty = bpy.data.objects.new("Copy", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", kit
    bpy.context.scene.collection.objects.link(empty)
    drive(empty, "location", 0, "frame * 5")
    bpy.context.view_layer.update()
    activate(obj, empty)
    export(tmp_path / "walk.ply", what="SELECTED")
    source = Splat.of(tmp_path / "a.ply")
    for n in (1, 2, 3):
        found = Splat.of(tmp_path / f"walk.{n:04d}.ply")
        assert np.abs(found.means[40:] - source.means - (5 * n, 0, 0)).max() < 1e-5


def test_a_frame_that_fails_leaves_nothing_and_is_named(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 10)
    out = tmp_path / "out"
    out.mkdir()
    (out / "walk.0001.ply").write_text("earlier")
    drive(obj, "scale", 0, "3 - frame")
    with pytest.raises(RuntimeError, match="Frame 3: a is scaled to nothing"):
        export(out / "walk.ply", what="WHOLE", replace=True)
    assert names_in(out) == ["walk.0001.ply"] and (out / "walk.0001.ply").read_text() == "earlier"
    assert bpy.context.scene.frame_current == 2


def test_a_cancelled_sequence_leaves_nothing(tmp_path) -> None:
    scene = bpy.context.scene
    steps = sequence.write_sequence(scene, (1, 2, 3), tmp_path / "walk.ply", lambda path: path.write_text("frame"))
    assert [next(steps), next(steps)] == [1, 2]
    assert names_in(tmp_path) == [".walk-frames.partial"] and scene.frame_current == 2
    steps.close()
    assert names_in(tmp_path) == [] and scene.frame_current == 2


def test_files_that_are_there_are_kept_unless_the_user_says_so(tmp_path) -> None:
    make(tmp_path / "a.ply", 10)
    (tmp_path / "walk.0003.ply").write_text("earlier")
    with pytest.raises(RuntimeError, match=r"walk.0003.ply is there already.*Replace Files"):
        export(tmp_path / "walk.ply", what="WHOLE")
    assert (tmp_path / "walk.0003.ply").read_text() == "earlier" and not (tmp_path / "walk.0001.ply").exists()
    export(tmp_path / "walk.ply", what="WHOLE", replace=True)
    assert (tmp_path / "walk.0003.ply").read_bytes() == (tmp_path / "a.ply").read_bytes()


def test_the_source_file_is_never_replaced(tmp_path) -> None:
    make(tmp_path / "walk.0002.ply", 10)
    before = (tmp_path / "walk.0002.ply").read_bytes()
    with pytest.raises(RuntimeError, match="file that this command reads"):
        export(tmp_path / "walk.ply", what="WHOLE", replace=True)
    assert (tmp_path / "walk.0002.ply").read_bytes() == before and names_in(tmp_path) == ["walk.0002.ply"]


def test_what_has_no_animation_is_refused(tmp_path) -> None:
    make(tmp_path / "a.ply", 10)
    with pytest.raises(RuntimeError, match="as imported has no animation"):
        export(tmp_path / "walk.ply", what="SOURCE")
    bpy.context.scene.frame_end = bpy.context.scene.frame_start = 5
    export(tmp_path / "one.ply", what="WHOLE")
    assert (tmp_path / "one.0005.ply").is_file()


def test_a_sequence_of_another_format(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 10)
    drive(obj, "location", 0, "frame")
    export(tmp_path / "walk.glb", what="WHOLE")
    source = Splat.of(tmp_path / "a.ply")
    for n in (1, 2, 3):
        found = open_splat(tmp_path / f"walk.{n:04d}.glb").ply.columns(("x", "y", "z"))
        order = [
            np.abs(found - mean).max(1).argmin() for mean in source.means + np.array((n, 0, 0))
        ]  # a GLB has its own order
        assert sorted(order) == list(range(40)) and np.abs(found[order] - source.means - (n, 0, 0)).max() < 1e-5


def test_numbers_and_names() -> None:
    assert parse_frames("7") == (7,) and parse_frames("2-4") == (2, 3, 4)
    for text in ("", "4-2", "a", "1-", "1-9999999"):
        with pytest.raises(UsageError, match="is not a range of frames"):
            parse_frames(text)
    assert file_of_frame(Path("a/walk.b.ply"), 12).name == "walk.b.0012.ply"
    assert file_of_frame(Path("walk.compressed.ply"), 3).name == "walk.0003.compressed.ply"


def test_the_command_writes_a_sequence(tmp_path, capsys) -> None:
    obj = make(tmp_path / "a.ply", 10)
    drive(obj, "location", 0, "frame")
    blend = tmp_path / "a.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    assert main(["export", str(blend), "-o", str(tmp_path / "walk.ply"), "--frames", "5-6"]) == 0
    assert "2 files" in capsys.readouterr().out
    source = Splat.of(tmp_path / "a.ply")
    for n in (5, 6):
        found = Splat.of(tmp_path / f"walk.{n:04d}.ply")
        assert np.abs(found.means - source.means - (n, 0, 0)).max() < 1e-5
    assert main(["export", str(blend), "-o", str(tmp_path / "each"), "--frames", "range"]) == 0
    assert names_in(tmp_path / "each") == ["a.0001.ply", "a.0002.ply", "a.0003.ply"]
    for more in (["--level", "1"], ["--as-imported"]):
        assert main(["export", str(blend), "-o", str(tmp_path / "x"), "--frames", "1-2", *more]) == 2
        assert f"--frames and {more[0]}" in capsys.readouterr().err
    assert main(["export", str(blend), "-o", str(tmp_path / "x.ply"), "--frames", "zwei"]) == 2
    assert not os.path.lexists(tmp_path / "x") and not os.path.lexists(tmp_path / "x.ply")

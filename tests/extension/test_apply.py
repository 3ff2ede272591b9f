"""Apply, Set Origin, parents and deltas: shapes and colours follow."""

import bpy
import numpy as np
import pytest

from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, point_clouds, shapes
from blender_bgs.logic import attributes as at
from tests.extension.edited_splat import (
    APPLY,
    TRANSFORMS,
    Splat,
    activate,
    assert_is,
    change_of,
    exported,
    import_,
    make,
)
from tests.helpers import made_splat


@pytest.mark.parametrize("how", APPLY)
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_apply_then_export_is_the_transformed_splat(tmp_path, kind: str, how: str) -> None:
    obj = make(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    obj.location, obj.rotation_euler, obj.scale = TRANSFORMS[kind]
    matrix = change_of(obj, before)
    APPLY[how]()
    bpy.context.view_layer.update()
    assert np.allclose(obj.matrix_world, np.eye(4))
    assert shapes.are_true(obj.data) and not shapes.problems
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), matrix)


@pytest.mark.parametrize("options", [(True, False, False), (False, True, False), (False, False, True)])
def test_parts_of_the_transform_can_be_applied(tmp_path, options) -> None:
    obj = make(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    obj.location, obj.rotation_euler, obj.scale = TRANSFORMS["all"]
    matrix = change_of(obj, before)
    world = np.array(obj.matrix_world)
    positions = point_clouds.need_column(obj.data, at.POSITION) @ world[:3, :3].T + world[:3, 3]
    bpy.ops.bgs.apply_transform(location=options[0], rotation=options[1], scale=options[2])
    bpy.context.view_layer.update()
    after = np.array(obj.matrix_world)
    assert not np.allclose(after, world)
    there = point_clouds.need_column(obj.data, at.POSITION) @ after[:3, :3].T + after[:3, 3]
    assert np.allclose(there, positions, atol=1e-4)
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), matrix)


@pytest.mark.parametrize("per", [60, 1])  # four Gaussians, one for each label: too few to tell by themselves
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_applied_label_objects_merge_back_as_transformed(tmp_path, kind: str, per: int) -> None:
    obj = make(tmp_path / "a.ply", per)
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    part = code_tables.parts_of(obj)[1]
    rows = point_clouds.need_column(part.data, at.ROW)
    before = np.array(part.matrix_world, np.float64)
    part.location, part.rotation_euler, part.scale = TRANSFORMS[kind]
    matrix = change_of(part, before)
    activate(part)
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    bpy.ops.bgs.merge_back()
    assert len(obj.data.points) == 4 * per
    source, found = Splat.of(tmp_path / "a.ply"), exported(obj, tmp_path / "b.ply")
    assert_is(found, source, matrix, rows)
    others = np.setdiff1d(np.arange(4 * per), rows)
    assert np.array_equal(found.means[others], source.means[others])


@pytest.mark.parametrize("edited", [False, True])
def test_update_collections_leaves_an_applied_label_object_in_its_place(tmp_path, edited) -> None:
    """An object with its own Gaussians stays as it is; one that is made again has its transform in its matrix again."""
    obj = make(tmp_path / "a.ply")
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    part = code_tables.parts_of(obj)[0]
    part.location, part.rotation_euler = (5, 6, 7), (0.2, 0.3, 0.4)
    bpy.context.view_layer.update()
    before = np.array(part.matrix_world)
    there = exported(part, tmp_path / "before.ply")
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    from blender_bgs.parts.edited import edited_parts, lost_parts

    assert edited_parts(obj) == [] and lost_parts(obj) == []
    if edited:
        position = point_clouds.need_column(part.data, at.POSITION)
        position[0] += 1
        point_clouds.set_column(part.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))
        bpy.ops.bgs.keep_shapes()
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    assert np.allclose(part.matrix_world, before if edited else np.eye(4), atol=1e-5)
    found = exported(part, tmp_path / "after.ply")
    assert np.allclose(found.means, there.means, atol=1e-5) and np.allclose(found.covs, there.covs, atol=1e-7)


def test_set_origin_changes_no_shape(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    raw = point_clouds.need_column(obj.data, at.RAW_ROTATION)
    activate(obj)
    bpy.ops.object.origin_set(type="ORIGIN_GEOMETRY")
    bpy.context.view_layer.update()
    assert np.array_equal(point_clouds.need_column(obj.data, at.RAW_ROTATION), raw)
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), np.eye(4))


def test_apply_right_after_the_import_exports_the_source(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    activate(obj)
    APPLY["Blender's"]()
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), np.eye(4))
    obj.bgs.up_axis = "Y"  # y pointed down, now up: the splat turns upside down in the world and not in the file
    bpy.context.view_layer.update()
    assert_is(exported(obj, tmp_path / "c.ply"), Splat.of(tmp_path / "a.ply"), np.eye(4))
    assert np.allclose(shapes.positions_in_file(obj), Splat.of(tmp_path / "a.ply").means, atol=1e-5)


def test_apply_on_a_point_that_does_not_move(tmp_path) -> None:
    rows, codes = made_splat.made_splat(per_object=1, rest=9)
    rows = rows[:1]
    rows["x"] = rows["y"] = rows["z"] = 0
    made_splat.write(tmp_path / "a.ply", made_splat.with_codes(rows, codes[:1]))
    obj = import_(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    obj.rotation_euler, obj.scale = (0.4, 0.5, 0.6), (1, 2, 3)
    matrix = change_of(obj, before)
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), matrix)


def test_undo_and_redo_of_apply(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    name, before = obj.name, np.array(obj.matrix_world, np.float64)
    obj.rotation_euler, obj.scale = (0.4, 0.5, 0.6), (1, 2, 3)
    matrix = change_of(obj, before)
    activate(obj)
    bpy.ops.ed.undo_push(message="turned")
    source = Splat.of(tmp_path / "a.ply")
    APPLY["Blender's"]()
    bpy.ops.ed.undo_push(message="applied")  # before the shapes follow, as in Blender's window
    bpy.context.view_layer.update()
    assert_is(exported(bpy.data.objects[name], tmp_path / "b.ply"), source, matrix)
    for turn in range(2):
        bpy.ops.ed.undo()
        obj = bpy.data.objects[name]
        assert shapes.are_true(obj.data)
        assert np.allclose(obj.scale, (1, 2, 3)), turn
        raw = point_clouds.need_column(obj.data, at.RAW_ROTATION)
        quats = read_ply(tmp_path / "a.ply").columns([f"rot_{k}" for k in range(4)])
        assert np.array_equal(raw, quats)
        assert_is(exported(obj, tmp_path / "c.ply"), source, matrix)
        bpy.ops.ed.redo()
        obj = bpy.data.objects[name]
        assert np.allclose(obj.scale, (1, 1, 1))
        assert_is(exported(obj, tmp_path / "d.ply"), source, matrix)


def test_our_apply_is_one_undo_step(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    name = obj.name
    obj.scale = (1, 2, 3)
    activate(obj)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.bgs.apply_transform()
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert np.allclose(obj.scale, (1, 2, 3)) and shapes.are_true(obj.data)


def test_apply_after_the_file_was_opened_again(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 1)
    before = np.array(obj.matrix_world, np.float64)
    obj.rotation_euler = (0.4, 0.5, 0.6)
    matrix = change_of(obj, before)
    name = obj.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    obj = bpy.data.objects[name]
    activate(obj)
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), matrix)


@pytest.mark.parametrize("scale", [(0, 1, 1), (0, 0, 0), (1e-8, 1, 1)])
def test_a_splat_that_is_scaled_to_nothing_is_refused(tmp_path, scale) -> None:
    obj = make(tmp_path / "a.ply", 5)
    obj.scale = scale
    bpy.context.view_layer.update()
    for work in (
        lambda: bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE"),
        lambda: bpy.ops.bgs.apply_transform(),
    ):
        with pytest.raises(RuntimeError, match=f"{obj.name} is scaled to nothing"):
            work()
    if scale == (0, 0, 0):
        return  # Blender's own Apply refuses nothing, and no point is left to see what it did
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match="cannot follow"):
        bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE")


def test_parents_and_delta_transforms(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    empty = bpy.data.objects.new("Empty", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.scale, empty.rotation_euler = (1, 3, 1), (0, 0, 0.7)
    obj.parent = empty
    obj.delta_location, obj.delta_rotation_euler, obj.delta_scale = (0, 1, 0), (0.3, 0, 0), (1, 1, 2)
    obj.rotation_euler = (0.3, 0.9, 0.1)
    matrix = change_of(obj, before)
    source = Splat.of(tmp_path / "a.ply")
    assert_is(exported(obj, tmp_path / "b.ply"), source, matrix)
    APPLY["Blender's"]()
    found = exported(obj, tmp_path / "c.ply")
    want = source.means @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.allclose(found.means, want, atol=1e-5)
    covs = matrix[:3, :3] @ source.covs @ matrix[:3, :3].T
    assert np.abs(found.covs - covs).max() < 1e-4 * np.abs(covs).max()


def test_shared_points_are_refused_by_name(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 5)
    twin = obj.copy()
    bpy.context.scene.collection.objects.link(twin)
    activate(obj)
    with pytest.raises(RuntimeError, match="shares its points"):
        bpy.ops.bgs.apply_transform()

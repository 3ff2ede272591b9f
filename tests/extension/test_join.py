"""Join of splats and label objects, and exports of several splats."""

import bpy
import numpy as np
import pytest

from blender_bgs.cloud import code_tables, point_clouds, shapes
from blender_bgs.logic import attributes as at
from tests.extension.edited_splat import (
    TRANSFORMS,
    Splat,
    activate,
    assert_is,
    change_of,
    edit_mode,
    exported,
    join,
    make,
    select_points,
)


@edit_mode
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_joined_splats_keep_shapes_rows_and_labels_apart(tmp_path, kind: str) -> None:
    one, two = make(tmp_path / "a.ply", 30), make(tmp_path / "b.ply", 50, seed=3)
    before = np.array(two.matrix_world, np.float64)
    two.location, two.rotation_euler, two.scale = TRANSFORMS[kind]
    matrix = change_of(two, before)
    names = {row.name for row in one.bgs.labels}
    join(one, two)
    assert not shapes.problems and len(one.data.points) == 320
    rows = point_clouds.need_column(one.data, at.ROW)
    assert np.array_equal(rows, np.arange(320))
    labels = point_clouds.need_column(one.data, at.CODE).view(np.uint32) >> 20
    assert not set(labels[:120]) & set(labels[120:]) and len(set(labels)) == 8
    assert [sum(r.count for r in one.bgs.labels if r.level == level) for level in (1, 2, 3)] == [320] * 3
    assert sum(row.level == 1 for row in one.bgs.labels) == 8 and names <= {row.name for row in one.bgs.labels}
    found = exported(one, tmp_path / "c.ply")
    first, second = Splat.of(tmp_path / "a.ply"), Splat.of(tmp_path / "b.ply")
    assert np.array_equal(found.covs[:120], first.covs) and np.array_equal(found.means[:120], first.means)
    joined = Splat.of(tmp_path / "c.ply")
    joined.means, joined.covs, joined.rest = found.means[120:], found.covs[120:], found.rest[120:]
    assert_is(joined, second, matrix)
    bpy.ops.bgs.make_collections()
    assert len(code_tables.parts_of(one)) == 8
    bpy.ops.bgs.merge_back()
    assert len(one.data.points) == 320


@edit_mode
@pytest.mark.parametrize("per", [40, 1])
def test_joined_label_objects_merge_back(tmp_path, per: int) -> None:
    obj = make(tmp_path / "a.ply", per)
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    parts = code_tables.parts_of(obj)
    matrices = {}
    for part, kind in zip(parts[1:3], ("uneven", "mirrored"), strict=True):
        before = np.array(part.matrix_world, np.float64)
        part.location, part.rotation_euler, part.scale = TRANSFORMS[kind]
        matrices[kind] = (change_of(part, before), point_clouds.need_column(part.data, at.ROW))
    join(*parts[:3])
    assert not shapes.problems
    bpy.ops.bgs.merge_back()
    source, found = Splat.of(tmp_path / "a.ply"), exported(obj, tmp_path / "b.ply")
    assert len(found.means) == 4 * per
    for matrix, rows in matrices.values():
        assert_is(found, source, matrix, rows)
    others = np.setdiff1d(np.arange(4 * per), np.concatenate([rows for _, rows in matrices.values()]))
    assert np.array_equal(found.means[others], source.means[others])


@edit_mode
def test_a_label_object_of_another_splat_joined_into_one(tmp_path) -> None:
    one, two = make(tmp_path / "a.ply", 30, rest=9), make(tmp_path / "b.ply", 50, seed=3, rest=45)
    for obj in (one, two):
        activate(obj)
        bpy.ops.bgs.make_collections()
        bpy.context.view_layer.update()
    mine, other = code_tables.parts_of(one)[0], code_tables.parts_of(two)[2]
    rows = point_clouds.need_column(other.data, at.ROW)
    join(mine, other)
    codes = point_clouds.need_column(mine.data, at.CODE)
    one.bgs.level = 2
    activate(mine)
    bpy.ops.bgs.select_label(index=0)
    bpy.ops.bgs.merge_back()
    assert np.array_equal(point_clouds.need_column(one.data, at.ROW), np.arange(170))
    assert np.array_equal(point_clouds.need_column(one.data, at.CODE)[120:], codes[30:])
    labels = point_clouds.need_column(one.data, at.CODE).view(np.uint32) >> 20
    assert len(set(labels)) == 5
    found, source = exported(one, tmp_path / "c.ply"), Splat.of(tmp_path / "b.ply")
    assert found.rest.shape[1] == 15 and not found.rest[:120, 3:].any()
    assert np.array_equal(found.rest[120:], source.rest[rows])
    assert np.array_equal(found.rest[:120, :3], Splat.of(tmp_path / "a.ply").rest)


@edit_mode
def test_points_that_are_no_gaussians_are_refused(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 10)
    cloud = point_clouds.new_cloud("points", 7)
    point_clouds.set_column(cloud, at.Column(at.POSITION, "FLOAT_VECTOR", np.ones((7, 3), np.float32)))
    other = bpy.data.objects.new("points", cloud)
    bpy.context.scene.collection.objects.link(other)
    bpy.context.view_layer.update()
    join(obj, other)
    assert "7 points" in shapes.problems_of(obj)[0] and not bpy.ops.bgs.keep_shapes.poll()
    with pytest.raises(RuntimeError, match="no Gaussians"):
        bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE")
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, np.arange(40, 47))
    bpy.ops.pointcloud.delete()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert len(exported(obj, tmp_path / "b.ply").means) == 40


@pytest.mark.parametrize("rests", [(9, 45), (45, 9)])
def test_an_export_of_two_splats_keeps_the_colours_of_both(tmp_path, rests) -> None:
    one, two = (make(tmp_path / f"{n}.ply", 10, seed=n, rest=rest) for n, rest in enumerate(rests))
    activate(one, two)
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "both.ply"), what="SELECTED")
    found = Splat.of(tmp_path / "both.ply")
    for n, rest in enumerate(rests):
        mine = found.rest[40 * n : 40 * (n + 1)]
        assert np.array_equal(mine[:, : rest // 3], Splat.of(tmp_path / f"{n}.ply").rest)
        assert not mine[:, rest // 3 :].any()

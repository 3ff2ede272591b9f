"""Transforms of points in edit mode: shapes and colours follow, or the splat says that they cannot."""

import bpy
import numpy as np
import pytest

from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import point_clouds, shapes
from blender_bgs.logic import attributes as at
from tests.extension.edited_splat import (
    APPLY,
    DIRECTIONS,
    TRANSFORMS,
    Splat,
    activate,
    assert_is,
    change_of,
    edit_mode,
    exported,
    make,
    select_points,
)

EDITS = {
    "grab": lambda: bpy.ops.transform.translate(value=(1, 2, 0.5)),
    "rotate": lambda: bpy.ops.transform.rotate(value=0.7, orient_axis="Y"),
    "scale": lambda: bpy.ops.transform.resize(value=(2, 0.5, 1)),
    "mirror": lambda: bpy.ops.transform.mirror(constraint_axis=(True, False, False)),
}


@edit_mode
@pytest.mark.parametrize("world", ["import", "all"])
@pytest.mark.parametrize("edit", EDITS)
def test_a_selection_transformed_in_edit_mode(tmp_path, edit: str, world: str) -> None:
    obj = make(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    if world == "all":
        obj.location, obj.rotation_euler, obj.scale = TRANSFORMS["all"]
    whole = change_of(obj, before)
    now = np.array(obj.matrix_world, np.float64)
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    rows = np.arange(10, 70)
    select_points(obj, rows)
    bpy.context.view_layer.update()
    source, start = Splat.of(tmp_path / "a.ply"), point_clouds.need_column(obj.data, at.POSITION).astype(float)
    EDITS[edit]()
    bpy.context.view_layer.update()
    assert not shapes.problems and shapes.are_true(obj.data)
    bpy.ops.object.mode_set(mode="OBJECT")
    # The map, from what Blender was told. Its pivot follows from the middle of the points; it is in world axes.
    c, s = np.cos(0.7), np.sin(0.7)
    linear = {"grab": np.eye(3), "rotate": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
              "scale": np.diag((2, 0.5, 1)), "mirror": np.diag((-1.0, 1, 1))}[edit]  # fmt: skip
    places = start @ now[:3, :3].T + now[:3, 3]
    there = point_clouds.need_column(obj.data, at.POSITION).astype(float) @ now[:3, :3].T + now[:3, 3]
    if edit == "rotate" and not np.allclose(there[rows] - there[rows].mean(0),
                                            (places[rows] - places[rows].mean(0)) @ linear.T, atol=1e-3):  # fmt: skip
        linear = linear.T  # versions differ in the direction of rotation
    edited = np.eye(4)
    edited[:3, :3] = linear
    edited[:3, 3] = there[rows].mean(0) - linear @ places[rows].mean(0)
    in_file = np.linalg.inv(before) @ edited @ before @ whole
    found = exported(obj, tmp_path / "b.ply")
    others = np.setdiff1d(np.arange(240), rows)
    assert_is(found, source, whole, others)
    want = source.means[rows] @ in_file[:3, :3].T + in_file[:3, 3]
    assert np.abs(found.means[rows] - want).max() < 1e-4
    covs = in_file[:3, :3] @ source.covs[rows] @ in_file[:3, :3].T
    sizes = np.abs(covs).max((1, 2), keepdims=True)
    assert (np.abs(found.covs[rows] - covs) / sizes).max() < 2e-4
    if world == "import":
        u, _, vt = np.linalg.svd(in_file[:3, :3])
        seen = found.colors(DIRECTIONS @ (u @ vt).T)[:, rows]
        assert np.abs(seen - source.colors()[:, rows]).max() < 1e-4


@edit_mode
def test_one_edit_after_the_other_and_back(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    name = obj.name
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, np.arange(5, 50))
    bpy.ops.ed.undo_push(message="start")
    for edit in ("rotate", "scale"):
        EDITS[edit]()
        bpy.ops.ed.undo_push(message=edit)
        bpy.context.view_layer.update()
        assert not shapes.problems
    first = point_clouds.need_column(obj.data, at.RAW_SCALE)
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert not shapes.problems and shapes.are_true(obj.data)
    source = read_ply(tmp_path / "a.ply")
    assert np.array_equal(
        point_clouds.need_column(obj.data, at.RAW_SCALE), source.columns([f"scale_{k}" for k in range(3)])
    )
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    obj = bpy.data.objects[name]
    assert shapes.are_true(obj.data)
    assert np.allclose(point_clouds.need_column(obj.data, at.RAW_SCALE), first, atol=1e-5)
    bpy.ops.object.mode_set(mode="OBJECT")


@edit_mode
def test_to_sphere_is_refused_and_one_point_can_be_moved(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, [7])
    EDITS["grab"]()
    bpy.context.view_layer.update()
    assert not shapes.problems
    select_points(obj, np.arange(50))
    bpy.ops.transform.tosphere(value=1)
    bpy.context.view_layer.update()
    assert obj.name in shapes.problems_of(obj)[0]
    bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(RuntimeError, match="cannot follow"):
        exported(obj, tmp_path / "b.ply")


@edit_mode
def test_points_duplicated_in_edit_mode_get_rows_of_their_own(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, np.arange(20))
    bpy.ops.pointcloud.duplicate()
    bpy.context.view_layer.update()
    EDITS["rotate"]()
    bpy.context.view_layer.update()
    bpy.ops.object.mode_set(mode="OBJECT")
    rows = point_clouds.need_column(obj.data, at.ROW)
    assert not shapes.problems and np.array_equal(rows, np.arange(260))
    assert exported(obj, tmp_path / "b.ply").means.shape == (260, 3)


@edit_mode
def test_separated_points_are_a_splat_with_true_shapes(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, np.arange(30))
    bpy.ops.pointcloud.separate()
    bpy.ops.object.mode_set(mode="OBJECT")
    new = next(o for o in bpy.data.objects if o != obj and point_clouds.is_splat(o))
    before = np.array(new.matrix_world, np.float64)
    new.scale = (1, 2, 3)
    matrix = change_of(new, before)
    activate(new)
    APPLY["Blender's"]()
    found, source = exported(new, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply")
    source.means, source.covs, source.rest = source.means[:30], source.covs[:30], source.rest[:30]
    assert_is(found, source, matrix)

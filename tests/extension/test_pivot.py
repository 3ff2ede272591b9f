"""Label objects turn about their centre of mass, and come back bit for bit."""

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, pivot, point_clouds
from blender_bgs.logic import attributes as at
from blender_bgs.parts.edited import edited_parts
from tests.helpers import made_splat

FAR = (1234.567, -89.01, 4321.1)  # metres from the origin; float32 then has steps of a quarter of a millimetre


def positions(obj) -> np.ndarray:
    return point_clouds.need_column(obj.data, at.POSITION)


def columns(obj) -> dict[str, bytes]:
    return {column.name: column.values.tobytes() for column in point_clouds.columns(obj.data)}


@pytest.fixture(params=[(0.0, 0.0, 0.0), FAR])
def placed(tmp_path, request):
    """The made splat, near the origin or far from it, with label objects; (whole, file, its columns before)."""
    rows, codes = made_splat.made_splat()
    for name, shift in zip("xyz", request.param, strict=True):
        rows[name] += np.float32(shift)
    path = made_splat.write(tmp_path / "placed.ply", made_splat.with_codes(rows, codes))
    bpy.ops.bgs.import_splat(filepath=str(path))
    whole = bpy.context.view_layer.objects.active
    before = columns(whole)
    bpy.ops.bgs.make_collections(only="ALL")
    bpy.context.view_layer.update()
    return whole, path, before


def test_the_origin_is_the_centre_of_mass(placed) -> None:
    whole, _, _ = placed
    for part in code_tables.parts_of(whole):
        weights = point_clouds.need_column(part.data, at.BASE)[:, 3].astype(float)
        center = weights @ positions(part).astype(float) / weights.sum()
        size = float(np.abs(positions(part)).max())
        assert np.abs(center).max() < 1e-3 * size  # one step of float32 far from the origin
        assert size < 3  # the objects of the made splat are 1.5 wide


def test_untouched_objects_come_back_bit_for_bit(placed) -> None:
    whole, _, before = placed
    assert edited_parts(whole) == []
    bpy.ops.bgs.merge_back()
    assert columns(whole) == before


def test_they_come_back_after_undo_and_in_a_file(placed, tmp_path) -> None:
    whole, _, before = placed
    name = whole.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    whole = bpy.data.objects[name]
    bpy.context.view_layer.objects.active = whole
    bpy.ops.bgs.update_collections.poll()
    bpy.ops.bgs.merge_back()
    assert columns(whole) == before


@pytest.mark.parametrize("what", ["SELECTED", "WHOLE", "LABEL", "SOURCE"])
def test_exports_have_the_bytes_of_the_file(placed, tmp_path, what: str) -> None:
    whole, path, _ = placed
    parts = code_tables.parts_of(whole)
    bpy.context.view_layer.objects.active = parts[1]
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == parts[1])
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what=what)
    source, out = read_ply(path), read_ply(tmp_path / "out.ply")
    alone = what in ("SELECTED", "LABEL")
    rows = point_clouds.need_column(parts[1].data, at.ROW) if alone else np.arange(source.count)
    assert out.take(np.arange(out.count)).tobytes() == source.take(rows).tobytes()


def test_a_turned_object_stays_in_its_place(placed) -> None:
    whole, _, _ = placed
    part = code_tables.parts_of(whole)[0]
    before = np.array(part.matrix_world)[:3, 3]
    world = point_clouds.world_of(part)
    part.rotation_euler.z += 1.0
    bpy.context.view_layer.update()
    assert np.array_equal(np.array(part.matrix_world)[:3, 3], before)
    turn = np.array(part.matrix_world, float) @ np.linalg.inv(world)
    center = turn[:3, :3] @ before + turn[:3, 3]
    assert np.abs(center - before).max() < 1e-6 * max(1, np.abs(before).max()) * 10


def test_a_moved_object_merges_where_it_is(placed) -> None:
    whole, _, _ = placed
    part = code_tables.parts_of(whole)[0]
    rows = point_clouds.need_column(part.data, at.ROW)
    part.location.x += 2
    part.rotation_euler.z += 0.5
    bpy.context.view_layer.update()
    world = np.array(part.matrix_world, float)
    seen = positions(part).astype(float) @ world[:3, :3].T + world[:3, 3]
    before = positions(whole)
    bpy.ops.bgs.merge_back()
    bpy.context.view_layer.update()
    world = np.array(whole.matrix_world, float)
    after = positions(whole).astype(float) @ world[:3, :3].T + world[:3, 3]
    assert np.abs(after[rows] - seen).max() < 1e-6 * max(1.0, np.abs(seen).max())
    others = np.setdiff1d(np.arange(len(before)), rows)
    assert np.array_equal(positions(whole)[others], before[others])


def test_update_keeps_the_pivot_and_the_place(placed) -> None:
    whole, _, _ = placed
    part = code_tables.parts_of(whole)[0]
    part.location.x += 2
    bpy.context.view_layer.update()
    then, pivot_then = np.array(part.matrix_world), np.array(part.bgs.pivot)
    bpy.ops.bgs.make_collections(only="ALL")
    bpy.context.view_layer.update()
    assert np.array_equal(np.array(part.matrix_world), then)
    assert np.array_equal(np.array(part.bgs.pivot), pivot_then)


@pytest.mark.skipif("select_all" not in dir(bpy.ops.pointcloud), reason="this Blender has no Join for point clouds")
def test_joined_objects_come_back_bit_for_bit(placed) -> None:
    whole, _, before = placed
    first, second = code_tables.parts_of(whole)[:2]
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj in (first, second))
    bpy.context.view_layer.objects.active = first
    bpy.ops.object.join()
    bpy.context.view_layer.update()
    bpy.ops.bgs.merge_back()
    assert columns(whole)[at.POSITION] == before[at.POSITION]


def test_set_origin_leaves_it_in_place(placed) -> None:
    whole, _, _ = placed
    part = code_tables.parts_of(whole)[0]
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == part)
    bpy.context.view_layer.objects.active = part
    rows, before = point_clouds.need_column(part.data, at.ROW), positions(whole)
    bpy.context.scene.cursor.location = (1, 2, 3)
    bpy.ops.object.origin_set(type="ORIGIN_CURSOR")
    bpy.context.view_layer.update()
    assert edited_parts(whole) == []
    bpy.ops.bgs.merge_back()
    # Set Origin rounds positions twice; a step of float32 is 2^-23 of the number.
    assert np.abs(positions(whole)[rows] - before[rows]).max() <= 8 * 2.0**-23 * max(1.0, np.abs(before).max())


def test_an_applied_transform_stays_in_place_and_is_undone_by_an_update(placed) -> None:
    whole, _, _ = placed
    part = code_tables.parts_of(whole)[0]
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == part)
    bpy.context.view_layer.objects.active = part
    part.scale = (2, 1, 1)
    bpy.context.view_layer.update()
    then, points = pivot.splat_world_of(part), pivot.need_positions(part).astype(float)
    seen = points @ then[:3, :3].T + then[:3, 3]
    bpy.ops.bgs.apply_transform()
    bpy.context.view_layer.update()
    size = max(1.0, np.abs(seen).max())
    now, points = pivot.splat_world_of(part), pivot.need_positions(part).astype(float)
    assert np.abs(points @ now[:3, :3].T + now[:3, 3] - seen).max() < 1e-5 * size
    bpy.ops.bgs.make_collections(only="ALL")
    bpy.context.view_layer.update()
    now, points = pivot.splat_world_of(part), pivot.need_positions(part).astype(float)
    assert np.abs(points @ now[:3, :3].T + now[:3, 3] - seen).max() < 1e-5 * size


def test_parts_of_an_object_alone_come_back_bit_for_bit(placed) -> None:
    """A label object without its splat has a pivot and is a whole cloud."""
    whole, _, _ = placed
    part = code_tables.parts_of(whole)[1]
    bpy.data.objects.remove(whole)
    bpy.context.view_layer.objects.active = part
    before = {name: values for name, values in columns(part).items() if name not in (at.LABEL, at.COLOR, at.RADIUS)}
    part.bgs.level = 2
    bpy.ops.bgs.make_collections(only="ALL")
    assert len(code_tables.parts_of(part)) == 2
    bpy.ops.bgs.merge_back()
    after = columns(part)
    assert {name: after.get(name) for name in before} == before


def test_an_object_of_an_older_version_has_no_pivot(placed) -> None:
    whole, _, before = placed
    for part in code_tables.parts_of(whole):
        place = pivot.need_positions(part)
        world = pivot.splat_world_of(part)
        part.data.attributes.remove(part.data.attributes[at.WHOLE_POSITION])
        part.bgs.pivot = (0, 0, 0)
        part.matrix_world = Matrix(world.tolist())
        for name in (at.POSITION, at.SHAPED_AT):
            point_clouds.set_column(part.data, at.Column(name, "FLOAT_VECTOR", place))
    bpy.context.view_layer.update()
    assert edited_parts(whole) == []
    bpy.ops.bgs.merge_back()
    assert columns(whole) == before


def test_objects_are_put_back(placed) -> None:
    whole, _, before = placed
    first, second, third = code_tables.parts_of(whole)[:3]
    for part in (first, second, third):
        part.location, part.rotation_euler = (7, 8, 9), (1, 2, 3)
    first.scale = (2, 1, 3)
    bpy.context.view_layer.update()
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj in (first, second))
    bpy.context.view_layer.objects.active = first
    assert bpy.ops.bgs.put_back() == {"FINISHED"}
    bpy.context.view_layer.update()
    for part in (first, second):
        assert pivot.change_of(part, pivot.splat_world_of(whole)) is None
    assert pivot.change_of(third, pivot.splat_world_of(whole)) is not None
    third.select_set(True)
    bpy.ops.bgs.put_back()
    bpy.ops.bgs.merge_back()
    assert columns(whole) == before


def test_an_applied_transform_is_put_back_too(placed) -> None:
    whole, _, _ = placed
    part = code_tables.parts_of(whole)[0]
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj == part)
    bpy.context.view_layer.objects.active = part
    part.location.x += 3
    bpy.context.view_layer.update()
    bpy.ops.bgs.apply_transform()
    bpy.ops.bgs.put_back()
    bpy.context.view_layer.update()
    world, points = pivot.splat_world_of(part), pivot.need_positions(part).astype(float)
    home = pivot.splat_world_of(whole)
    rows = point_clouds.need_column(part.data, at.ROW)
    wanted = positions(whole)[rows].astype(float) @ home[:3, :3].T + home[:3, 3]
    assert np.abs(points @ world[:3, :3].T + world[:3, 3] - wanted).max() < 1e-5 * max(1.0, np.abs(wanted).max())

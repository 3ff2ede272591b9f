"""Instances of splats: which there are, and that they are exported as one sees them."""

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from bgs_engine.core.codes import CODE_BYTE_NAMES
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, point_clouds
from blender_bgs.cloud.instances import instances_in
from blender_bgs.logic import attributes as at

AWAY = Matrix.Translation((5, -3, 2)) @ Matrix.Rotation(0.6, 4, (1, 2, 3))


def collection_instance(obj):
    """An empty that shows the collection of an object, away from it."""
    kit = bpy.data.collections.new("Kit")
    kit.objects.link(obj)
    empty = bpy.data.objects.new("Copy", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", kit
    empty.matrix_world = AWAY
    bpy.context.scene.collection.objects.link(empty)
    return empty


def on_points(obj, places):
    """A mesh whose geometry nodes put an object on its vertices."""
    mesh = bpy.data.meshes.new("Points")
    mesh.from_pydata(places, [], [])
    carrier = bpy.data.objects.new("Carrier", mesh)
    bpy.context.scene.collection.objects.link(carrier)
    group = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    entry, end = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    info, put = group.nodes.new("GeometryNodeObjectInfo"), group.nodes.new("GeometryNodeInstanceOnPoints")
    info.transform_space = "RELATIVE"
    info.inputs["Object"].default_value, info.inputs["As Instance"].default_value = obj, True
    group.links.new(entry.outputs[0], put.inputs["Points"])
    group.links.new(info.outputs["Geometry"], put.inputs["Instance"])
    group.links.new(put.outputs[0], end.inputs[0])
    carrier.modifiers.new("Scatter", "NODES").node_group = group
    return carrier


def found():
    bpy.context.view_layer.update()
    return instances_in(bpy.context.evaluated_depsgraph_get())


def means_in(path) -> np.ndarray:
    return read_ply(path).columns(("x", "y", "z")).astype(float)


def select(*objects) -> None:
    for obj in bpy.context.view_layer.objects:
        obj.select_set(obj in objects)


def test_a_splat_alone_has_no_instances(coded) -> None:
    obj, _, _ = coded
    assert found() == []
    copy = obj.copy()  # Alt-D: an object like any other
    bpy.context.scene.collection.objects.link(copy)
    assert found() == []


def test_a_collection_instance_is_found(coded) -> None:
    obj, _, _ = coded
    empty = collection_instance(obj)
    one = found()
    assert [(each.obj, each.parent) for each in one] == [(obj, empty)]
    assert np.allclose(one[0].world, np.array(AWAY @ obj.matrix_world), atol=1e-6)


def test_instances_of_geometry_nodes_are_found(coded) -> None:
    obj, _, _ = coded
    carrier = on_points(obj, [(0, 0, 7), (4, 0, 0)])
    instances = found()
    assert [(each.obj, each.parent) for each in instances] == [(obj, carrier)] * 2
    moved = [each.world @ np.linalg.inv(np.array(obj.matrix_world, float)) for each in instances]
    assert np.allclose([matrix[:3, 3] for matrix in moved], [(0, 0, 7), (4, 0, 0)], atol=1e-6)


def test_the_whole_splat_is_exported_with_its_instances(coded, tmp_path) -> None:
    obj, source, codes = coded
    collection_instance(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="WHOLE")
    out, before = read_ply(tmp_path / "out.ply"), read_ply(source)
    count = len(codes)
    assert out.count == 2 * count
    assert out.take(np.arange(count)).tobytes() == before.take(np.arange(count)).tobytes()
    to_world = np.array(obj.matrix_world, float)
    change = np.linalg.inv(to_world) @ np.array(AWAY, float) @ to_world
    wanted = means_in(source) @ change[:3, :3].T + change[:3, 3]
    assert np.abs(means_in(tmp_path / "out.ply")[count:] - wanted).max() < 3e-6 * np.abs(wanted).max()
    assert np.array_equal(out.columns(CODE_BYTE_NAMES)[:count], out.columns(CODE_BYTE_NAMES)[count:])


def test_the_untouched_source_has_no_instances(coded, tmp_path) -> None:
    obj, source, _ = coded
    collection_instance(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="SOURCE")
    assert (tmp_path / "out.ply").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("both", [False, True])
def test_a_selected_instancer_exports_its_instances(coded, tmp_path, both: bool) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    part = code_tables.parts_of(whole)[1]
    carrier = on_points(part, [(0, 0, 7), (4, 0, 0), (0, 9, 0)])
    bpy.context.view_layer.update()
    select(carrier, part) if both else select(carrier)
    bpy.context.view_layer.objects.active = carrier
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="SELECTED")
    means = means_in(tmp_path / "out.ply")
    per = len(part.data.points)
    assert len(means) == (3 + both) * per
    to_file = np.linalg.inv(whole.bgs.imported_at)[:3, :3]
    local = point_clouds.need_column(part.data, at.POSITION).astype(float)
    center = np.array(part.matrix_world, float)
    for number, place in enumerate([(0, 0, 7), (4, 0, 0), (0, 9, 0)]):
        world = local @ center[:3, :3].T + center[:3, 3] + place
        mine = means[(number + both) * per :][:per]
        assert np.abs(mine - world @ to_file.T).max() < 1e-5


def test_nothing_selected_is_refused(coded, tmp_path) -> None:
    obj, _, _ = coded
    collection_instance(obj)
    select()
    with pytest.raises(RuntimeError, match="No splat is selected"):
        bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="SELECTED")

"""Use as Splat: splats of Blender 5.3's importer, of geometry nodes and of other add-ons.

There is no Blender 5.3 to test with. Made clouds have the attributes that its importer writes (`IO_gsplat`): position,
scale, rotation, radiance:base and radiance:sh_k. Where this Blender has no attribute of the type FLOAT4, they have a
FLOAT_COLOR, which holds the same four numbers.
"""

from pathlib import Path

import bpy
import numpy as np
import pytest

from bgs_engine.io.gaussians import sigmoid
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import point_clouds
from blender_bgs.engine import segmenting
from blender_bgs.files.adopt_operator import BGS_OT_use_as_splat
from blender_bgs.files.adopting import points_of
from blender_bgs.logic import attributes as at
from tests.helpers import made_splat

ROWS, CODES = made_splat.made_splat(per_object=50)
FOUR = "FLOAT4" if "FLOAT4" in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items else "FLOAT_COLOR"


def stack(names) -> np.ndarray:
    return np.stack([ROWS[name] for name in names], 1)


def native_columns(opacity_apart: bool = False):
    """The attributes of Blender 5.3's importer."""
    quats = stack([f"rot_{k}" for k in range(4)])
    base = np.concatenate([stack([f"f_dc_{k}" for k in range(3)]), sigmoid(ROWS["opacity"])[:, None]], 1)
    yield at.Column("position", "FLOAT_VECTOR", stack("xyz"))
    yield at.Column("scale", "FLOAT_VECTOR", np.exp(stack([f"scale_{k}" for k in range(3)])))
    yield at.Column("rotation", "QUATERNION", quats / np.linalg.norm(quats, axis=1, keepdims=True))
    if opacity_apart:
        yield at.Column("radiance:base", "FLOAT_VECTOR", base[:, :3])
        yield at.Column("opacity", "FLOAT", base[:, 3])
    else:
        yield at.Column("radiance:base", FOUR, base)
    for k in range(15):
        yield at.Column(f"radiance:sh_{k}", "FLOAT_VECTOR", stack([f"f_rest_{k + 15 * c}" for c in range(3)]))


def made_cloud(columns, count: int = len(ROWS)):
    cloud = point_clouds.new_cloud("scan", count)
    for column in columns:
        point_clouds.set_column(cloud, column)
    obj = bpy.data.objects.new("scan", cloud)
    return linked(obj)


def linked(obj):
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    obj.select_set(True)
    obj.matrix_world = np.diag([1, -1, -1, 1]).tolist()  # as importers turn captures upright
    bpy.context.view_layer.update()
    return obj


def check_export(tmp_path: Path, codes: bool = False) -> None:
    """The exported rows are those of the file that the cloud stands for, within the rounding of exp and log."""
    assert bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="WHOLE") == {"FINISHED"}
    out = read_ply(tmp_path / "out.ply")
    rows = out.take(np.arange(out.count))
    np.testing.assert_array_equal([rows[n] for n in "xyz"], [ROWS[n] for n in "xyz"])
    for name in ("f_dc_1", "f_rest_7", "f_rest_44"):
        np.testing.assert_array_equal(rows[name], ROWS[name])
    np.testing.assert_allclose(rows["scale_2"], ROWS["scale_2"], atol=1e-5)  # float32 exp and log of numbers near 5
    fine = np.abs(ROWS["opacity"]) < 8  # beyond, sigmoid rounds to numbers that tell little
    np.testing.assert_allclose(rows["opacity"][fine], ROWS["opacity"][fine], atol=2e-3)
    if codes:
        assert set(at.CODE_BYTE_NAMES) <= set(out.names)


@pytest.mark.parametrize("apart", [False, True])
def test_a_cloud_of_blenders_own_importer(tmp_path: Path, apart: bool) -> None:
    columns = list(native_columns(apart))
    obj = made_cloud(columns)
    other = bpy.data.materials.new("mine")
    obj.data.materials.append(other)
    before = {c.name: c.values.copy() for c in columns}
    world = np.array(obj.matrix_world)
    assert BGS_OT_use_as_splat.disabled_reason(bpy.context) == ""
    assert bpy.ops.bgs.use_as_splat() == {"FINISHED"}
    assert obj.bgs.is_splat and bpy.context.view_layer.objects.active == obj and len(bpy.data.pointclouds) == 1
    for name, values in before.items():
        if name != "radiance:base" or not apart:
            np.testing.assert_array_equal(point_clouds.get_column(obj.data, name), values.astype(np.float32))
    np.testing.assert_array_equal(np.array(obj.matrix_world), world)
    assert [m.name for m in obj.data.materials] == ["Gaussian Splat", "mine"]
    assert obj.bgs.up_axis == "NEG_Y" or not np.allclose(world[:3, :3], np.diag([1, -1, -1]))
    check_export(tmp_path)
    given = segmenting.input_for_engine(obj, tmp_path / "run")
    assert given.in_order and given.reason == "it has no source file" and read_ply(given.path).count == len(ROWS)
    assert bpy.ops.bgs.export_splat(filepath=str(tmp_path / "source.ply"), what="SOURCE") == {"FINISHED"}
    assert "is a splat already" in BGS_OT_use_as_splat.disabled_reason(bpy.context)


def test_a_moved_cloud_exports_its_move(tmp_path: Path) -> None:
    obj = made_cloud(native_columns())
    bpy.ops.bgs.use_as_splat()
    obj.location.x += 2
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="WHOLE")
    rows = read_ply(tmp_path / "out.ply").take(np.arange(len(ROWS)))
    np.testing.assert_allclose(rows["x"], ROWS["x"] + 2, atol=1e-5)


def test_a_mesh_with_the_properties_of_a_ply_as_kiris_addon_has_it(tmp_path: Path) -> None:
    """Blender's own importer of PLY meshes keeps the properties as attributes, and KIRI's add-on uses it."""
    path = made_splat.write(tmp_path / "scan.ply", made_splat.with_codes(ROWS, CODES))
    assert bpy.ops.wm.ply_import(filepath=str(path), import_attributes=True) == {"FINISHED"}
    mesh = bpy.context.view_layer.objects.active
    assert mesh.type == "MESH" and points_of(mesh) is not None, sorted(a.name for a in mesh.data.attributes)
    assert bpy.ops.bgs.use_as_splat() == {"FINISHED"}
    obj = bpy.context.view_layer.objects.active
    assert obj != mesh and obj.type == "POINTCLOUD" and mesh.hide_get() and mesh.hide_render
    np.testing.assert_array_equal(np.array(obj.matrix_world), np.array(mesh.matrix_world))
    check_export(tmp_path)
    rows = read_ply(tmp_path / "out.ply").take(np.arange(len(ROWS)))
    for name in ("scale_0", "rot_3", "opacity", "f_rest_20"):
        np.testing.assert_array_equal(rows[name], ROWS[name])  # nothing was activated on the way
    if "seg_0" in mesh.data.attributes:
        np.testing.assert_array_equal(point_clouds.get_column(obj.data, at.CODE), CODES)


def test_points_that_geometry_nodes_make(tmp_path: Path) -> None:
    source = made_cloud(native_columns())
    host = linked(bpy.data.objects.new("host", point_clouds.new_cloud("host", 1)))
    group = bpy.data.node_groups.new("from source", "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    info, out = group.nodes.new("GeometryNodeObjectInfo"), group.nodes.new("NodeGroupOutput")
    info.inputs["Object"].default_value = source
    group.links.new(info.outputs["Geometry"], out.inputs[0])
    host.modifiers.new("nodes", "NODES").node_group = group
    bpy.context.view_layer.update()
    assert BGS_OT_use_as_splat.disabled_reason(bpy.context) == ""
    assert bpy.ops.bgs.use_as_splat() == {"FINISHED"}
    obj = bpy.context.view_layer.objects.active
    assert obj != host and host.hide_get() and len(obj.data.points) == len(ROWS)
    check_export(tmp_path)


def test_what_is_no_splat_stays_as_it_is() -> None:
    plain = made_cloud([at.Column("position", "FLOAT_VECTOR", stack("xyz"))])
    assert "has no attributes of a Gaussian splat" in BGS_OT_use_as_splat.disabled_reason(bpy.context)
    bpy.data.objects.remove(plain)
    wrong = [c for c in native_columns() if c.name != "scale"]
    obj = made_cloud([*wrong, at.Column("scale", "FLOAT", np.ones(len(ROWS), np.float32))])
    names = sorted(one.name for one in obj.data.attributes)
    with pytest.raises(RuntimeError, match=r"The attribute scale of .* is not what a splat has there"):
        bpy.ops.bgs.use_as_splat()
    assert not obj.bgs.is_splat and names == sorted(one.name for one in obj.data.attributes)
    twin = linked(bpy.data.objects.new("twin", made_cloud(native_columns()).data))
    with pytest.raises(RuntimeError, match="shares its points with another object"):
        bpy.ops.bgs.use_as_splat()
    assert not twin.bgs.is_splat

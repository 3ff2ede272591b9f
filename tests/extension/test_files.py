"""Import and export through the operators: bytes, colours, transforms, refusals."""

import json
import math
import os
import subprocess
import time
from pathlib import Path

import bpy
import numpy as np
import pytest

from bgs_engine.core.harmonics import basis
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import point_clouds
from blender_bgs.logic import attributes as at
from tests.helpers import made_splat


def import_(path):
    bpy.ops.bgs.import_splat(filepath=str(path))
    return bpy.context.view_layer.objects.active


@pytest.mark.parametrize("rest", [0, 9, 24, 45, 72])
def test_round_trip_gives_the_same_file(tmp_path, rest: int) -> None:
    rows, codes = made_splat.made_splat(per_object=200, rest=rest)
    rows["scale_0"][3], rows["opacity"][4], rows["x"][5] = np.nan, np.inf, np.nan
    rows["rot_0"][6] = rows["rot_1"][6] = rows["rot_2"][6] = rows["rot_3"][6] = 0
    for name, table in (("plain", rows), ("coded", made_splat.with_codes(rows, codes))):
        source = made_splat.write(tmp_path / f"{name}.ply", table)
        import_(source)
        bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="WHOLE")
        assert (tmp_path / "out.ply").read_bytes() == source.read_bytes()


def test_codes_keep_all_32_bits(coded) -> None:
    obj, _, codes = coded
    assert (codes < 0).any()  # a code with its top bit set is among them
    assert np.array_equal(point_clouds.need_column(obj.data, at.CODE), codes)


def test_native_splats_are_asked_for_by_what_there_is() -> None:
    """Blender 5.3 draws splats itself and wants four plain numbers as base; the wheels tested here do not have it."""
    kinds = {item.identifier for item in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items}
    native = point_clouds.native_splat_type()
    cloud = point_clouds.new_cloud("points", 3)
    assert native is None or (cloud.type == native and "SPLAT" in native)
    column = point_clouds.native_column(
        at.Column(at.BASE, "FLOAT_COLOR", np.arange(12, dtype=np.float32).reshape(3, 4))
    )
    assert column.data_type == ("FLOAT4" if native else "FLOAT_COLOR")
    if "FLOAT4" in kinds:
        point_clouds.set_column(cloud, at.Column(at.BASE, "FLOAT4", column.values))
        assert np.array_equal(point_clouds.need_column(cloud, at.BASE), column.values)


def test_color_is_the_files_and_upright(tmp_path) -> None:
    rows, _ = made_splat.made_splat(per_object=50, rest=0)
    obj = import_(made_splat.write(tmp_path / "a.ply", rows))
    color = point_clouds.need_column(obj.data, at.COLOR)[:, :3]
    srgb = np.where(color <= 0.0031308, color * 12.92, 1.055 * color ** (1 / 2.4) - 0.055)
    dc = np.stack([rows[f"f_dc_{k}"] for k in range(3)], 1) * 0.28209479 + 0.5
    assert np.abs(srgb - dc).max() < 2 / 255  # the conversion table has 1024 entries: half a display step
    assert bpy.context.scene.view_settings.view_transform == "Standard"
    # y points down in the file, so a point at y = -1 must be one unit up.
    assert np.allclose(np.array(obj.matrix_world)[:3, :3] @ (0, -1, 0), (0, 0, 1), atol=1e-6)
    obj.bgs.up_axis = "Z"
    assert np.allclose(obj.matrix_world, np.eye(4), atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"hello", b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\n"
                         b"property float y\nproperty float z\nend_header\n0 0 0\n"])  # fmt: skip
def test_a_file_that_is_no_splat_imports_nothing(tmp_path, content: bytes) -> None:
    (tmp_path / "bad.ply").write_bytes(content)
    with pytest.raises(RuntimeError, match=r"bad\.ply"):
        bpy.ops.bgs.import_splat(filepath=str(tmp_path / "bad.ply"))
    assert not bpy.data.objects and not bpy.data.pointclouds


def test_export_bakes_the_transform_and_turns_colours(tmp_path) -> None:
    rows, _ = made_splat.made_splat(per_object=40)
    obj = import_(made_splat.write(tmp_path / "a.ply", rows))
    before = np.array(obj.matrix_world)
    obj.rotation_mode = "XYZ"
    obj.location, obj.scale = (1, 2, 3), (2, 2, 2)
    obj.rotation_euler = (obj.rotation_euler[0] + 0.7, 0.4, -1.1)
    bpy.context.view_layer.update()
    after = np.array(obj.matrix_world)
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="WHOLE")
    out = read_ply(tmp_path / "out.ply").take(np.arange(len(rows)))
    change = np.linalg.inv(before) @ after

    def stack(table, names):
        return np.stack([table[n] for n in names], 1).astype(np.float64)

    here, there = stack(rows, "xyz"), stack(out, "xyz")
    assert np.allclose(there, here @ change[:3, :3].T + change[:3, 3], atol=1e-5)
    scales = [f"scale_{k}" for k in range(3)]
    assert np.allclose(stack(out, scales), stack(rows, scales) + math.log(2), atol=1e-5)
    # What a viewer saw from direction d it now sees from the turned direction.
    turn = change[:3, :3] / 2
    names = [f"f_rest_{15 + k}" for k in range(15)]  # the green channel
    directions = np.random.default_rng(0).normal(size=(20, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    seen = basis(directions)[:, 1:16] @ stack(rows, names).T
    assert np.allclose(basis(directions @ turn.T)[:, 1:16] @ stack(out, names).T, seen, atol=1e-5)


@pytest.mark.skipif("BGS_TEST_ENGINE" not in os.environ, reason="BGS_TEST_ENGINE names no Python with the engine")
@pytest.mark.parametrize("rest", [9, 24, 45])
def test_a_turned_export_rendered_from_the_turned_side_is_the_same_picture(tmp_path, rest: int) -> None:
    """Through the operators and the engine's renderer; tests/unit_extension/test_rendered.py goes into more cases."""
    rows, _ = made_splat.made_splat(per_object=400, rest=rest)
    for i in range(rest):
        rows[f"f_rest_{i}"] *= 5  # colours that change strongly with the viewing direction
    source = made_splat.write(tmp_path / "a.ply", rows)
    obj = import_(source)
    before = np.array(obj.matrix_world)
    obj.rotation_mode = "XYZ"
    obj.location, obj.scale = (1, 2, 3), (1.7, 1.7, 1.7)
    obj.rotation_euler = (obj.rotation_euler[0] + 0.7, 0.4, -1.1)
    bpy.context.view_layer.update()
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="WHOLE")
    change = np.linalg.inv(before) @ np.array(obj.matrix_world)
    (tmp_path / "change.json").write_text(json.dumps(change.tolist()))
    script = Path(__file__).parents[1] / "helpers" / "rendered_splat.py"
    command = [os.environ["BGS_TEST_ENGINE"], script, source, tmp_path / "out.ply", tmp_path / "change.json"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # As there: nothing but float32 and Blender's float32 object matrices between the pictures.
    assert min(json.loads(done.stdout)) > 50, done.stdout


def test_one_label_plain(coded, tmp_path) -> None:
    obj, _, _ = coded
    obj.bgs.label_index = 1
    label = obj.bgs.active_label()
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "one.ply"), what="LABEL", plain=True)
    ply = read_ply(tmp_path / "one.ply")
    assert ply.count == label.count and len(ply.names) == 62


@pytest.mark.slow
def test_a_million_in_time(tmp_path) -> None:
    rows, _ = made_splat.made_splat(per_object=250_000)
    path = made_splat.write(tmp_path / "big.ply", rows)
    started, worked = time.perf_counter(), time.process_time()
    import_(path)
    seconds, worked = time.perf_counter() - started, time.process_time() - worked
    # The promise is 3 s on two idle cores. Processor time, because the machine may be busy with something else, and
    # twice of it, because then caches and memory are shared too.
    assert worked < 6, f"{worked:.2f} s of processor time"
    print(f"\nimport of 1M Gaussians, degree 3: {seconds:.2f} s")


def test_an_ascii_file_comes_in_too(tmp_path) -> None:
    """The way through plyfile, which must work with the NumPy that this Blender has."""
    rows, _ = made_splat.made_splat(per_object=5, rest=0)
    names = rows.dtype.names
    kinds = {"<f4": "float", "<f8": "double", "|u1": "uchar"}
    head = ["ply", "format ascii 1.0", f"element vertex {len(rows)}"]
    head += [f"property {kinds[rows.dtype[n].str]} {n}" for n in names]
    lines = [" ".join(str(row[n].item()) for n in names) for row in rows]
    (tmp_path / "a.ply").write_text("\n".join([*head, "end_header", *lines]) + "\n")
    obj = import_(tmp_path / "a.ply")
    x = point_clouds.need_column(obj.data, at.POSITION)[:, 0]
    assert np.array_equal(x, rows["x"])


def far_rows() -> np.ndarray:
    """A made splat with codes at a place in UTM, positions as doubles, and some rows without a usable shape."""
    rows, codes = made_splat.made_splat(per_object=60, rest=9)
    coded = made_splat.with_codes(rows, codes)
    kinds = [(name, "<f8" if name in ("x", "y", "z") else coded.dtype[name].str) for name in coded.dtype.names]
    out = np.empty(len(coded), np.dtype(kinds))
    for name, _ in kinds:
        out[name] = coded[name]
    out["x"] += 543210
    out["y"] += 5832100
    for k in range(4):
        out[f"rot_{k}"][3], out[f"rot_{k}"][4] = 0, np.nan
    return out


def test_a_far_splat_is_near_in_blender_and_comes_back_exactly(tmp_path) -> None:
    rows = far_rows()
    source = made_splat.write(tmp_path / "far.ply", rows)
    obj = import_(source)
    assert np.abs(point_clouds.need_column(obj.data, at.POSITION)).max() < 100
    out = tmp_path / "out.ply"
    bpy.ops.bgs.export_splat(filepath=str(out), what="WHOLE")
    assert out.read_bytes() == source.read_bytes()
    obj.scale = (1, 2, -1)  # uneven and mirrored, about the origin of the object
    bpy.context.view_layer.update()
    bpy.ops.bgs.export_splat(filepath=str(out), what="WHOLE")
    offset = np.array(obj.bgs.ply_layout.offset)
    before, after = (
        np.stack([table[axis] for axis in "xyz"], 1) - offset
        for table in (rows, read_ply(out).take(np.arange(len(rows))))
    )
    # Blender scales an object along its own axes, which are the file's. Only the float32 of `position` rounds.
    assert np.allclose(after, before * (1, 2, -1), atol=1e-5)
    shape = read_ply(out).columns([f"rot_{k}" for k in range(4)])
    assert np.isfinite(shape).all()  # broken shapes become what is shown instead of them


def test_label_objects_of_a_far_splat_merge_back(tmp_path) -> None:
    rows = far_rows()
    obj = import_(made_splat.write(tmp_path / "far.ply", rows))
    bpy.ops.bgs.make_collections()
    part = next(o for o in bpy.data.objects if o.bgs.is_splat and o.bgs.whole is not None)
    part.scale = (1, 2, 1)  # with broken rows in it this used to fail
    part.location.x += 5
    bpy.context.view_layer.update()
    moved = np.sort(point_clouds.need_column(part.data, at.ROW))
    bpy.context.view_layer.objects.active = obj
    bpy.ops.bgs.merge_back()
    out = tmp_path / "out.ply"
    bpy.ops.bgs.export_splat(filepath=str(out), what="WHOLE")
    after = read_ply(out).take(np.arange(len(rows)))
    others = np.setdiff1d(np.arange(len(rows)), moved)
    assert after[others].tobytes() == rows[others].tobytes()
    assert np.allclose(after["x"][moved], rows["x"][moved] + 5, atol=1e-5)

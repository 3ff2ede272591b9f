"""Kinds of splats beside the 3DGS PLY come in, and go out without what they did not have."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from bgs_engine.formats.compressed_ply import write_compressed
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.formats.splat import write_splat
from bgs_engine.io.ply import read_ply
from bgs_engine.io.ply_completed import without
from blender_bgs.cloud import point_clouds
from blender_bgs.logic import attributes as at
from tests.helpers import made_splat
from tests.helpers.made_files import all_rows, ply_bytes
from tests.helpers.made_ksplat import ksplat_bytes


def import_(path: Path):
    bpy.ops.bgs.import_splat(filepath=str(path))
    return bpy.context.view_layer.objects.active


def export(path: Path) -> Path:
    bpy.ops.bgs.export_splat(filepath=str(path), what="WHOLE")
    return path


def test_a_compressed_ply_of_supersplat(tmp_path: Path) -> None:
    rows, _ = made_splat.made_splat(per_object=200, rest=24)
    source = made_splat.write(tmp_path / "a.ply", rows)
    packed = tmp_path / "packed.ply"
    order = write_compressed(packed, RawSplat.of_ply(read_ply(source)))
    obj = import_(packed)
    place = point_clouds.need_column(obj.data, at.POSITION)
    wanted = np.stack([rows[axis] for axis in "xyz"], 1)[order]
    assert np.abs(place - wanted).max() < np.ptp(wanted) / 1023  # a step of a chunk that were as large as the splat
    assert point_clouds.get_column(obj.data, at.harmonic(7)) is not None
    out = read_ply(export(tmp_path / "out.ply"))
    assert all_rows(out).tobytes() == all_rows(read_ply(packed)).tobytes()  # what was decoded, as a 3DGS PLY


@pytest.mark.parametrize("ending", [".splat", ".ksplat"])
def test_the_formats_of_web_viewers(tmp_path: Path, ending: str) -> None:
    rows, _ = made_splat.made_splat(per_object=100, rest=24)
    splat = RawSplat.of_ply(read_ply(made_splat.write(tmp_path / "a.ply", rows)))
    file, order = tmp_path / f"b{ending}", np.arange(len(rows))
    if ending == ".splat":
        write_splat(file, splat)
    else:
        data, order = ksplat_bytes(splat, 1, [(len(rows), 2)])
        file.write_bytes(data)
    obj = import_(file)
    place = point_clouds.need_column(obj.data, at.POSITION)
    assert np.abs(place - splat.means[order]).max() < 1e-4  # 16 bits of a block of 2 units in a .ksplat
    has_harmonics = point_clouds.get_column(obj.data, at.harmonic(7)) is not None
    assert has_harmonics == (ending == ".ksplat")
    assert read_ply(export(tmp_path / "out.ply")).count == len(rows)


def flat() -> np.ndarray:
    rows, _ = made_splat.made_splat(per_object=100, rest=9)
    made = np.empty(len(rows), without(rows.dtype, ("scale_2",)))
    for name in made.dtype.names:
        made[name] = rows[name]
    return made


def plain_colors() -> np.ndarray:
    rows, _ = made_splat.made_splat(per_object=100, rest=0)
    kept = without(rows.dtype, ("f_dc_0", "f_dc_1", "f_dc_2"))
    made = np.empty(len(rows), np.dtype(kept.descr + [(name, "u1") for name in ("red", "green", "blue")]))
    for name in kept.names:
        made[name] = rows[name]
    for k, name in enumerate(("red", "green", "blue")):
        made[name] = np.random.default_rng(k).integers(0, 256, len(rows))
    return made


@pytest.mark.parametrize("made", [flat, plain_colors])
def test_what_a_file_lacks_is_not_in_its_export(tmp_path: Path, made) -> None:
    rows = made()
    (tmp_path / "a.ply").write_bytes(ply_bytes(rows))
    obj = import_(tmp_path / "a.ply")
    assert point_clouds.need_column(obj.data, at.SCALE).shape == (len(rows), 3)
    assert export(tmp_path / "out.ply").read_bytes() == (tmp_path / "a.ply").read_bytes()
    obj.rotation_euler.x += 0.7
    obj.scale *= 2
    bpy.context.view_layer.update()
    turned = all_rows(read_ply(export(tmp_path / "turned.ply")))
    assert turned.dtype == read_ply(tmp_path / "a.ply").dtype  # an even scale says nothing about the third one
    assert np.allclose(turned["scale_1"], rows["scale_1"] + np.log(2), atol=1e-5)


def test_a_disc_that_was_scaled_unevenly_keeps_its_third_scale(tmp_path: Path) -> None:
    rows = flat()
    (tmp_path / "a.ply").write_bytes(ply_bytes(rows))
    obj = import_(tmp_path / "a.ply")
    obj.scale.x *= 3
    bpy.context.view_layer.update()
    out = read_ply(export(tmp_path / "out.ply"))
    assert out.added == () and "scale_2" in out.names


def test_colours_that_were_lit_are_in_the_export(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(ply_bytes(plain_colors()))
    obj = import_(tmp_path / "a.ply")
    base = point_clouds.need_column(obj.data, at.BASE)
    base[:, 0] *= 1.5
    point_clouds.set_column(obj.data, at.Column(at.BASE, "FLOAT_COLOR", base))
    out = read_ply(export(tmp_path / "out.ply"))
    assert out.added == () and "f_dc_1" in out.names
    assert np.allclose(out.columns(("f_dc_0",)).ravel(), base[:, 0])

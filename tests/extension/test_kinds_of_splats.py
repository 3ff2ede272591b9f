"""Kinds of splats beside the 3DGS PLY come in, and go out without what they did not have."""

from pathlib import Path

import bpy
import numpy as np

from bgs_engine.formats.compressed_ply import write_compressed
from bgs_engine.formats.raw_splat import RawSplat
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import point_clouds
from blender_bgs.logic import attributes as at
from tests.helpers import made_splat
from tests.helpers.made_files import all_rows


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

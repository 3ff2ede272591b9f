"""Tint and exposure of labels: in the colours that Blender shows, in exports, and through edits of labels."""

import bpy
import numpy as np
import pytest

from bgs_engine.core.palette import srgb_to_linear
from bgs_engine.io.gaussians import SH_C0
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, labels, point_clouds
from blender_bgs.cloud.properties import signed
from blender_bgs.logic import attributes as at

STOP = 2 ** (1 / 2.2)  # of display values: one stop of light


def row_of(obj, level: int, number: int = 0):
    return [row for row in obj.bgs.labels if row.level == level][number]


def colors_in(path) -> np.ndarray:
    """Display values of the constant harmonic [N, 3]."""
    return 0.5 + SH_C0 * read_ply(path).columns(("f_dc_0", "f_dc_1", "f_dc_2"), np.float64)


def export(path, what: str = "WHOLE") -> np.ndarray:
    bpy.ops.bgs.export_splat(filepath=str(path), what=what)
    return colors_in(path)


def points_of(obj, row) -> np.ndarray:
    return code_tables.table_of(obj).rows(row.level, row.label)


def test_what_is_shown_is_multiplied(coded) -> None:
    obj, _, _ = coded
    row = row_of(obj, 1)
    mine = points_of(obj, row)
    captured = point_clouds.need_column(obj.data, at.BASE)[:, :3] * SH_C0 + 0.5
    row.exposure, row.tint = -1, (1, 0.5, 0.25)
    factor = np.array([1 / STOP, 0.25 ** (1 / 2.2), 0.125 ** (1 / 2.2)])
    obj.bgs.color_mode = "COLOR"
    shown = point_clouds.need_column(obj.data, at.COLOR)[:, :3]
    wanted = srgb_to_linear((captured * np.where(mine[:, None], factor, 1)).clip(0, 1))
    assert np.abs(shown - wanted).max() < 2.3 / 1023 + 1e-4  # a step of the table of 1024; the curve is 2.3 steep
    before = point_clouds.need_column(obj.data, at.COLOR).copy()
    obj.bgs.color_mode = "LABEL"
    flat = point_clouds.need_column(obj.data, at.COLOR)[mine, :3]
    assert len(np.unique(flat, axis=0)) == 1  # label colours are no light
    obj.bgs.color_mode = "COLOR"
    assert np.array_equal(point_clouds.need_column(obj.data, at.COLOR), before)


def test_exports_have_it_and_the_splat_as_imported_does_not(coded, tmp_path) -> None:
    obj, path, _ = coded
    plain = colors_in(path)
    row = row_of(obj, 1)
    mine = points_of(obj, row)
    row.exposure = 1
    lit = export(tmp_path / "lit.ply")
    assert np.allclose(lit[mine], plain[mine] * STOP, atol=1e-6) and np.array_equal(lit[~mine], plain[~mine])
    assert (export(tmp_path / "again.ply", "SOURCE") == plain).all()
    assert (tmp_path / "again.ply").read_bytes() == path.read_bytes()
    child = next(r for r in obj.bgs.labels if r.level == 2 and r.parent == row.key)
    child.tint = (0.25, 1, 1)  # labels of all levels multiply
    both = export(tmp_path / "both.ply")
    inner = points_of(obj, child)
    factor = np.array([STOP * 0.25 ** (1 / 2.2), STOP, STOP])
    assert np.allclose(both[inner], plain[inner] * factor, atol=1e-6)
    assert bpy.ops.bgs.reset_light(all_labels=True) == {"FINISHED"}
    export(tmp_path / "reset.ply")
    assert (tmp_path / "reset.ply").read_bytes() == path.read_bytes()
    assert not bpy.ops.bgs.reset_light.poll()


def test_label_objects_and_edits_of_labels_keep_it(coded, tmp_path) -> None:
    obj, path, _ = coded
    plain = colors_in(path)
    row = row_of(obj, 1)
    row.exposure, key, mine = 1, row.key, points_of(obj, row)
    bpy.ops.bgs.make_collections(only="ALL")
    part = next(p for p in code_tables.parts_of(obj) if p.bgs.part_key == key)
    assert next(r for r in part.bgs.labels if r.level == 1).exposure == 1
    assert np.allclose(export(tmp_path / "parts.ply")[mine], plain[mine] * STOP, atol=1e-6)
    bpy.ops.bgs.merge_back()
    assert labels.find(obj, 1, key & 0xFFFFFFFF).exposure == 1
    # Another label is renumbered or emptied: the light stays with its own.
    other = next(r for r in obj.bgs.labels if r.level == 1 and r.key != key)
    labels.move_to_label(obj, points_of(obj, other), 1, key & 0xFFFFFFFF)
    assert labels.find(obj, 1, key & 0xFFFFFFFF).exposure == 1
    assert all(r.exposure == 0 for r in obj.bgs.labels if (r.level, r.key) != (1, key))


def test_a_second_segmentation_keeps_it(coded) -> None:
    from blender_bgs.logic.carry_over import LabelSettings

    old = LabelSettings(light={(1, 5): (1.0, 0.5, 0.5, 2.0), (1, 6): (1.0, 1.0, 1.0, 1.0)})
    assert old.for_new_labels({(1, 5): (1, 9)}).light == {(1, 9): (1.0, 0.5, 0.5, 2.0)}
    obj, _, codes = coded
    row = row_of(obj, 1)
    row.tint, row.exposure, label = (1, 0.5, 0.5), 2, row.label
    labels.list_labels(obj)
    again = labels.find(obj, 1, label)
    assert (tuple(again.tint), again.exposure) == ((1, 0.5, 0.5), 2) and signed(label) == again.key
    assert len(codes) == len(obj.data.points)


def test_a_headless_export_has_it(coded, tmp_path) -> None:
    from blender_bgs.headless.command_line import main

    obj, path, _ = coded
    plain = colors_in(path)
    row = row_of(obj, 1)
    mine = points_of(obj, row)
    row.exposure = -2
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "lit.blend"))
    assert main(["export", str(tmp_path / "lit.blend"), "-o", str(tmp_path / "out.ply")]) == 0
    assert np.allclose(colors_in(tmp_path / "out.ply")[mine], plain[mine] / STOP**2, atol=1e-6)


@pytest.mark.parametrize("what", ["tint", "exposure"])
def test_the_captured_light_is_the_default(coded, what: str) -> None:
    obj, _, _ = coded
    assert not any(row.is_lit for row in obj.bgs.labels)
    assert obj.bgs.labels[0].bl_rna.properties[what].description


def test_render_splats_has_it(coded, tmp_path) -> None:
    from blender_bgs.frames.shot import write_part

    obj, path, _ = coded
    row = row_of(obj, 1)
    mine = points_of(obj, row)
    row.exposure = 1
    write_part(obj, tmp_path / "part.ply")
    factor = np.where(mine, STOP, 1)[:, None]
    assert np.allclose(colors_in(tmp_path / "part.ply"), colors_in(path) * factor, atol=1e-6)

"""Clouds that are hidden, and files that were opened again: Blender computes matrices of what it shows only."""

import bpy
import numpy as np
import pytest

from blender_bgs.cloud import code_tables, label_selection, pivot, point_clouds, selection
from blender_bgs.logic import attributes as at
from blender_bgs.parts import label_objects
from blender_bgs.parts.edited import lost_parts


def positions(obj) -> np.ndarray:
    return point_clouds.need_column(obj.data, at.POSITION)


@pytest.fixture
def reopened(coded, tmp_path):
    """A file saved with label objects, one moved by 2 along x, one switched off; (whole, source, positions, rows)."""
    whole, source, _ = coded
    before = positions(whole)
    bpy.ops.bgs.make_collections(only="ALL")
    moved, hidden = code_tables.parts_of(whole)[:2]
    moved_rows = point_clouds.need_column(moved.data, at.ROW)
    moved.location.x += 2
    hidden.hide_viewport = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    whole = next(o for o in bpy.data.objects if point_clouds.is_splat(o) and o.bgs.whole is None)
    yield whole, source, before, moved_rows
    bpy.ops.wm.read_homefile(use_empty=True)


def test_the_whole_behind_its_objects_is_exported_as_it_came(reopened, tmp_path) -> None:
    _, source, _, _ = reopened
    bpy.context.view_layer.objects.active = None
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "out.ply"), what="SOURCE")
    assert (tmp_path / "out.ply").read_bytes() == source.read_bytes()


def test_merging_moves_only_what_was_moved(reopened) -> None:
    whole, _, before, moved_rows = reopened
    bpy.ops.bgs.merge_back()
    after, kept = positions(whole), np.ones(len(before), bool)
    kept[moved_rows] = False
    assert np.array_equal(after[kept], before[kept])
    # float32 positions of a few units, turned into the file's axes and back
    assert np.allclose(after[~kept] - before[~kept], (2, 0, 0), atol=1e-5)


def test_new_objects_stand_where_the_whole_does(reopened) -> None:
    whole, _, _, _ = reopened
    assert len(lost_parts(whole)) == 0
    for part in label_objects.make_tree(bpy.context.scene, whole, 2):
        assert np.allclose(pivot.splat_world_of(part), point_clouds.world_of(whole), atol=1e-6)


def test_a_parent_of_a_hidden_object_counts(coded) -> None:
    whole, _, _ = coded
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    whole.parent, parent.location = parent, (1, 2, 3)
    bpy.context.view_layer.update()
    seen = np.array(whole.matrix_world)
    whole.hide_viewport, parent.location = True, (4, 2, 3)
    bpy.context.view_layer.update()
    assert np.allclose(point_clouds.world_of(whole)[:3, 3] - seen[:3, 3], (3, 0, 0), atol=1e-6)


def test_turning_the_splat_up_turns_its_objects(coded) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    part = code_tables.parts_of(whole)[0]
    part.location.x += 2
    bpy.context.view_layer.update()
    whole.bgs.up_axis = "Z"
    bpy.context.view_layer.update()
    assert np.allclose(point_clouds.world_of(whole), np.eye(4), atol=1e-6)
    shift = np.eye(4)
    shift[0, 3] = 2
    assert np.allclose(pivot.splat_world_of(part), shift, atol=1e-6)


def test_what_is_picked_is_marked_in_objects_too_and_in_no_render(coded) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    color = point_clouds.need_column(whole.data, at.COLOR).copy()
    chosen = code_tables.table_of(whole).rows(1, whole.bgs.labels[1].label)
    label_selection.select(whole, chosen)
    marks = selection.SelectionReader()
    marked = {part.name: marks.of(part) for part in code_tables.parts_of(whole)}
    name = whole.bgs.labels[1].name
    assert marked[name].all() and not any(rows.any() for other, rows in marked.items() if other != name)
    assert np.array_equal(point_clouds.need_column(whole.data, at.COLOR), color)  # F12 shows this colour

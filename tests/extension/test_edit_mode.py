"""Edit Mode of point clouds: hidden Gaussians, commands on labels, and lists and frames after Blender's own tools."""

from typing import Any

import bpy
import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, edit_mode, label_selection, point_clouds, selection, shown
from blender_bgs.logic import attributes as at
from blender_bgs.logic.framing import core_box

pytestmark = pytest.mark.skipif(
    "select_all" not in dir(bpy.ops.pointcloud), reason="this Blender has no edit mode for point clouds"
)
TOOLS = bpy.ops.pointcloud


@pytest.fixture(autouse=True)
def object_mode():
    """The next test begins outside Edit Mode."""
    yield
    if bpy.context.mode != "OBJECT":
        bpy.ops.object.mode_set(mode="OBJECT")


def enter(obj):
    for other in bpy.context.view_layer.objects:
        other.select_set(other == obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.context.view_layer.update()


def rows_of(obj, level: int = 1) -> list:
    return [row for row in obj.bgs.labels if row.level == level]


def counts_agree(obj) -> bool:
    """Whether the list counts what the codes say, at every level."""
    codes = code_tables.codes_of(obj)
    for level in (1, 2, 3):
        labels, counts = np.unique(BitLayout().labels(codes, level), return_counts=True)
        if {row.label: row.count for row in rows_of(obj, level)} != dict(zip(labels.tolist(), counts, strict=True)):
            return False
    return True


def frame_of(obj) -> tuple[np.ndarray, np.ndarray]:
    """Centre and size of the frame."""
    values = {}
    modifier = obj.modifiers[0]
    for item in modifier.node_group.interface.items_tree:
        if item.item_type == "SOCKET" and item.name in ("Frame Center", "Frame Size"):
            inputs = getattr(getattr(modifier, "properties", None), "inputs", None)
            found = modifier[item.identifier] if inputs is None else getattr(inputs, item.identifier).value
            values[item.name] = np.array(found)
    return values["Frame Center"], values["Frame Size"]


def frame_fits(obj) -> bool:
    low, high = core_box(
        point_clouds.need_column(obj.data, at.POSITION), point_clouds.need_column(obj.data, at.BASE)[:, 3]
    )
    center, size = frame_of(obj)
    return np.allclose(center, (low + high) / 2, atol=1e-5) and np.allclose(size, high - low, atol=1e-5)


def test_edit_mode_begins_with_what_is_selected(coded) -> None:
    obj, _, codes = coded
    enter(obj)
    assert not selection.selected(obj).any()
    bpy.ops.object.mode_set(mode="OBJECT")
    first = rows_of(obj)[0]
    label_selection.select_labels(obj, [(1, first.label)])
    enter(obj)
    assert np.array_equal(selection.selected(obj), BitLayout().labels(codes, 1) == first.label)


@pytest.mark.parametrize("how", ["SELECT", "INVERT", "TOGGLE"])
def test_hidden_gaussians_are_not_selected(coded, how: str) -> None:
    obj, _, codes = coded
    shown_label = rows_of(obj)[2].label
    shown.isolate(obj, 1, [shown_label])
    enter(obj)
    TOOLS.select_all(action=how)
    bpy.context.view_layer.update()
    assert np.array_equal(selection.selected(obj), BitLayout().labels(codes, 1) == shown_label)
    assert [row.selected for row in rows_of(obj)] == [row.label == shown_label for row in rows_of(obj)]


def test_what_was_selected_before_it_was_hidden_is_spared(coded) -> None:
    obj, _, codes = coded
    first, second = (row.label for row in rows_of(obj)[:2])
    label_selection.select_labels(obj, [(1, first), (1, second)])
    shown.set_hidden(obj, {(1, first)})
    enter(obj)
    assert np.array_equal(selection.selected(obj), BitLayout().labels(codes, 1) == second)


def test_delete_and_undo_leave_hidden_gaussians_and_the_list_true(coded) -> None:
    obj, _, codes = coded
    name, gone = obj.name, rows_of(obj)[2].label
    shown.isolate(obj, 1, [gone])
    enter(obj)
    TOOLS.select_all(action="SELECT")
    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message="Select")
    TOOLS.delete()
    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message="Delete")
    assert not (BitLayout().labels(code_tables.codes_of(obj), 1) == gone).any()
    assert len(obj.data.points) == len(codes) - (BitLayout().labels(codes, 1) == gone).sum()
    assert counts_agree(obj) and frame_fits(obj) and len(rows_of(obj)) == 3
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert len(obj.data.points) == len(codes)
    assert counts_agree(obj) and frame_fits(obj) and len(rows_of(obj)) == 4


def test_separate_leaves_two_true_lists(coded) -> None:
    obj, _, codes = coded
    level = BitLayout().labels(codes, 1)
    first, second = rows_of(obj)[:2]
    wanted = (level == first.label) | ((level == second.label) & (np.arange(len(codes)) % 2 == 0))
    enter(obj)
    point_clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", wanted))
    bpy.context.view_layer.update()
    TOOLS.separate()
    bpy.context.view_layer.update()
    other = next(o for o in bpy.data.objects if o != obj)
    assert (len(obj.data.points), len(other.data.points)) == ((~wanted).sum(), wanted.sum())
    for one in (obj, other):
        assert counts_agree(one) and frame_fits(one), one.name
    assert len(rows_of(obj)) == 3 and len(rows_of(other)) == 2
    assert other.bgs.splat_id != obj.bgs.splat_id or not obj.bgs.splat_id


def test_separate_a_label_object_fits_both_frames(coded) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    part = code_tables.parts_of(whole)[0]
    enter(part)
    x = point_clouds.need_column(part.data, at.POSITION)[:, 0]
    point_clouds.set_column(part.data, at.Column(at.SELECTED, "BOOLEAN", x > np.median(x)))
    bpy.context.view_layer.update()
    TOOLS.separate()
    bpy.context.view_layer.update()
    mine = [one for one in code_tables.parts_of(whole) if one.bgs.part_key == part.bgs.part_key]
    assert len(mine) == 2 and all(frame_fits(one) for one in mine)
    assert sum(len(one.data.points) for one in mine) == len(x)


def some_of(part, count: int) -> np.ndarray:
    """Select the first Gaussians of a label object in Edit Mode. Returns their rows."""
    rows = np.arange(len(part.data.points)) < count
    point_clouds.set_column(part.data, at.Column(at.SELECTED, "BOOLEAN", rows))
    bpy.context.view_layer.update()
    return point_clouds.need_column(part.data, at.ROW)[rows]


def test_reassign_in_edit_mode_takes_what_is_selected_in_the_object(coded) -> None:
    whole, _, codes = coded
    bpy.ops.bgs.make_collections(only="ALL")
    part = code_tables.parts_of(whole)[1]
    enter(part)
    taken = some_of(part, 200)
    assert bpy.ops.bgs.reassign(target="NEW", name="Cushion") == {"FINISHED"}
    assert bpy.context.mode == "OBJECT"
    named = next(row for row in rows_of(whole) if row.name == "Cushion")
    after = code_tables.codes_of(whole)
    assert np.array_equal(np.flatnonzero(BitLayout().labels(after, 1) == named.label), np.sort(taken))
    others = np.setdiff1d(np.arange(len(codes)), taken)
    assert np.array_equal(after[others], codes[others])
    assert len(part.data.points) > 200 and whole.bgs.parts_stale  # it waits for Update Collections


def test_reassign_with_nothing_selected_changes_nothing(coded) -> None:
    whole, _, codes = coded
    bpy.ops.bgs.make_collections(only="ALL")
    part = code_tables.parts_of(whole)[1]
    enter(part)
    some_of(part, 0)
    before = selection.selected(whole)
    with pytest.raises(RuntimeError, match="No Gaussian is selected"):
        bpy.ops.bgs.reassign(target="NEW")
    assert bpy.context.mode == "EDIT_POINTCLOUD" and part.mode == "EDIT"
    assert np.array_equal(selection.selected(whole), before)
    assert np.array_equal(code_tables.codes_of(whole), codes) and len(rows_of(whole)) == 4


def test_reassign_in_edit_mode_spares_hidden_gaussians(coded) -> None:
    obj, _, codes = coded
    shown_label = rows_of(obj)[3].label
    shown.isolate(obj, 1, [shown_label])
    enter(obj)
    TOOLS.select_all(action="SELECT")
    assert bpy.ops.bgs.reassign(target="NEW", name="Seen") == {"FINISHED"}  # without an update between
    named = next(row for row in rows_of(obj) if row.name == "Seen")
    level = BitLayout().labels(code_tables.codes_of(obj), 1)
    assert np.array_equal(level == named.label, BitLayout().labels(codes, 1) == shown_label)


def test_undo_after_reassign_in_edit_mode_is_one_step(coded) -> None:
    whole, _, codes = coded
    name = whole.name
    bpy.ops.bgs.make_collections(only="ALL")
    part: Any = code_tables.parts_of(whole)[1]
    part_name = part.name
    bpy.ops.ed.undo_push(message="Make Collections")
    enter(part)
    bpy.ops.ed.undo_push(message="Edit Mode")
    some_of(part, 200)
    bpy.ops.ed.undo_push(message="Select")
    bpy.ops.bgs.reassign(target="NEW", name="Cushion")
    bpy.ops.ed.undo_push(message="Reassign")
    bpy.ops.ed.undo()
    whole, part = bpy.data.objects[name], bpy.data.objects[part_name]
    assert np.array_equal(code_tables.codes_of(whole), codes)
    assert len(rows_of(whole)) == 4 and counts_agree(whole)
    bpy.ops.ed.redo()
    whole = bpy.data.objects[name]
    assert len(rows_of(whole)) == 5 and counts_agree(whole)


@pytest.mark.parametrize("name", ["make_collections", "merge_back", "remove_collections"])
def test_commands_on_objects_leave_edit_mode(coded, name: str) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    enter(code_tables.parts_of(whole)[0])
    assert getattr(bpy.ops.bgs, name)() == {"FINISHED"}
    assert bpy.context.mode == "OBJECT" and not edit_mode.edited(bpy.context)


def test_an_object_shows_its_own_selection_in_edit_mode_only(coded) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    part = code_tables.parts_of(whole)[0]
    label_selection.select(whole, np.zeros(len(whole.data.points), bool))
    enter(part)
    some_of(part, 50)
    assert selection.SelectionReader().of(part).sum() == 50
    bpy.ops.object.mode_set(mode="OBJECT")
    label_selection.select(whole, np.zeros(len(whole.data.points), bool))
    assert not selection.SelectionReader().of(part).any()


def seen_counts(whole) -> dict[str, int]:
    return {row.name: row.seen for row in rows_of(whole)}


def test_the_list_counts_what_is_left_in_the_objects(coded) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    bpy.context.view_layer.update()
    names = [row.name for row in rows_of(whole)]
    assert seen_counts(whole) == dict.fromkeys(names, 1500)
    parts = {part.name: part for part in code_tables.parts_of(whole)}
    enter(parts[names[0]])
    some_of(parts[names[0]], 200)
    TOOLS.delete()
    bpy.context.view_layer.update()
    assert seen_counts(whole) == dict.fromkeys(names, 1500) | {names[0]: 1300}
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.data.objects.remove(parts[names[1]])
    bpy.context.view_layer.update()
    assert seen_counts(whole) == dict.fromkeys(names, 1500) | {names[0]: 1300, names[1]: 0}
    enter(parts[names[2]])
    some_of(parts[names[2]], 700)
    TOOLS.separate()
    bpy.context.view_layer.update()
    assert seen_counts(whole)[names[2]] == 1500  # both objects have that label
    bpy.ops.bgs.remove_collections()
    bpy.context.view_layer.update()
    assert seen_counts(whole) == dict.fromkeys(names, 1500)


def test_only_some_labels_have_objects(coded) -> None:
    whole, _, _ = coded
    first = rows_of(whole)[0]
    label_selection.select_labels(whole, [(1, first.label)])
    bpy.ops.bgs.make_collections(only="SELECTED")
    bpy.context.view_layer.update()
    name = first.name
    assert set(seen_counts(whole).values()) == {1500}
    bpy.data.objects.remove(code_tables.parts_of(whole)[0])
    bpy.context.view_layer.update()
    assert seen_counts(whole) == {row.name: 0 if row.name == name else 1500 for row in rows_of(whole)}


def test_an_empty_label_object_is_exported_as_nothing(coded, tmp_path) -> None:
    whole, _, _ = coded
    bpy.ops.bgs.make_collections()
    part = code_tables.parts_of(whole)[0]
    count, path = len(part.data.points), tmp_path / "out.ply"
    enter(part)
    TOOLS.select_all(action="SELECT")
    TOOLS.delete()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert len(part.data.points) == 0
    part.location = (1, 2, 3)
    bpy.context.view_layer.update()
    bpy.ops.bgs.export_splat(filepath=str(path), what="WHOLE")
    assert read_ply(path).count == len(whole.data.points) - count
    path.unlink()
    with pytest.raises(RuntimeError, match="no Gaussians to export: all were deleted"):
        bpy.ops.bgs.export_splat(filepath=str(path), what="SELECTED")
    assert not path.exists()

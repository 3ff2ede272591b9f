"""Named sets: saved, selected and combined; what edits, files and a second Segment make of them."""

import bpy
import numpy as np
import pytest

from blender_bgs.cloud import label_selection, label_sets, labels
from blender_bgs.engine import segmenting
from blender_bgs.logic import carry_over
from blender_bgs.logic.label_tree import CodeTable


@pytest.fixture
def obj(coded):
    """The made splat of four balls, called A to D at level 1."""
    found = coded[0]
    found.bgs.level = 1
    for row, name in zip([r for r in found.bgs.labels if r.level == 1], "ABCD", strict=True):
        row.name = name
    return found


def choose(obj, *names: str) -> None:
    label_selection.select_labels(obj, [(1, row.label) for row in obj.bgs.labels if row.name in names])


def selected(obj) -> set[str]:
    return {row.name for row in obj.bgs.labels if row.level == 1 and row.selected}


def save(obj, name: str, *names: str) -> None:
    choose(obj, *names)
    assert bpy.ops.bgs.save_set(name=name) == {"FINISHED"}


@pytest.mark.parametrize(("mode", "expected"), [("SET", "BC"), ("ADD", "ABC"), ("SUB", "A"), ("AND", "B")])
def test_a_set_is_combined_with_the_selection(obj, mode: str, expected: str) -> None:
    save(obj, "Two", "B", "C")
    choose(obj, "A", "B")
    assert bpy.ops.bgs.select_set(mode=mode) == {"FINISHED"}
    assert selected(obj) == set(expected)


def test_names_are_different_and_a_set_of_the_same_name_is_replaced(obj) -> None:
    save(obj, "Mine", "A")
    save(obj, "Mine", "B", "C")
    save(obj, "", "D")
    save(obj, "", "A")
    assert [one.name for one in obj.bgs.label_sets] == ["Mine", "Set", "Set.001"]
    obj.bgs.label_sets[2].name = "Mine"
    assert obj.bgs.label_sets[2].name == "Mine.001"
    obj.bgs.label_sets[2].name = "  "
    assert obj.bgs.label_sets[2].name == "Set.001"
    bpy.ops.bgs.select_set(index=0)
    assert selected(obj) == {"B", "C"}


def test_a_set_gets_other_labels_or_is_deleted(obj) -> None:
    save(obj, "One", "A")
    choose(obj, "C", "D")
    assert bpy.ops.bgs.update_set() == {"FINISHED"}
    choose(obj, "A")
    bpy.ops.bgs.select_set()
    assert selected(obj) == {"C", "D"}
    assert bpy.ops.bgs.delete_set() == {"FINISHED"}
    assert not len(obj.bgs.label_sets) and selected(obj) == {"C", "D"}
    assert not bpy.ops.bgs.select_set.poll()


def test_a_set_selects_the_same_gaussians_at_every_level(obj) -> None:
    save(obj, "One", "A")
    before = label_selection.selection.selected(obj)
    bpy.ops.bgs.select_none()
    obj.bgs.level = 2
    bpy.ops.bgs.select_set()
    assert np.array_equal(label_selection.selection.selected(obj), before)
    assert len(label_selection.selected_labels(obj)) == 2  # the halves of the ball


def test_a_joined_label_drops_out_and_the_message_says_so(obj) -> None:
    save(obj, "Two", "A", "B")
    choose(obj, "B", "C")
    obj.bgs.label_index = next(i for i, row in enumerate(obj.bgs.labels) if row.name == "C")
    choose(obj, "B", "C")
    bpy.ops.bgs.join_labels()
    one = obj.bgs.label_sets["Two"]
    assert one.lost == 1 and label_sets.lost_note(one) == "1 label of it is gone since it was saved."
    bpy.ops.bgs.select_set()
    assert selected(obj) == {"A"}
    bpy.ops.bgs.update_set()
    assert one.lost == 0


def test_a_second_segment_keeps_what_matches(obj) -> None:
    """Other numbers for all labels; the Gaussians of D are shared out, so D has no partner."""
    save(obj, "Three", "A", "B", "D")
    obj.bgs.labels[0].locked = True
    table = labels.code_tables.table_of(obj)
    old = table.layout.labels(labels.code_tables.codes_of(obj), 1)
    ids = [row.label for row in obj.bgs.labels if row.level == 1]
    new = np.select([old == label for label in ids], [5, 6, 7, 8]).astype(np.uint32)
    d = np.flatnonzero(new == 8)
    new[d] = 8 + np.arange(len(d)) % 3
    codes = (new << np.uint32(20)).view(np.int32)
    after = CodeTable.of(codes, table.layout)
    snapshot = segmenting.snapshot_of(obj, in_order=False)
    answer = segmenting.Answer(None, table.layout, codes, after, {}, carry_over.partners(table, after), None, snapshot)
    segmenting.apply_answer(obj, answer)
    one = obj.bgs.label_sets["Three"]
    assert set(label_sets.keys_of(one)) == {(1, 5), (1, 6)} and one.lost == 1
    assert {(row.level, row.label) for row in obj.bgs.labels if row.locked} == {(1, 5)}
    bpy.ops.bgs.select_set()
    assert selected(obj) == {"A", "B"}


def test_undo_and_a_file_keep_sets_and_locks(obj, tmp_path) -> None:
    bpy.ops.ed.undo_push(message="before")
    save(obj, "Two", "A", "D")
    next(row for row in obj.bgs.labels if row.name == "A").locked = True
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "sets.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "sets.blend"))
    again = next(o for o in bpy.data.objects if o.type == "POINTCLOUD")
    bpy.context.view_layer.objects.active = again
    bpy.ops.bgs.select_none()
    bpy.ops.bgs.select_set()
    assert selected(again) == {"A", "D"}
    assert [row.name for row in again.bgs.labels if row.locked] == ["A"]


def test_label_objects_follow(obj) -> None:
    bpy.ops.bgs.make_collections()
    save(obj, "Two", "A", "B")
    bpy.ops.bgs.select_none()
    bpy.ops.bgs.select_set()
    assert {o.name for o in bpy.context.selected_objects} == {"A", "B"}

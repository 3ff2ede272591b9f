"""Join, Move to Parent, Split and Select Touching: codes, names, colours, selection, objects, undo."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout, unsigned
from blender_bgs.cloud import code_tables, labels, point_clouds, selection
from blender_bgs.cloud.properties import without_updates
from blender_bgs.labelling import edit_operators
from blender_bgs.logic import attributes as at

# The made splat has 4 balls as labels of level 1, of two halves each (level 2), of two quarters each (level 3). Child
# numbers are the same under every parent.
LAYOUT = BitLayout()


def rows_of(obj, level: int) -> list:
    return [row for row in obj.bgs.labels if row.level == level]


def select(obj, *indices: int) -> list[int]:
    """Select labels of the shown level by their rank; returns their numbers. The first one is active."""
    rows = rows_of(obj, obj.bgs.shown_level)
    chosen = [rows[i].label for i in indices]
    everything = list(obj.bgs.labels)
    for number, label in enumerate(chosen):
        index = next(i for i, r in enumerate(everything) if (r.level, r.label) == (obj.bgs.shown_level, label))
        bpy.ops.bgs.select_label(index=index, extend=number > 0)
    with without_updates():
        obj.bgs.label_index = next(
            i for i, r in enumerate(everything) if (r.level, r.label) == (obj.bgs.shown_level, chosen[0])
        )
    return chosen


def partition(codes: np.ndarray, level: int) -> set[bytes]:
    """The sets of Gaussians with the same label, whatever the numbers are."""
    found = LAYOUT.labels(codes, level)
    return {np.flatnonzero(found == label).tobytes() for label in np.unique(found)}


def test_join_at_level_1_keeps_all_finer_labels(coded) -> None:
    obj, _, codes = coded
    one, two, three = select(obj, 0, 1, 2)
    labels.find(obj, 1, one).name = "Plant"
    half = next(row for row in rows_of(obj, 2) if row.parent == labels.find(obj, 1, two).key)
    half.name, half.color = "Leaf", (0.25, 0.5, 0.75)
    leaf = code_tables.table_of(obj).rows(2, half.label)
    assert bpy.ops.bgs.join_labels() == {"FINISHED"}
    after = code_tables.codes_of(obj)
    was = LAYOUT.labels(codes, 1)
    assert (LAYOUT.labels(after, 1)[np.isin(was, (one, two, three))] == one).all()
    assert np.array_equal(after[~np.isin(was, (two, three))], codes[~np.isin(was, (two, three))])
    for level in (2, 3):
        assert partition(after, level) == partition(codes, level)  # no finer labels were merged or cut
    assert rows_of(obj, 1)[0].name == "Plant" and len(rows_of(obj, 1)) == 2
    found = next(row for row in rows_of(obj, 2) if row.name == "Leaf")  # its number is new, for its own was taken
    assert np.array_equal(code_tables.table_of(obj).rows(2, found.label), leaf)
    assert np.allclose(found.color[:], (0.25, 0.5, 0.75)) and unsigned(found.parent) == one
    assert selection.selected(obj).sum() == 4500 and labels.find(obj, 1, one).selected
    assert obj.bgs.active_label().label == one


def test_join_at_level_2_takes_the_parent_of_the_active_label(coded) -> None:
    obj, _, codes = coded
    obj.bgs.level = 2
    first, other = rows_of(obj, 2)[0], next(r for r in rows_of(obj, 2) if r.parent != rows_of(obj, 2)[0].parent)
    ranks = [r.label for r in rows_of(obj, 2)]
    active, moved = select(obj, ranks.index(first.label), ranks.index(other.label))
    rows = code_tables.table_of(obj).rows(2, moved)
    bpy.ops.bgs.join_labels()
    after = code_tables.codes_of(obj)
    assert (LAYOUT.labels(after, 2)[rows] == active).all()
    assert partition(after, 3) == partition(codes, 3)
    assert np.array_equal(after[~rows], codes[~rows])


def test_join_needs_two_labels(coded) -> None:
    obj, _, _ = coded
    select(obj, 0)
    assert not bpy.ops.bgs.join_labels.poll()


def test_join_says_when_no_child_number_is_free(tmp_path) -> None:
    from tests.helpers import made_splat

    rows, _ = made_splat.made_splat(per_object=10, rest=0)
    # Level bits 2,1: both labels of level 1 have both children already.
    codes = np.repeat(np.array([0b000, 0b001, 0b010, 0b011], np.int32), 10)
    path = made_splat.write(tmp_path / "full.ply", made_splat.with_codes(rows, codes))
    bpy.ops.bgs.import_splat(filepath=str(path), level_bits="2,1")
    obj = bpy.context.view_layer.objects.active
    select(obj, 0, 1)
    with pytest.raises(RuntimeError, match="in use"):
        bpy.ops.bgs.join_labels()
    assert np.array_equal(code_tables.codes_of(obj), codes)


def test_labels_move_to_another_parent_and_to_a_new_one(coded) -> None:
    obj, _, codes = coded
    source, target = rows_of(obj, 1)[0].label, rows_of(obj, 1)[1].label
    obj.bgs.level = 2
    ranks = [row.label for row in rows_of(obj, 2)]
    mine = [i for i, label in enumerate(ranks) if label >> 10 == source]
    select(obj, mine[0])
    rows = selection.selected(obj)
    bpy.ops.bgs.move_to_parent(parent=str(target))
    after = code_tables.codes_of(obj)
    assert (LAYOUT.labels(after, 1)[rows] == target).all() and np.array_equal(after[~rows], codes[~rows])
    assert partition(after, 2) == partition(codes, 2) and partition(after, 3) == partition(codes, 3)
    assert np.array_equal(selection.selected(obj), rows)
    bpy.ops.bgs.move_to_parent(parent="NEW")
    again = code_tables.codes_of(obj)
    assert len(set(LAYOUT.labels(again, 1)[rows].tolist())) == 1 and len(rows_of(obj, 1)) == 5
    assert partition(again, 2) == partition(codes, 2)
    obj.bgs.level = 1
    assert not bpy.ops.bgs.move_to_parent.poll()


def test_split_by_loose_parts_undoes_a_join(coded) -> None:
    obj, _, codes = coded
    one, _, _ = select(obj, 0, 1, 2)
    bpy.ops.bgs.join_labels()
    assert bpy.ops.bgs.split_label(distance=0.5) == {"FINISHED"}
    after = code_tables.codes_of(obj)
    for level in (1, 2, 3):
        assert partition(after, level) == partition(codes, level)
    assert len(rows_of(obj, 1)) == 4
    assert [row.label for row in rows_of(obj, 1) if row.selected] == [one]  # not what came off
    with pytest.raises(RuntimeError, match=r"no loose parts at Distance 0\.5\. .*Distance.*Smallest Part"):
        bpy.ops.bgs.split_label(distance=0.5)


def test_split_asks_for_its_settings(coded) -> None:
    """A button or menu calls `invoke`. A split without result has no Adjust Last Operation to try again in."""
    obj, _, codes = coded
    select(obj, 0)
    asked: list[object] = []

    class Windows:
        def invoke_props_dialog(self, operator: object) -> set[str]:
            asked.append(operator)
            return {"RUNNING_MODAL"}

    operator = object()
    context = SimpleNamespace(window_manager=Windows())
    assert edit_operators.BGS_OT_split_label.invoke(operator, context, None) == {"RUNNING_MODAL"}  # type: ignore[arg-type]
    assert asked == [operator] and np.array_equal(code_tables.codes_of(obj), codes)


def test_objects_follow_joins_and_splits(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    one, two = select(obj, 0, 1)
    bpy.ops.bgs.join_labels()
    sizes = {unsigned(p.bgs.part_key): len(p.data.points) for p in code_tables.parts_of(obj)}
    assert sizes[one] == 3000 and two not in sizes and len(sizes) == 3 and not obj.bgs.parts_stale
    bpy.ops.bgs.split_label(distance=0.5)
    assert sorted(len(p.data.points) for p in code_tables.parts_of(obj)) == [1500] * 4


def test_objects_of_finer_labels_keep_their_places_when_their_parents_are_joined(coded) -> None:
    obj, _, _ = coded
    obj.bgs.level = 2
    bpy.ops.bgs.make_collections()
    for number, part in enumerate(code_tables.parts_of(obj)):
        part.location.x += number
    before = {tuple(point_clouds.need_column(p.data, at.ROW)): p.location.x for p in code_tables.parts_of(obj)}
    obj.bgs.level = 1
    select(obj, 0, 1)
    bpy.ops.bgs.join_labels()
    after = {tuple(point_clouds.need_column(p.data, at.ROW)): p.location.x for p in code_tables.parts_of(obj)}
    assert after == before


def test_edited_objects_are_not_overwritten(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    part = code_tables.parts_of(obj)[3]
    position = point_clouds.need_column(part.data, at.POSITION)
    position[0] += 1
    point_clouds.set_column(part.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))
    select(obj, 0, 1)
    bpy.ops.bgs.join_labels()
    assert obj.bgs.parts_stale and len(code_tables.parts_of(obj)) == 4
    assert np.array_equal(point_clouds.need_column(part.data, at.POSITION), position)


def test_one_object_of_several_labels(coded) -> None:
    obj, _, _ = coded
    one, _, _ = select(obj, 0, 1, 3)
    bpy.ops.bgs.join_labels(make_object=True)
    assert [(unsigned(p.bgs.part_key), len(p.data.points)) for p in code_tables.parts_of(obj)] == [(one, 4500)]


def test_touching_labels_are_added(coded) -> None:
    obj, _, _ = coded
    select(obj, 0)
    bpy.ops.bgs.select_touching(distance=0.3)  # the balls have a radius of 1 and stand 4 apart
    assert sum(row.selected for row in rows_of(obj, 1)) == 1
    obj.bgs.level = 3
    select(obj, 0)
    parent = rows_of(obj, 3)[0].label >> 20
    bpy.ops.bgs.select_touching(distance=0.3)
    assert {row.label for row in rows_of(obj, 3) if row.selected} == {
        row.label for row in rows_of(obj, 3) if row.label >> 20 == parent
    }


def test_a_join_is_undone_in_one_step(coded) -> None:
    obj, _, codes = coded
    name = obj.name
    select(obj, 0, 1)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.bgs.join_labels()
    bpy.ops.ed.undo_push(message="join")
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert np.array_equal(code_tables.codes_of(obj), codes) and len(rows_of(obj, 1)) == 4


def test_the_active_label_stays_when_the_list_is_sorted_anew(coded) -> None:
    obj, _, _ = coded
    select(obj, 3)
    label = obj.bgs.active_label().label
    labels.move_to_label(obj, np.arange(6000) % 2 == 0, 1, label)  # it is the largest now
    assert obj.bgs.active_label().label == label and rows_of(obj, 1)[0].label == label

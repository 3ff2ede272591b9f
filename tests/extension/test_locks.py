"""Locked labels: no operator that edits labels changes them, each says so, and nothing else changes then."""

from collections.abc import Callable

import bpy
import numpy as np
import pytest

from blender_bgs.clicking.accepting import ADD, NEW, TAKE, accept
from blender_bgs.cloud import code_tables, label_selection
from blender_bgs.interface import menu
from blender_bgs.labelling import crumbs


@pytest.fixture
def obj(coded):
    """The made splat of four balls, called A to D at level 1. A is locked, and active."""
    found = coded[0]
    found.bgs.level = 1
    for row, name in zip([r for r in found.bgs.labels if r.level == 1], "ABCD", strict=True):
        row.name = name
    index = next(i for i, row in enumerate(found.bgs.labels) if row.name == "A")
    found.bgs.label_index = index
    found.bgs.labels[index].locked = True
    return found


def label_named(obj, name: str) -> int:
    return next(row.label for row in obj.bgs.labels if row.level == 1 and row.name == name)


def rows_of(obj, name: str) -> np.ndarray:
    return code_tables.table_of(obj).rows(1, label_named(obj, name))


def choose(obj, *names: str) -> None:
    label_selection.select_labels(obj, [(1, label_named(obj, name)) for name in names])


def state(obj) -> tuple:
    """The codes, and the label objects that there are."""
    return code_tables.codes_of(obj).tobytes(), len(code_tables.parts_of(obj))


def join(obj) -> None:
    choose(obj, "A", "B")
    bpy.ops.bgs.join_labels()


def reassign_to(obj) -> None:
    choose(obj, "B")
    bpy.ops.bgs.reassign(target=str(label_named(obj, "A")))


def reassign_from(obj) -> None:
    choose(obj, "A")
    bpy.ops.bgs.reassign(target="NEW")


def move_to_parent(obj) -> None:
    obj.bgs.level = 2
    bits = code_tables.bit_layout_of(obj)
    child = next(r for r in obj.bgs.labels if r.level == 2 and bits.parent(r.label, 2) == label_named(obj, "A"))
    label_selection.select_labels(obj, [(2, child.label)])
    bpy.ops.bgs.move_to_parent(parent=str(label_named(obj, "B")))


def split(obj) -> None:
    choose(obj, "A", "B")
    bpy.ops.bgs.split_label(distance=0.05, least=0)


def click_add(obj) -> None:
    accept(bpy.context.scene, obj, rows_of(obj, "B"), ADD)


def click_take(obj) -> None:
    accept(bpy.context.scene, obj, rows_of(obj, "A") & (np.arange(6000) % 2 == 0), TAKE)


def click_new(obj) -> None:
    accept(bpy.context.scene, obj, rows_of(obj, "A") & (np.arange(6000) % 2 == 0), NEW)


def remove_and_fill(obj) -> None:
    bpy.ops.bgs.make_collections()
    choose(obj, "A")
    bpy.ops.bgs.remove_and_fill()


def merge_back(obj) -> None:
    bpy.ops.bgs.make_collections()
    bpy.data.objects.remove(bpy.data.objects["A"])
    bpy.ops.bgs.merge_back()


EDITS = (
    join, reassign_to, reassign_from, move_to_parent, split, click_add, click_take, click_new, remove_and_fill,
    merge_back,
)  # fmt: skip
# What the names above stand for, and what the test below does. The other operators of the menu change no label.
EDITING = {
    "bgs.join_labels", "bgs.reassign", "bgs.move_to_parent", "bgs.split_label", "bgs.accept_suggestion",
    "bgs.remove_and_fill", "bgs.merge_back", "bgs.accept_crumbs",
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_a_locked_label_is_refused_by_name_and_nothing_changes(obj, edit: Callable) -> None:
    before = code_tables.codes_of(obj)
    with pytest.raises(Exception, match=r"A is locked"):
        edit(obj)
    assert np.array_equal(code_tables.codes_of(obj), before)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_the_same_edit_works_when_it_is_unlocked(obj, edit: Callable) -> None:
    bpy.ops.bgs.lock_labels(unlock=True)
    before = state(obj)
    edit(obj)
    assert state(obj) not in (before, (before[0], 4))  # some edits make the four objects themselves


def test_a_suggestion_leaves_locked_labels_out(obj) -> None:
    before, both = code_tables.codes_of(obj), rows_of(obj, "A") | rows_of(obj, "B")
    message = accept(bpy.context.scene, obj, both & (np.arange(6000) % 2 == 0), NEW)
    assert "A is locked and was left out" in message
    changed = code_tables.codes_of(obj) != before
    assert changed.sum() == 750 and not changed[rows_of(obj, "A")].any()  # every second of the 1,500 of B


def test_crumbs_of_locked_labels_are_left_out(obj, monkeypatch) -> None:
    """A floater of A and one of B: only that of B goes."""
    from bgs_engine.cutouts.crumbs import FLOATER

    a, b = (int(np.flatnonzero(rows_of(obj, name))[0]) for name in "AB")
    crumbs.propose(obj, 0.5, False)
    proposal = crumbs._proposals[obj.session_uid]
    kinds = np.zeros(6000, np.uint8)
    kinds[[a, b]] = FLOATER
    proposal.crumbs = type("Made", (), {"at": lambda _self, _strength: kinds, "hosts": np.zeros(6000, int)})()
    label_selection.select(obj, kinds > 0)
    before = code_tables.codes_of(obj)
    found, note = crumbs.accept_selected(bpy.context.scene, obj)
    assert np.flatnonzero(found).tolist() == [b] and "A is locked and was left out" in note
    assert np.flatnonzero(code_tables.codes_of(obj) != before).tolist() == [b]


def test_edits_of_other_labels_go_on(obj) -> None:
    choose(obj, "B", "C")
    assert bpy.ops.bgs.join_labels() == {"FINISHED"}
    assert [row.name for row in obj.bgs.labels if row.locked] == ["A"]


def test_locked_parents_and_children_count(obj) -> None:
    """A lock of a finer label refuses a join of its parent too, because its Gaussians would change."""
    bpy.ops.bgs.lock_labels(unlock=True)
    bits = code_tables.bit_layout_of(obj)
    child = next(r for r in obj.bgs.labels if r.level == 2 and bits.parent(r.label, 2) == label_named(obj, "B"))
    child.name, child.locked = "Half", True
    choose(obj, "A", "B")
    with pytest.raises(RuntimeError, match="Half is locked"):
        bpy.ops.bgs.join_labels()


def test_lock_labels_is_for_the_selected_ones(obj) -> None:
    choose(obj, "B", "C")
    bpy.ops.bgs.lock_labels()
    assert {row.name for row in obj.bgs.labels if row.locked} == {"A", "B", "C"}
    bpy.ops.bgs.lock_labels(unlock=True)
    assert {row.name for row in obj.bgs.labels if row.locked} == {"A"}


def test_the_list_of_editing_operators_is_complete() -> None:
    listed = {name for group in menu.MENU for name in group}
    assert listed >= EDITING

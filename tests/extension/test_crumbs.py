"""Find Crumbs and Accept: what is selected, which codes come out, names, objects, undo, and what they refuse."""

import bpy
import numpy as np
import pytest

from bgs_engine.core.codes import BitLayout
from blender_bgs.cloud import code_tables, labels, point_clouds, selection
from blender_bgs.labelling import crumbs
from blender_bgs.logic import attributes as at
from tests.helpers import made_crumbs
from tests.helpers.made_crumbs import BOARD, FLOATERS, LEFT, LEVEL_BITS, RIGHT

LAYOUT = BitLayout(LEVEL_BITS)


@pytest.fixture
def boards(tmp_path):
    """The splat of `made_crumbs`, imported; (object, codes, row of the stray)."""
    path, codes = made_crumbs.write(tmp_path / "boards.ply")
    bpy.ops.bgs.import_splat(filepath=str(path), level_bits="4,4,4")
    crumbs.forget()
    return bpy.context.view_layer.objects.active, codes, len(codes) - 1


def spoilt(stray: int) -> np.ndarray:
    return np.arange(stray + 1) >= 2 * BOARD


def test_find_selects_and_changes_nothing_else(boards) -> None:
    obj, codes, stray = boards
    assert bpy.ops.bgs.find_crumbs() == {"FINISHED"}
    assert np.array_equal(selection.selected(obj), spoilt(stray))
    assert np.array_equal(code_tables.codes_of(obj), codes)
    assert bpy.ops.bgs.find_crumbs(strength=0) == {"FINISHED"}
    assert not selection.selected(obj).any()


def test_only_selected_and_only_visible(boards) -> None:
    obj, _, stray = boards
    right = next(row for row in obj.bgs.labels if row.level == 1 and row.label == RIGHT[0])
    left = next(row for row in obj.bgs.labels if row.level == 1 and row.label == LEFT[0])
    with pytest.raises(RuntimeError, match="No label of this level is selected"):
        bpy.ops.bgs.find_crumbs(only_selected=True)
    bpy.ops.bgs.select_label(index=list(obj.bgs.labels).index(right))
    bpy.ops.bgs.find_crumbs(only_selected=True)
    assert not selection.selected(obj).any()  # the right board has no crumbs
    bpy.ops.bgs.select_label(index=list(obj.bgs.labels).index(left))
    bpy.ops.bgs.find_crumbs(only_selected=True)
    assert np.array_equal(selection.selected(obj), spoilt(stray))
    left.hidden = True
    bpy.ops.bgs.find_crumbs()
    assert not selection.selected(obj).any()


@pytest.mark.parametrize("level", [1, 3])
def test_accept_makes_one_label_and_gives_strays_back(boards, level) -> None:
    obj, codes, stray = boards
    labels.find(obj, 1, LEFT[0]).name = "Table"
    obj.bgs.level = level
    bpy.ops.bgs.find_crumbs()
    assert bpy.ops.bgs.accept_crumbs() == {"FINISHED"}
    after = code_tables.codes_of(obj)
    assert np.array_equal(after[: 2 * BOARD], codes[: 2 * BOARD])
    assert after[stray] == codes[BOARD]  # all levels of the right board
    row = next(row for row in obj.bgs.labels if row.name == "Crumbs" and row.level == 1)
    assert row.count == FLOATERS and row.label == 0
    assert next(row for row in obj.bgs.labels if row.name == "Floaters").level == 2
    assert labels.find(obj, 1, LEFT[0]).name == "Table" and labels.find(obj, 1, LEFT[0]).count == BOARD
    assert np.flatnonzero(selection.selected(obj)).tolist() == list(range(2 * BOARD, 2 * BOARD + FLOATERS))
    bpy.ops.bgs.find_crumbs(strength=1)
    assert not selection.selected(obj).any()  # accepted crumbs are not proposed again


def test_accept_takes_what_is_still_selected_and_joins_the_label_of_before(boards) -> None:
    obj, _, stray = boards
    bpy.ops.bgs.find_crumbs()
    some = spoilt(stray)
    some[[2 * BOARD, stray]] = False
    selection_column = at.Column(at.SELECTED, "BOOLEAN", some)
    point_clouds.set_column(obj.data, selection_column)
    bpy.ops.bgs.accept_crumbs()
    first = next(row for row in obj.bgs.labels if row.name == "Crumbs" and row.level == 1)
    assert first.count == FLOATERS - 1
    number = first.label
    bpy.ops.bgs.find_crumbs()
    bpy.ops.bgs.accept_crumbs()
    found = [row for row in obj.bgs.labels if row.name == "Crumbs" and row.level == 1]
    assert [(row.label, row.count) for row in found] == [(number, FLOATERS)]


def test_crumbs_are_hidden_where_labels_are(boards) -> None:
    obj, _, _ = boards
    rows = list(obj.bgs.labels)
    bpy.ops.bgs.isolate_label(index=next(i for i, r in enumerate(rows) if (r.level, r.label) == (1, LEFT[0])))
    bpy.ops.bgs.find_crumbs()
    bpy.ops.bgs.accept_crumbs()
    hidden = {row.name: row.hidden for row in obj.bgs.labels if row.level == 1}
    assert hidden.pop("Crumbs") and sorted(hidden.values()) == [False, True]
    bpy.ops.bgs.show_all()
    assert not any(row.hidden for row in obj.bgs.labels)


def test_strays_alone_make_no_label(boards) -> None:
    obj, codes, stray = boards
    bpy.ops.bgs.find_crumbs()
    point_clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", np.arange(stray + 1) == stray))
    bpy.ops.bgs.accept_crumbs()
    assert [row.count for row in obj.bgs.labels if row.level == 1] == [BOARD + FLOATERS, BOARD + 1]
    assert code_tables.codes_of(obj)[stray] == codes[BOARD] and not selection.selected(obj).any()


def test_accept_is_one_undo_step(boards) -> None:
    obj, codes, stray = boards
    name = obj.name
    bpy.ops.bgs.find_crumbs()
    bpy.ops.ed.undo_push(message="found")
    bpy.ops.bgs.accept_crumbs()
    bpy.ops.ed.undo_push(message="accepted")
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert np.array_equal(code_tables.codes_of(obj), codes)
    assert not any(row.name == "Crumbs" for row in obj.bgs.labels)
    assert np.array_equal(selection.selected(obj), spoilt(stray))  # so Accept can be pressed again
    assert bpy.ops.bgs.accept_crumbs() == {"FINISHED"}


def test_label_objects_lose_crumbs(boards) -> None:
    obj, _, _ = boards
    bpy.ops.bgs.make_collections()
    bpy.ops.bgs.find_crumbs()
    bpy.ops.bgs.accept_crumbs()
    sizes = {part.name: len(part.data.points) for part in code_tables.parts_of(obj)}
    assert sizes["Crumbs"] == FLOATERS
    assert sorted(sizes.values()) == [FLOATERS, BOARD, BOARD + 1]


def test_refusals(boards) -> None:
    obj, codes, _ = boards
    assert not bpy.ops.bgs.accept_crumbs.poll()  # nothing was proposed
    bpy.ops.bgs.find_crumbs()
    positions = point_clouds.need_column(obj.data, at.POSITION)
    point_clouds.set_column(obj.data, at.Column(at.POSITION, "FLOAT_VECTOR", positions + np.float32(1)))
    with pytest.raises(RuntimeError, match="changed since"):
        bpy.ops.bgs.accept_crumbs()
    point_clouds.set_column(obj.data, at.Column(at.POSITION, "FLOAT_VECTOR", positions))
    bpy.ops.bgs.select_label(index=0)  # one board: none of it was proposed
    board = selection.selected(obj)
    board[2 * BOARD :] = False
    point_clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", board))
    with pytest.raises(RuntimeError, match="None of the proposed"):
        bpy.ops.bgs.accept_crumbs()
    assert np.array_equal(code_tables.codes_of(obj), codes)


def test_a_full_level_1_is_refused(boards) -> None:
    obj, _, stray = boards
    full = np.arange(stray + 1) % 16
    codes = LAYOUT.pack([np.where(spoilt(stray), LEFT[0], full), np.zeros(stray + 1), np.zeros(stray + 1)])
    labels.replace_codes(obj, codes)
    bpy.ops.bgs.find_crumbs(strength=1)
    with pytest.raises(RuntimeError, match="All 16 labels of level 1"):
        bpy.ops.bgs.accept_crumbs()
    assert np.array_equal(code_tables.codes_of(obj), codes)


def test_the_sliders_steps_search_once(boards, monkeypatch) -> None:
    searched = []
    search = crumbs.find_crumbs
    monkeypatch.setattr(crumbs, "find_crumbs", lambda *rest: (searched.append(1), search(*rest))[1])
    for strength in (0.2, 0.6, 1.0):
        bpy.ops.bgs.find_crumbs(strength=strength)
    assert len(searched) == 1
    boards[0].bgs.level = 2
    bpy.ops.bgs.find_crumbs()
    assert len(searched) == 2


def test_crumbs_do_not_enlarge_the_frame_of_an_object(boards) -> None:
    obj, _, _ = boards
    bpy.ops.bgs.make_collections()
    left = next(part for part in code_tables.parts_of(obj) if part.bgs.part_key == LEFT[0])
    evaluated = left.evaluated_get(bpy.context.evaluated_depsgraph_get())
    corners = np.array([corner[:] for corner in evaluated.bound_box])
    assert np.ptp(corners, axis=0).max() < 3.0  # the board is 2.9 wide; its crumbs are up to 11 away

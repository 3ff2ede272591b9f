"""Select by Condition on four balls whose sizes, places and colours are known."""

import threading

import bpy
import numpy as np
import pytest

from blender_bgs.cloud import label_selection, point_clouds
from blender_bgs.labelling import label_facts
from blender_bgs.logic import attributes as at
from tests.helpers import made_splat


@pytest.fixture
def obj(tmp_path):
    """Four balls of radius 1, A to D: red, green, blue and yellow. B is half as large, C sits on A, D is far."""
    rows, codes = made_splat.made_splat()
    centers = np.repeat(np.array([(-2, 0, -2), (2, 0, -2), (-2, 0, 2), (2, 0, 2)]), 1500, 0)
    offset = np.stack([rows[axis] for axis in "xyz"], 1) - centers
    offset[1500:3000] /= 2
    places = np.repeat(np.array([(0, 0, 0), (1.4, 0, 0), (0, -1.95, 0), (9, 0, 0)]), 1500, 0)  # -y points up
    for axis, values in zip("xyz", (places + offset).T, strict=True):
        rows[axis] = values
    rows["opacity"][4500:] = -1.5  # 0.18 for all of D; the others have 0.73 to 0.99
    bpy.ops.bgs.import_splat(filepath=str(made_splat.write(tmp_path / "a.ply", made_splat.with_codes(rows, codes))))
    found = bpy.context.view_layer.objects.active
    found.bgs.level = 1
    for label, name in zip(codes[::1500].view(np.uint32) >> 20, "ABCD", strict=True):
        next(row for row in found.bgs.labels if (row.level, row.label) == (1, label)).name = name
    activate(found, "A")
    label_selection.select(found, np.zeros(6000, bool))
    return found


def activate(obj, name: str) -> None:
    obj.bgs.label_index = next(i for i, row in enumerate(obj.bgs.labels) if row.name == name)


def by(obj, kind: str, **values) -> str:
    """The names that a condition selects."""
    assert bpy.ops.bgs.select_by_condition(kind=kind, **values) == {"FINISHED"}
    return "".join(sorted(row.name for row in obj.bgs.labels if row.level == 1 and row.selected))


def test_numbers(obj) -> None:
    assert by(obj, "SIZE", size_least=1.2) == "ACD"  # diameters 2, 1, 2, 2
    assert by(obj, "SIZE", compare="MOST", size_most=1.2) == "B"
    assert by(obj, "SIZE", compare="BETWEEN", size_least=0.5, size_most=1.2) == "B"
    assert by(obj, "COUNT", count_least=1500) == "ABCD"
    assert by(obj, "COUNT", count_least=1501) == ""
    assert by(obj, "OPACITY", opacity_least=0.5) == "ABC"
    assert by(obj, "HEIGHT", height_least=1.0) == "C"
    assert by(obj, "HEIGHT", compare="MOST", height_most=1.0) == "ABD"


def test_colors(obj) -> None:
    assert by(obj, "COLOR", color=(0.9, 0.15, 0.1)) == "A"
    assert by(obj, "COLOR", color=(0.15, 0.3, 0.95)) == "C"
    assert by(obj, "COLOR", color=(0.15, 0.3, 0.95), tolerance=1.0) == "ABCD"


def test_places_are_where_one_sees_things(obj) -> None:
    bpy.context.scene.cursor.location = (9, 0, 0)
    assert by(obj, "SPHERE", reach=1.2) == "D"
    assert by(obj, "BOX", reach=1.2) == "D"
    assert by(obj, "BOX", around="ACTIVE", reach=0.0) == "A"
    assert by(obj, "SPHERE", around="ACTIVE", reach=0.5) == "ABC"
    bpy.ops.bgs.make_collections()
    bpy.data.objects["B"].location.x += 7.6
    bpy.context.view_layer.update()
    assert by(obj, "SPHERE", reach=1.2) == "BD"
    obj.location.z = 3  # the whole cloud is hidden, but it is where new things are measured from
    bpy.context.view_layer.update()


def test_sizes_are_those_of_the_scene(obj) -> None:
    obj.scale = (2, 2, 2)
    bpy.context.view_layer.update()
    assert by(obj, "SIZE", size_least=3.0) == "ACD"


def test_relations_to_the_active_label(obj) -> None:
    assert by(obj, "TOUCHING") == "BC"
    assert by(obj, "ABOVE") == "C"
    assert by(obj, "INSIDE") == ""
    activate(obj, "D")
    assert by(obj, "TOUCHING") == ""


def test_what_is_hidden_stays_out_unless_asked_for(obj) -> None:
    next(row for row in obj.bgs.labels if row.name == "C").hidden = True
    half = next(row for row in obj.bgs.labels if row.level == 2 and row.key >> 10 == obj.bgs.active_label().key)
    half.hidden = True
    assert by(obj, "COUNT") == "ABD"
    assert by(obj, "TOUCHING") == "B"
    assert by(obj, "VISIBILITY", seen="HIDDEN") == "C"
    assert by(obj, "VISIBILITY", seen="PARTLY") == "A"
    assert by(obj, "VISIBILITY", seen="SHOWN") == "BD"


@pytest.mark.parametrize(("mode", "expected"), [("SET", "ACD"), ("ADD", "ABCD"), ("SUB", "B"), ("AND", "A")])
def test_modes(obj, mode: str, expected: str) -> None:
    label_selection.select_labels(obj, [(1, row.label) for row in obj.bgs.labels if row.name in ("A", "B")])
    assert by(obj, "SIZE", size_least=1.2, mode=mode) == expected


def test_confidence_is_needed_for_confidence(obj) -> None:
    with pytest.raises(RuntimeError, match="no confidence"):
        bpy.ops.bgs.select_by_condition(kind="CONFIDENCE")
    values = np.repeat(np.array([0.9, 0.2, 0.3, 0.8], np.float32), 1500)
    point_clouds.set_column(obj.data, at.Column(at.CONFIDENCE, "FLOAT", values))
    assert by(obj, "CONFIDENCE") == "AD"


def test_a_relation_needs_an_active_label(obj) -> None:
    obj.bgs.label_index = next(i for i, row in enumerate(obj.bgs.labels) if row.level == 2)
    with pytest.raises(RuntimeError, match="No label of this level is active"):
        bpy.ops.bgs.select_by_condition(kind="TOUCHING")


def test_the_selection_grows_and_shrinks_along_neighbours(obj) -> None:
    def grow(shrink: bool) -> str:
        bpy.ops.bgs.grow_to_neighbours(shrink=shrink)
        return "".join(sorted(row.name for row in obj.bgs.labels if row.level == 1 and row.selected))

    label_selection.select_labels(obj, [(1, row.label) for row in obj.bgs.labels if row.name == "C"])
    assert grow(shrink=False) == "AC"
    assert grow(shrink=False) == "ABC"
    assert grow(shrink=True) == "ABC"  # D touches none of them
    label_selection.select_labels(obj, [(1, row.label) for row in obj.bgs.labels if row.name in ("A", "C")])
    assert grow(shrink=True) == "C"  # A touches B, which is not selected


def test_facts_are_computed_ahead_by_a_thread(obj) -> None:
    label_facts.forget()
    label_facts.ask_ahead(obj)
    wanted = label_facts._ahead
    label_facts.ask_ahead(obj)
    assert label_facts._ahead is wanted  # the second call asks for nothing
    label_facts._start_ahead(*wanted)
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(20)
    kept = label_facts.facts_of(obj)
    assert {"statistics", "graph"} <= vars(kept).keys()
    obj.bgs.level = 2
    label_facts.ask_ahead(obj)
    assert label_facts._ahead != wanted


def test_what_was_kept_is_not_used_after_an_edit_of_the_points(obj) -> None:
    first = label_facts.facts_of(obj)
    assert label_facts.facts_of(obj) is first
    position = point_clouds.need_column(obj.data, at.POSITION)
    position[1500:3000] *= 3
    point_clouds.set_column(obj.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))
    assert by(obj, "SIZE", size_least=2.5) == "B"

"""Name Labels: names that describe; names that people gave stay; objects, run folder and a second Segment."""

import bpy
import numpy as np
import pytest

from bgs_engine.core.label_table import is_automatic
from blender_bgs.cloud import label_selection, labels
from blender_bgs.logic.carry_over import LabelSettings


@pytest.fixture
def obj(coded):
    coded[0].bgs.level = 1
    return coded[0]


def names(obj, level: int = 1) -> list[str]:
    return [row.name for row in obj.bgs.labels if row.level == level]


def test_four_balls_are_named_by_their_colours(obj) -> None:
    assert bpy.ops.bgs.name_labels() == {"FINISHED"}
    for color in ("red", "green", "blue", "yellow"):
        assert sum(color in name for name in names(obj)) == 1, names(obj)
    for level in (1, 2, 3):
        assert len(set(names(obj, level))) == len(names(obj, level))
    assert all(row.name == row.automatic for row in obj.bgs.labels)


def test_a_name_of_a_person_stays_and_an_empty_one_becomes_the_automatic_one(obj) -> None:
    obj.bgs.labels[0].name = "Mine"
    bpy.ops.bgs.name_labels()
    assert names(obj)[0] == "Mine" and obj.bgs.labels[0].automatic
    obj.bgs.labels[0].name = ""
    assert obj.bgs.labels[0].name == obj.bgs.labels[0].automatic
    bpy.ops.bgs.name_labels()
    assert "Mine" not in names(obj)


def test_objects_and_collections_get_the_names(obj) -> None:
    bpy.ops.bgs.make_collections()
    bpy.ops.bgs.name_labels()
    bpy.context.view_layer.update()
    assert {part.name for part in labels.code_tables.parts_of(obj)} == set(names(obj))


def test_automatic_names_do_not_go_to_a_second_run() -> None:
    key, new = (1, 4), (1, 9)
    settings = LabelSettings(names={key: "red ball"}, automatic={key: "red ball"})
    assert not settings.for_new_labels({key: new}).names
    settings.names[key] = "Mars"
    assert settings.for_new_labels({key: new}).names == {new: "Mars"}
    assert settings.renumbered({key: new}).automatic == {new: "red ball"}


def test_an_edit_keeps_the_automatic_names(obj) -> None:
    bpy.ops.bgs.name_labels()
    before = names(obj)
    label_selection.select_labels(obj, [(1, row.label) for row in obj.bgs.labels if row.name in before[:2]])
    bpy.ops.bgs.join_labels()
    assert set(names(obj)) < set(before) and len(names(obj)) == 3
    assert all(is_automatic(row.name, row.automatic) for row in obj.bgs.labels if row.level == 1)


def test_copies_are_added_by_name(obj) -> None:
    for row, name in zip(list(obj.bgs.labels)[:4], ("chair 1", "chair 2", "chair 10", "chair"), strict=True):
        row.name = name
    label_selection.select_labels(obj, [(1, obj.bgs.labels[0].label)])
    assert bpy.ops.bgs.select_copies() == {"FINISHED"}
    assert {row.name for row in label_selection.selected_labels(obj)} == {"chair 1", "chair 2", "chair 10"}


def test_search_shows_and_selects_by_name(obj) -> None:
    for row, name in zip(list(obj.bgs.labels)[:4], ("Chair 1", "Table", "chair 2", "Lamp"), strict=True):
        row.name = name
    assert bpy.ops.bgs.select_by_name(text="CHAIR ") == {"FINISHED"}
    assert {row.name for row in label_selection.selected_labels(obj)} == {"Chair 1", "chair 2"}
    bpy.ops.bgs.select_by_name(text="2", mode="SUB")
    assert {row.name for row in label_selection.selected_labels(obj)} == {"Chair 1"}
    with pytest.raises(RuntimeError, match="No text"):
        bpy.ops.bgs.select_by_name(text=" ")
    assert np.array_equal([row.selected for row in obj.bgs.labels][:4], [True, False, False, False])

"""One selection model: the label list, the label objects and the operators agree, at every level."""

import bpy
import numpy as np
import pytest

from bgs_engine.core.codes import unsigned
from blender_bgs.cloud import code_tables, label_selection, labels, point_clouds, redraw, selection
from blender_bgs.logic import attributes as at
from blender_bgs.parts import label_objects, missing

# The made splat has 4 labels at level 1, each with 2 children, each with 2 children again.


def keys(obj, name: str, level: int) -> set[int]:
    """The labels of a level whose mark `name` is set."""
    return {row.label for row in obj.bgs.labels if row.level == level and getattr(row, name)}


def below(obj, label: int, level: int) -> set[int]:
    """The descendants of a label of level 1."""
    layout = obj.bgs.bits
    return {row.label for row in obj.bgs.labels if row.level == level
            and row.label >> (layout.bits_to(level) - layout.bits_to(1)) == label}  # fmt: skip


def index_of(obj, level: int, label: int) -> int:
    return next(i for i, row in enumerate(obj.bgs.labels) if (row.level, row.label) == (level, label))


def object_of(obj, label: int):
    return next(part for part in code_tables.parts_of(obj) if unsigned(part.bgs.part_key) == label)


def test_what_is_shown_carries_over_to_other_levels(coded) -> None:
    obj, _, _ = coded
    alone = obj.bgs.labels[2].label
    bpy.ops.bgs.isolate_label(index=2)
    for level in (1, 2, 3):
        obj.bgs.level = level
        everything = {row.label for row in obj.bgs.labels if row.level == level}
        shown = {alone} if level == 1 else below(obj, alone, level)
        assert everything - keys(obj, "hidden", level) == shown
    obj.bgs.level = 2
    bpy.ops.bgs.make_collections(only="SHOWN")
    assert {unsigned(part.bgs.part_key) for part in code_tables.parts_of(obj)} == below(obj, alone, 2)


def test_a_label_is_hidden_when_all_its_children_are(coded) -> None:
    obj, _, _ = coded
    parent = obj.bgs.labels[1].label
    first, second = sorted(below(obj, parent, 2))
    labels.find(obj, 2, first).hidden = True
    assert keys(obj, "hidden", 1) == set() and keys(obj, "hidden", 2) == {first}
    labels.find(obj, 2, second).hidden = True
    assert keys(obj, "hidden", 1) == {parent}
    labels.find(obj, 3, min(below(obj, parent, 3))).hidden = False  # a grandchild opens its parents, and no others
    assert keys(obj, "hidden", 1) == set() and keys(obj, "hidden", 2) == {second}


def test_what_is_selected_carries_over_to_other_levels(coded) -> None:
    obj, _, _ = coded
    label = obj.bgs.labels[1].label
    obj.bgs.label_index = 1  # a click on the row
    for level in (1, 2, 3):
        assert keys(obj, "selected", level) == ({label} if level == 1 else below(obj, label, level))
    assert np.array_equal(selection.selected(obj), code_tables.table_of(obj).rows(1, label))
    half = min(below(obj, label, 2))
    label_selection.select_labels(obj, [(2, half)])
    assert keys(obj, "selected", 1) == set() and keys(obj, "partly", 1) == {label}
    obj.bgs.level = 2
    assert [row.label for row in label_selection.selected_labels(obj)] == [half]


def test_the_active_label_follows_the_level(coded) -> None:
    obj, _, _ = coded
    label = obj.bgs.labels[3].label
    obj.bgs.label_index = 3
    obj.bgs.level = 3
    assert obj.bgs.active_label().label in below(obj, label, 3)
    obj.bgs.level = 1
    assert obj.bgs.active_label().label == label


def test_clicks_with_keys_as_in_the_outliner(coded) -> None:
    obj, _, _ = coded
    order = [row.label for row in obj.bgs.labels if row.level == 1]
    bpy.ops.bgs.select_label(index=1)
    bpy.ops.bgs.select_label(index=3, fill=True)  # Shift
    assert keys(obj, "selected", 1) == set(order[1:4])
    bpy.ops.bgs.select_label(index=2, extend=True)  # Ctrl takes out
    assert keys(obj, "selected", 1) == {order[1], order[3]}
    bpy.ops.bgs.select_label(index=0, extend=True)  # Ctrl adds
    assert keys(obj, "selected", 1) == {order[0], order[1], order[3]}
    bpy.ops.bgs.select_label(index=2)
    assert keys(obj, "selected", 1) == {order[2]}
    bpy.ops.bgs.select_none()
    assert keys(obj, "selected", 1) == keys(obj, "partly", 1) == set()


def test_objects_are_selected_with_their_labels_both_ways(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    a, b = obj.bgs.labels[0].label, obj.bgs.labels[1].label
    for part in code_tables.parts_of(obj):
        part.select_set(unsigned(part.bgs.part_key) == a)
    bpy.context.view_layer.update()  # what Blender does after a click
    assert keys(obj, "selected", 1) == {a}
    object_of(obj, b).select_set(True)
    bpy.context.view_layer.update()
    assert keys(obj, "selected", 1) == {a, b} and selection.selected(obj).sum() == 3000
    bpy.ops.bgs.select_label(index=2)
    assert [unsigned(p.bgs.part_key) for p in code_tables.parts_of(obj) if p.select_get()] == [obj.bgs.labels[2].label]


def test_a_click_on_an_object_makes_its_label_active(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    order = [row.label for row in obj.bgs.labels if row.level == 1]

    def click(rank: int, extend: bool = False) -> None:
        """What Blender does: the clicked object is selected and becomes the active one."""
        for part in code_tables.parts_of(obj):
            part.select_set(part == object_of(obj, order[rank]) or (extend and part.select_get()))
        bpy.context.view_layer.objects.active = object_of(obj, order[rank])
        bpy.context.view_layer.update()

    click(2)
    assert obj.bgs.active_label().label == order[2]
    click(3, extend=True)
    assert obj.bgs.active_label().label == order[3] and keys(obj, "selected", 1) == set(order[2:4])
    click(2, extend=True)  # it was selected already, and becomes the active one
    assert obj.bgs.active_label().label == order[2] and keys(obj, "selected", 1) == set(order[2:4])
    bpy.ops.bgs.select_label(index=index_of(obj, 1, order[0]))
    bpy.ops.bgs.select_label(index=index_of(obj, 1, order[3]), fill=True)  # selects the active object; no click on it
    bpy.context.view_layer.update()
    assert obj.bgs.active_label().label == order[0]
    obj.bgs.level = 2
    click(1)
    assert obj.bgs.active_label().level == 2 and obj.bgs.active_label().label in below(obj, order[1], 2)


def test_show_all_makes_the_objects_that_are_missing(coded) -> None:
    obj, _, _ = coded
    order = [row.label for row in obj.bgs.labels if row.level == 1]
    bpy.ops.bgs.select_label(index=1)
    bpy.ops.bgs.isolate_label()
    bpy.ops.bgs.make_collections(only="SELECTED")
    part = object_of(obj, order[1])
    part.location.x += 2
    place = part.location.x
    assert missing.missing_objects(obj) == set(order) - {order[1]} and obj.hide_viewport
    bpy.ops.bgs.show_all()
    parts = code_tables.parts_of(obj)
    assert {unsigned(p.bgs.part_key) for p in parts} == set(order) and missing.missing_objects(obj) == set()
    assert all(p.visible_get() for p in parts) and sum(len(p.data.points) for p in parts) == len(obj.data.points)
    assert object_of(obj, order[1]) == part and part.location.x == place  # what was there keeps its place
    label_objects.remove_part(object_of(obj, order[0]))
    bpy.ops.bgs.show_all()
    assert len(code_tables.parts_of(obj)) == 3  # a deleted object stays deleted


def test_show_all_overwrites_no_edited_points(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.select_label(index=1)
    bpy.ops.bgs.make_collections(only="SELECTED")
    (part,) = code_tables.parts_of(obj)
    position = point_clouds.need_column(part.data, at.POSITION)
    position[0] += 1
    point_clouds.set_column(part.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))
    said = missing.make_missing(bpy.context.scene, obj)
    assert said == "3 labels have no objects. Press Make Collections > All at level 1"
    bpy.ops.bgs.show_all()
    assert len(code_tables.parts_of(obj)) == 1
    assert np.array_equal(point_clouds.need_column(part.data, at.POSITION), position)


def test_the_sidebars_are_drawn_anew_when_labels_change(coded, monkeypatch) -> None:
    """The mouse may have left them, and then Blender draws only the region where it is."""
    obj, _, _ = coded
    drawn: list[set[tuple[str, str]]] = []
    monkeypatch.setattr(redraw, "regions", drawn.append)
    for change in (
        lambda: bpy.ops.bgs.isolate_label(index=1),
        lambda: bpy.ops.bgs.show_all(),
        lambda: label_selection.select_labels(obj, [(1, obj.bgs.labels[2].label)]),
        lambda: labels.activate(obj, (1, obj.bgs.labels[3].label)),
    ):
        drawn.clear()
        change()
        assert {("VIEW_3D", "UI")} in drawn
    drawn.clear()
    bpy.ops.bgs.show_all()  # nothing changes
    assert not drawn


def test_the_eye_of_an_object_is_that_of_its_label(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    a, b = obj.bgs.labels[0].label, obj.bgs.labels[1].label
    object_of(obj, a).hide_set(True)
    bpy.context.view_layer.update()
    assert keys(obj, "hidden", 1) == {a}
    assert (point_clouds.need_column(object_of(obj, a).data, at.RADIUS) == 0).all()
    labels.find(obj, 1, b).hidden = True
    assert object_of(obj, b).hide_get()
    bpy.ops.bgs.show_all()
    assert not any(part.hide_get() for part in code_tables.parts_of(obj))
    object_of(obj, b).hide_viewport = True
    bpy.context.view_layer.update()
    assert keys(obj, "hidden", 1) == {b}
    labels.find(obj, 1, b).hidden = False
    assert not object_of(obj, b).hide_viewport


def test_new_objects_have_the_eyes_and_the_selection_of_their_labels(coded) -> None:
    obj, _, _ = coded
    obj.bgs.labels[0].hidden = True
    bpy.ops.bgs.select_label(index=2)
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    found = {unsigned(part.bgs.part_key): part for part in code_tables.parts_of(obj)}
    assert [label for label, part in found.items() if part.hide_get()] == [obj.bgs.labels[0].label]
    assert [label for label, part in found.items() if part.select_get()] == [obj.bgs.labels[2].label]


def test_deselecting_all_objects_deselects_single_gaussians_too(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    bpy.ops.bgs.select_label(index=0)
    for part in code_tables.parts_of(obj):
        part.select_set(False)
    bpy.context.view_layer.update()
    assert not selection.selected(obj).any()


def test_objects_and_labels_agree_after_undo(coded) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections()
    bpy.ops.bgs.select_none()
    name, label = obj.name, obj.bgs.labels[1].label
    bpy.ops.ed.undo_push(message="none")
    object_of(obj, label).select_set(True)
    bpy.context.view_layer.objects.active = object_of(obj, label)
    object_of(obj, label).hide_set(False)
    bpy.ops.ed.undo_push(message="Blender selects")  # before any handler runs, as in a window
    bpy.context.view_layer.update()
    labels.find(obj, 1, label).hidden = True
    bpy.ops.ed.undo_push(message="hidden")
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert object_of(obj, label).select_get() and keys(obj, "selected", 1) == {label}
    assert obj.bgs.active_label().label == label
    assert not object_of(obj, label).hide_get() and keys(obj, "hidden", 1) == set()
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert keys(obj, "selected", 1) == set()


@pytest.mark.usefixtures("coded")
def test_export_writes_the_selected_labels(tmp_path) -> None:
    out = tmp_path / "two.ply"
    with pytest.raises(RuntimeError, match="No label of this level is selected"):
        bpy.ops.bgs.export_splat(filepath=str(out), what="LABEL")
    bpy.ops.bgs.select_label(index=0)
    bpy.ops.bgs.select_label(index=2, extend=True)
    bpy.ops.bgs.export_splat(filepath=str(out), what="LABEL")
    assert b"element vertex 3000\n" in out.read_bytes()[:2000]

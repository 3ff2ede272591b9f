"""Fill: deleted, removed and moved label objects leave holes, which a label of its own closes."""

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from bgs_engine.io.gaussians import SH_C0, load_gaussians
from bgs_engine.io.ply import read_ply
from bgs_engine.io.run_folder import codes_in
from blender_bgs.cloud import code_tables, point_clouds
from blender_bgs.labelling import editing
from blender_bgs.logic import attributes as at
from blender_bgs.parts import filling, label_objects
from tests.helpers import made_hole
from tests.helpers.made_hole import BOX, FLOOR, GREY, HOLE, LAYOUT, STEP


@pytest.fixture
def room(tmp_path):
    """The whole cloud of a floor with a hole below a box, with its label objects."""
    path, _ = made_hole.write(tmp_path / "room.ply")
    bpy.ops.bgs.import_splat(filepath=str(path), level_bits="4,4,4", up_axis="Z")
    whole = bpy.context.view_layer.objects.active
    bpy.ops.bgs.make_collections()
    return whole


def part(whole, label: int):
    found = [one for one in code_tables.parts_of(whole) if one.bgs.part_key == label]
    return found[0] if found else None


def fill_of(whole):
    """The label object of the fill, by its name."""
    return next((one for one in code_tables.parts_of(whole) if one.name.startswith("Fill of")), None)


def check(whole) -> None:
    """There is one fill; it lies on the floor, in the hole, in the floor's grey."""
    fill = fill_of(whole)
    assert fill is not None and fill.bgs.part_key not in (FLOOR[0], BOX[0])
    row = next(r for r in whole.bgs.labels if r.level == 1 and r.label == fill.bgs.part_key)
    assert row.name == fill.name and row.count == len(fill.data.points)
    world = np.array(fill.matrix_world)
    where = _positions(fill) @ world[:3, :3].T + world[:3, 3]
    assert np.abs(where[:, 2]).max() < 1e-3
    assert (np.abs(where[:, :2]) < HOLE + 3 * STEP).all()
    assert 100 < len(where) < 300  # the hole had room for 13 x 13 discs; its rim counts or not
    base = point_clouds.need_column(fill.data, at.BASE)
    assert np.allclose(base[:, :3] * SH_C0 + 0.5, GREY, atol=0.02)
    rows = point_clouds.need_column(whole.data, at.ROW)
    assert len(np.unique(rows)) == len(rows)
    assert (point_clouds.need_column(whole.data, at.SOURCE) == whole.bgs.source).all()


def _positions(obj) -> np.ndarray:
    return point_clouds.need_column(obj.data, at.POSITION)


def test_fill_after_delete(room) -> None:
    before = len(room.data.points)
    assert not bpy.ops.bgs.fill.poll()
    label_objects.remove_part(part(room, BOX[0]))
    assert filling.unfilled_labels(room) == {BOX[0]}
    assert bpy.ops.bgs.fill() == {"FINISHED"}
    check(room)
    assert len(room.data.points) > before  # the box's Gaussians stay in the whole cloud
    assert part(room, BOX[0]) is None and not filling.unfilled_labels(room)
    assert not bpy.ops.bgs.fill.poll()


def select(obj) -> None:
    for one in bpy.context.view_layer.objects:
        one.select_set(one == obj)
    bpy.context.view_layer.objects.active = obj


def test_remove_and_fill(room) -> None:
    select(part(room, BOX[0]))
    assert bpy.ops.bgs.remove_and_fill() == {"FINISHED"}
    check(room)
    assert part(room, BOX[0]) is None


def test_a_moved_object_stays_and_its_hole_is_filled(room) -> None:
    box = part(room, BOX[0])
    box.matrix_world = Matrix.Translation((5, 0, 0)) @ box.matrix_world
    bpy.context.view_layer.update()
    select(box)
    assert bpy.ops.bgs.remove_and_fill() == {"FINISHED"}
    check(room)
    assert part(room, BOX[0]) is not None


def test_exports_and_merge_back_carry_the_fill(room, tmp_path) -> None:
    select(part(room, BOX[0]))
    bpy.ops.bgs.remove_and_fill()
    fill, floor = fill_of(room), part(room, FLOOR[0])
    count, key = len(fill.data.points), fill.bgs.part_key
    wanted = count + len(floor.data.points)
    path = tmp_path / "seen.ply"
    bpy.ops.bgs.export_splat(filepath=str(path), what="WHOLE")
    ply = read_ply(path)
    assert ply.count == wanted
    labels = LAYOUT.labels(codes_in(ply), 1)
    assert (labels == key).sum() == count
    assert np.abs(load_gaussians(ply).means[labels == key, 2]).max() < 1e-3
    bpy.ops.bgs.merge_back()
    assert len(room.data.points) == wanted
    assert any(row.level == 1 and row.label == key and row.name.startswith("Fill of") for row in room.bgs.labels)


def test_is_one_undo_step(room) -> None:
    name, before = room.name, len(room.data.points)
    label_objects.remove_part(part(room, BOX[0]))
    bpy.ops.ed.undo_push(message="deleted")
    bpy.ops.bgs.fill()
    bpy.ops.ed.undo_push(message="filled")
    bpy.ops.ed.undo()
    whole = bpy.data.objects[name]
    assert fill_of(whole) is None and len(whole.data.points) == before
    assert not any(row.name.startswith("Fill of") for row in whole.bgs.labels)
    assert filling.unfilled_labels(whole) == {BOX[0]}
    assert bpy.ops.bgs.fill() == {"FINISHED"}
    check(whole)


def test_nothing_hidden_says_so_and_removes(room) -> None:
    bpy.ops.bgs.merge_back()  # a box that floats: nothing below it counts
    rows = code_tables.table_of(room).rows(1, BOX[0])
    position = _positions(room)
    position[rows, 2] += 1.5
    point_clouds.set_column(room.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))
    bpy.ops.bgs.make_collections()
    before = len(room.data.points)
    select(part(room, BOX[0]))
    assert bpy.ops.bgs.remove_and_fill() == {"FINISHED"}
    assert fill_of(room) is None and part(room, BOX[0]) is None and len(room.data.points) == before


def test_edited_points_are_not_overwritten(room) -> None:
    floor = part(room, FLOOR[0])
    position = _positions(floor)
    position[0] += 0.5
    point_clouds.set_column(floor.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))
    bpy.ops.bgs.keep_shapes()
    select(part(room, BOX[0]))
    with pytest.raises(RuntimeError, match="Merge Back"):
        bpy.ops.bgs.remove_and_fill()
    assert part(room, BOX[0]) is not None and fill_of(room) is None


def edit_floor(whole) -> dict[str, bytes]:
    """Change all of the floor but where it is. Returns its attributes."""
    floor = part(whole, FLOOR[0])
    count = len(floor.data.points)
    base, scale = (point_clouds.need_column(floor.data, name) for name in (at.BASE, at.SCALE))
    base[:, :3], base[0, 3], scale[1] = 0.9, 0.11, 2 * scale[1]
    for column in (
        at.Column(at.BASE, "FLOAT_COLOR", base),
        at.Column(at.SCALE, "FLOAT_VECTOR", scale),
        at.Column("mine", "FLOAT", np.arange(count, dtype=np.float32)),
    ):
        point_clouds.set_column(floor.data, column)
    return edits_of(floor)


def edits_of(obj) -> dict[str, bytes]:
    return {n: point_clouds.need_column(obj.data, n).tobytes() for n in (at.BASE, at.SCALE, at.POSITION, "mine")}


def test_edits_of_other_objects_are_kept(room) -> None:
    before, floor = edit_floor(room), part(room, FLOOR[0])
    select(part(room, BOX[0]))
    assert bpy.ops.bgs.remove_and_fill() == {"FINISHED"}
    assert part(room, FLOOR[0]) == floor and edits_of(floor) == before
    assert fill_of(room) is not None and part(room, BOX[0]) is None
    bpy.ops.bgs.merge_back()
    mine = code_tables.table_of(room).rows(1, FLOOR[0])
    assert point_clouds.need_column(room.data, "mine")[mine].tobytes() == before["mine"]
    assert point_clouds.need_column(room.data, at.BASE)[mine].tobytes() == before[at.BASE]


def test_edits_are_kept_where_labels_of_others_change(room) -> None:
    """Accept Crumbs and each edit of labels do the same."""
    before = edit_floor(room)
    some = np.zeros(len(room.data.points), bool)
    some[-10:] = True  # of the box
    assert editing.move(bpy.context.scene, room, some, 1, 9) == ""
    assert len(part(room, 9).data.points) == 10 and len(part(room, BOX[0]).data.points) == 890
    assert edits_of(part(room, FLOOR[0])) == before
    assert bpy.ops.bgs.make_collections() == {"FINISHED"}
    assert edits_of(part(room, FLOOR[0])) == before


def test_an_object_that_stays_gets_new_codes_and_confidences(room) -> None:
    before, floor = edit_floor(room), part(room, FLOOR[0])
    mine = code_tables.table_of(room).rows(1, FLOOR[0])
    codes = code_tables.codes_of(room)
    codes[mine] += 1  # another label at the finest level only
    point_clouds.set_column(room.data, at.Column(at.CODE, "INT", codes))
    sure = np.linspace(0, 1, len(codes), dtype=np.float32)
    point_clouds.set_column(room.data, at.Column(at.CONFIDENCE, "FLOAT", sure))
    bpy.ops.bgs.make_collections()
    assert np.array_equal(point_clouds.need_column(floor.data, at.CODE), codes[mine])
    assert np.array_equal(point_clouds.need_column(floor.data, at.CONFIDENCE), sure[mine])
    assert edits_of(floor) == before


def test_what_was_filled_follows_the_labels_and_ends_with_the_objects(room) -> None:
    select(part(room, BOX[0]))
    bpy.ops.bgs.remove_and_fill()
    assert list(room[label_objects.FILLED]) == [BOX[0]]
    label_objects.rename_keys(room, {(1, FLOOR[0]): (1, FLOOR[0]), (1, BOX[0]): (1, 12)})
    assert list(room[label_objects.FILLED]) == [12]
    bpy.ops.bgs.merge_back()
    assert room.get(label_objects.FILLED) is None
    some = np.zeros(len(room.data.points), bool)
    some[:200] = True
    editing.move(bpy.context.scene, room, some, 1, BOX[0])  # the number is free for another object
    bpy.ops.bgs.make_collections()
    label_objects.remove_part(part(room, BOX[0]))
    assert filling.unfilled_labels(room) == {BOX[0]} and bpy.ops.bgs.fill.poll()


def test_what_was_filled_counts_at_its_level_only(room) -> None:
    select(part(room, BOX[0]))
    bpy.ops.bgs.remove_and_fill()
    room.bgs.level = 2
    bpy.ops.bgs.make_collections()
    assert room.get(label_objects.FILLED) is None


def test_a_fill_that_was_deleted_is_made_again_under_its_name(room) -> None:
    select(part(room, BOX[0]))
    bpy.ops.bgs.remove_and_fill()
    name = fill_of(room).name
    label_objects.remove_part(fill_of(room))
    assert bpy.ops.bgs.fill() == {"FINISHED"}
    assert fill_of(room) is not None and fill_of(room).name.startswith(name)
    assert not [row.name for row in room.bgs.labels if row.name.count("Fill of") > 1]

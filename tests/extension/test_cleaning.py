"""Clean Objects: what reaches out of a label object is trimmed, and Merge Back has every byte of the splat."""

import bpy
import numpy as np
import pytest
from mathutils import Matrix

from bgs_engine.io.gaussians import load_gaussians
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, point_clouds
from blender_bgs.interface.operator_base import counted
from blender_bgs.labelling import editing
from blender_bgs.logic import attributes as at
from blender_bgs.parts import gone, trimmed
from blender_bgs.parts.edited import edited_parts
from tests.helpers import made_halo, made_splat
from tests.helpers.made_halo import FAINT, LENGTH, SPIKE
from tests.helpers.made_hole import BOX, FLOOR


@pytest.fixture
def scene(tmp_path):
    """A box with a halo on a floor, with label objects, as (whole cloud, file)."""
    file = made_halo.write(tmp_path / "halo.ply")
    bpy.ops.bgs.import_splat(filepath=str(file), level_bits="4,4,4", up_axis="Z")
    whole = bpy.context.view_layer.objects.active
    bpy.ops.bgs.make_collections()
    return whole, file


def part(whole, label: int = BOX[0]):
    return next(one for one in code_tables.parts_of(whole) if one.bgs.part_key == label)


def values(obj) -> dict[str, bytes]:
    """All attributes of an object, and which rows it has."""
    return {column.name: column.values.tobytes() for column in point_clouds.columns(obj.data)}


def rows_of(obj) -> np.ndarray:
    return point_clouds.need_column(obj.data, at.ROW)


def gone_rows(obj) -> np.ndarray:
    """The rows that an object would give back."""
    return gone.Shares(obj.bgs.whole).rows_of(obj)


def reach(obj, row: int) -> float:
    """How far a Gaussian reaches along y: two standard deviations, in the space of the object."""
    at_row = np.flatnonzero(rows_of(obj) == row)[0]
    place = point_clouds.need_column(obj.data, at.POSITION)[at_row, 1]
    return float(place + 2 * point_clouds.need_column(obj.data, at.SCALE)[at_row].max())


def exported(tmp_path, what: str = "WHOLE"):
    path = tmp_path / "out.ply"
    path.unlink(missing_ok=True)
    assert bpy.ops.bgs.export_splat(filepath=str(path), what=what) == {"FINISHED"}
    return path


def body(path) -> bytes:
    return made_splat.body(path)


def test_the_halo_goes_and_the_rest_keeps_every_bit(scene) -> None:
    whole, _ = scene
    spike, faint = (len(whole.data.points) + row for row in (SPIKE, FAINT))
    box, floor = part(whole), values(part(whole, FLOOR[0]))
    before, whole_before = reach(box, spike), values(whole)
    columns = {c.name: c.values for c in point_clouds.columns(box.data)}
    assert bpy.ops.bgs.clean_objects() == {"FINISHED"}
    assert faint not in rows_of(box) and spike in rows_of(box)
    assert faint in gone_rows(box) and trimmed.strength_of(box) == 0.5
    assert reach(box, spike) < before - 0.1
    assert values(whole) == whole_before
    assert {**floor, **values(part(whole, FLOOR[0]))}.keys() >= floor.keys()
    untouched = ~point_clouds.need_column(box.data, at.TRIMMED)
    assert untouched.sum() > 800
    same = np.isin(columns[at.ROW], rows_of(box)[untouched])
    for column in point_clouds.columns(box.data):
        if column.name in columns and column.name != at.LABEL:
            assert column.values[untouched].tobytes() == columns[column.name][same].tobytes(), column.name
    assert edited_parts(whole) == []


def test_strength_0_restores_and_each_strength_starts_from_the_splat(scene) -> None:
    whole, _ = scene
    original = values(part(whole))
    bpy.ops.bgs.clean_objects(strength=0.5)
    half = values(part(whole))
    bpy.ops.bgs.clean_objects(strength=1.0)
    assert values(part(whole)) != half
    bpy.ops.bgs.clean_objects(strength=0.5)
    assert values(part(whole)) == half
    bpy.ops.bgs.clean_objects(strength=0.0)
    assert values(part(whole)) == original
    assert not trimmed.strength_of(part(whole)) and not len(gone_rows(part(whole)))


def test_merge_back_has_every_byte(scene, tmp_path) -> None:
    whole, file = scene
    bpy.ops.bgs.clean_objects(strength=1.0)
    assert body(exported(tmp_path)) != body(file)
    bpy.ops.bgs.merge_back()
    assert body(exported(tmp_path)) == body(file)
    assert whole.data.attributes.get(at.TRIMMED) is None and whole.data.attributes.get(at.TRIMMED_TO) is None


def test_what_the_user_deleted_stays_deleted(scene, tmp_path) -> None:
    whole, file = scene
    box = part(whole)
    columns = {c.name: c for c in point_clouds.columns(box.data)}
    keep = np.arange(len(box.data.points)) >= 100
    lost = rows_of(box)[~keep]
    cloud = point_clouds.new_cloud("less", int(keep.sum()))
    for column in columns.values():
        point_clouds.set_column(cloud, at.Column(column.name, column.data_type, column.values[keep]))
    point_clouds.replace_cloud(box, cloud)
    bpy.ops.bgs.clean_objects()
    assert len(gone_rows(box)) and edited_parts(whole) == [box.name]
    bpy.ops.bgs.merge_back()
    ply = read_ply(file)
    left = np.setdiff1d(np.arange(ply.count), lost)
    assert body(exported(tmp_path)) == ply.take(left).tobytes()


def test_a_point_that_the_user_moved_is_left_alone(scene) -> None:
    whole, _ = scene
    box = part(whole)
    bpy.ops.bgs.clean_objects()
    moved = int(np.flatnonzero(point_clouds.need_column(box.data, at.TRIMMED))[0])
    row = rows_of(box)[moved]
    position = point_clouds.need_column(box.data, at.POSITION)
    position[moved] += 2
    point_clouds.set_column(box.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))
    bpy.ops.bgs.keep_shapes()
    assert edited_parts(whole) == [box.name]
    bpy.ops.bgs.clean_objects(strength=0.0)
    found = np.flatnonzero(rows_of(box) == row)[0]
    assert np.allclose(point_clouds.need_column(box.data, at.POSITION)[found], position[moved], atol=1e-6)


def test_a_moved_object_is_cleaned_where_it_is(scene, tmp_path) -> None:
    whole, file = scene
    box = part(whole)
    box.matrix_world = Matrix.Translation((5, 0, 0)) @ box.matrix_world
    bpy.context.view_layer.update()
    home = values(box)
    bpy.ops.bgs.clean_objects()
    assert box.matrix_world.translation.x > 4
    cleaned = load_gaussians(read_ply(exported(tmp_path)))
    count = len(box.data.points)
    assert (cleaned.means[:, 0] > 4).sum() == count < len(home[at.ROW]) // 4
    bpy.ops.bgs.merge_back()
    ply = read_ply(file)
    found, source = load_gaussians(read_ply(exported(tmp_path))), load_gaussians(ply)
    on_box = np.arange(ply.count) >= ply.count - 902
    assert np.allclose(found.means - source.means, np.where(on_box[:, None], (5, 0, 0), 0), atol=1e-5)
    assert np.array_equal(found.scales, source.scales) and np.array_equal(found.opacities, source.opacities)


def test_an_applied_turn_stays_and_the_shapes_come_back(scene) -> None:
    whole, _ = scene
    box = part(whole)
    box.select_set(True)
    bpy.context.view_layer.objects.active = box
    bpy.ops.bgs.clean_objects()
    box.rotation_mode = "XYZ"
    box.rotation_euler.z = np.pi / 2
    bpy.context.view_layer.update()
    bpy.ops.bgs.apply_transform(location=False)
    bpy.ops.bgs.clean_objects(strength=0.0)
    spike = np.flatnonzero(rows_of(box) == len(whole.data.points) + SPIKE)[0]
    assert point_clouds.need_column(box.data, at.SCALE)[spike].max() == pytest.approx(LENGTH, rel=1e-5)
    assert len(box.data.points) == 902 and edited_parts(whole) == []


def test_is_one_undo_step(scene) -> None:
    whole, _ = scene
    name, original = part(whole).name, values(part(whole))
    bpy.ops.ed.undo_push(message="made")
    bpy.ops.bgs.clean_objects()
    cleaned = values(bpy.data.objects[name])
    bpy.ops.ed.undo_push(message="cleaned")
    bpy.ops.ed.undo()
    box = bpy.data.objects[name]
    assert values(box) == original and not trimmed.strength_of(box)
    bpy.ops.ed.redo()
    box = bpy.data.objects[name]
    assert values(box) == cleaned and trimmed.strength_of(box) == 0.5


def test_a_reopened_file_still_merges_every_byte(scene, tmp_path) -> None:
    name, file = scene[0].name, scene[1]
    bpy.ops.bgs.clean_objects()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "cleaned.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "cleaned.blend"))
    bpy.context.view_layer.objects.active = part(bpy.data.objects[name])
    bpy.ops.bgs.merge_back()
    bpy.context.view_layer.objects.active = bpy.data.objects[name]
    assert body(exported(tmp_path)) == body(file)


def test_exports_carry_what_was_trimmed(scene, tmp_path) -> None:
    whole, _ = scene
    bpy.ops.bgs.clean_objects()
    box = part(whole)
    count, spike = len(box.data.points), len(whole.data.points) + SPIKE
    place = int(np.flatnonzero(rows_of(box) == spike)[0])
    width = point_clouds.need_column(box.data, at.SCALE)[place].max()
    assert bpy.ops.bgs.export_labels(directory=str(tmp_path)) == {"FINISHED"}
    found = [path for path in tmp_path.rglob("*.ply") if read_ply(path).count == count]
    assert len(found) == 1
    made = load_gaussians(read_ply(found[0]))
    assert made.scales[place].max() == pytest.approx(width, rel=1e-5)
    whole_export = load_gaussians(read_ply(exported(tmp_path)))
    assert len(whole_export) == sum(len(one.data.points) for one in code_tables.parts_of(whole))


def test_label_edits_keep_the_cleaning_of_other_objects(scene) -> None:
    whole, _ = scene
    bpy.ops.bgs.clean_objects()
    cleaned = values(part(whole))
    whole.bgs.parts_stale = True
    assert bpy.ops.bgs.update_collections() == {"FINISHED"}
    assert values(part(whole)) == cleaned and trimmed.strength_of(part(whole)) == 0.5


def test_a_shared_cloud_is_refused(scene) -> None:
    whole, _ = scene
    box = part(whole)
    other = box.copy()
    bpy.context.scene.collection.objects.link(other)
    before = values(box)
    with pytest.raises(RuntimeError, match="shares its points"):
        bpy.ops.bgs.clean_objects()
    assert values(box) == before


def test_remove_and_fill_takes_cleaned_objects(scene) -> None:
    whole, _ = scene
    bpy.ops.bgs.clean_objects()
    for one in bpy.context.view_layer.objects:
        one.select_set(one == part(whole))
    bpy.context.view_layer.objects.active = part(whole)
    assert bpy.ops.bgs.remove_and_fill() == {"FINISHED"}
    assert trimmed.strength_of(part(whole, FLOOR[0])) == 0.5
    fills = [one for one in code_tables.parts_of(whole) if one.name.startswith("Fill of")]
    assert len(fills) == 1 and fills[0].data.attributes.get(at.TRIMMED) is None


def test_only_selected_objects_are_cleaned(scene) -> None:
    whole, _ = scene
    for one in bpy.context.view_layer.objects:
        one.select_set(one == part(whole, FLOOR[0]))
    bpy.context.view_layer.objects.active = part(whole, FLOOR[0])
    before = values(part(whole))
    assert bpy.ops.bgs.clean_objects() == {"FINISHED"}
    assert values(part(whole)) == before and not trimmed.strength_of(part(whole))


def keep_only(obj, keep: np.ndarray) -> None:
    """Take points away as Delete and Separate do."""
    cloud = point_clouds.new_cloud("less", int(keep.sum()))
    for column in list(point_clouds.columns(obj.data)):
        point_clouds.set_column(cloud, at.Column(column.name, column.data_type, column.values[keep]))
    point_clouds.replace_cloud(obj, cloud)


def copied(obj):
    """A duplicate with points of its own."""
    other = obj.copy()
    other.data = obj.data.copy()
    bpy.context.scene.collection.objects.link(other)
    return other


def separated(obj):
    """The first 300 points of an object, which are an object of their own then, as after Separate."""
    other, first = copied(obj), np.arange(len(obj.data.points)) < 300
    keep_only(obj, ~first)
    keep_only(other, first)
    return other


def select(active, *others) -> None:
    for one in bpy.context.view_layer.objects:
        one.select_set(one in (active, *others))
    bpy.context.view_layer.objects.active = active


def joined(active, other) -> None:
    select(active, other)
    bpy.ops.object.join()
    bpy.context.view_layer.update()


can_join = pytest.mark.skipif("select_all" not in dir(bpy.ops.pointcloud), reason="no Join for point clouds")


@can_join
@pytest.mark.parametrize("active", [BOX[0], FLOOR[0]])
@pytest.mark.parametrize("strength", [None, 0.0, 0.5])
def test_joined_objects_give_back_every_byte(scene, tmp_path, active, strength) -> None:
    whole, file = scene
    bpy.ops.bgs.clean_objects(strength=1.0)
    assert len(gone_rows(part(whole)))
    joined(part(whole, active), part(whole, BOX[0] + FLOOR[0] - active))
    if strength is not None:
        bpy.ops.bgs.clean_objects(strength=strength)
    bpy.ops.bgs.merge_back()
    assert body(exported(tmp_path)) == body(file)


@pytest.mark.parametrize("again", ["", "largest", "smallest", "both"])
def test_separated_halves_give_back_every_byte_once(scene, tmp_path, again) -> None:
    whole, file = scene
    bpy.ops.bgs.clean_objects(strength=1.0)
    largest = part(whole)
    smallest = separated(largest)
    assert len(gone_rows(largest)) and not len(gone_rows(smallest))
    chosen = {"": [], "largest": [largest], "smallest": [smallest], "both": [largest, smallest]}[again]
    for one in bpy.context.view_layer.objects:
        one.select_set(one in chosen)
    if chosen:
        bpy.context.view_layer.objects.active = chosen[0]
        bpy.ops.bgs.clean_objects(strength=0.5)
    bpy.ops.bgs.merge_back()
    assert body(exported(tmp_path)) == body(file)


def test_a_duplicate_gives_back_its_own(scene) -> None:
    whole, _ = scene
    count = len(whole.data.points)
    bpy.ops.bgs.clean_objects(strength=1.0)
    separated(copied(part(whole)))
    bpy.ops.bgs.merge_back()
    assert len(whole.data.points) == count + 902


def test_what_went_from_a_deleted_object_stays_away(scene) -> None:
    whole, _ = scene
    bpy.ops.bgs.clean_objects(strength=1.0)
    separated(part(whole))
    floor = part(whole, FLOOR[0])
    for one in code_tables.parts_of(whole):
        if one != floor:
            bpy.data.objects.remove(one)
    bpy.ops.bgs.merge_back()
    assert len(whole.data.points) == 3431 and whole.get(gone.RECORD) is None


def test_the_last_gaussian_stays(scene) -> None:
    whole, _ = scene
    bpy.ops.bgs.clean_objects(strength=1.0)
    box, lost = part(whole), gone_rows(part(whole))
    bpy.ops.bgs.clean_objects(strength=0.0)
    keep_only(box, np.isin(rows_of(box), lost))
    bpy.ops.bgs.clean_objects(strength=1.0)
    assert rows_of(box).tolist() == lost[:1].tolist()


def test_a_cage_refuses_a_cleaned_object(scene, tmp_path) -> None:
    whole, file = scene
    box = part(whole)
    bpy.ops.bgs.clean_objects(strength=1.0)
    select(box)
    bpy.ops.bgs.make_cage()
    cage = bpy.context.view_layer.objects.active
    for vertex in cage.data.vertices:
        vertex.co.x *= 1.5
    before = values(box)
    select(box)
    with pytest.raises(RuntimeError, match=r"is cleaned.*\s.*Strength 0"):
        bpy.ops.bgs.apply_cage()
    assert values(box) == before and cage.parent == box
    bpy.ops.bgs.clean_objects(strength=0.0)
    select(box)
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}
    bpy.ops.bgs.merge_back()
    found, source = load_gaussians(read_ply(exported(tmp_path))), load_gaussians(read_ply(file))
    assert (found.means[-902:, 0] != source.means[-902:, 0]).all()
    assert np.array_equal(found.opacities, source.opacities)


@pytest.mark.skipif("separate" not in dir(bpy.ops.pointcloud), reason="no Separate for point clouds")
def test_an_object_is_cleaned_after_blenders_separate(scene, tmp_path) -> None:
    whole, file = scene
    bpy.ops.bgs.clean_objects(strength=1.0)
    box = part(whole)
    select(box)
    bpy.ops.object.mode_set(mode="EDIT")
    half = at.Column(at.SELECTED, "BOOLEAN", np.arange(len(box.data.points)) < 300)
    point_clouds.set_column(box.data, half)
    bpy.ops.pointcloud.separate()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert len(code_tables.parts_of(whole)) == 3
    select(*code_tables.parts_of(whole))
    assert bpy.ops.bgs.clean_objects(strength=0.8) == {"FINISHED"}
    bpy.ops.bgs.merge_back()
    assert body(exported(tmp_path)) == body(file)


def test_label_edits_say_what_to_clean_again(scene, capfd) -> None:
    whole, _ = scene
    bpy.ops.bgs.clean_objects(strength=1.0)
    rows, target = np.arange(len(whole.data.points)) >= len(whole.data.points) - 300, FLOOR[0]
    note = editing.move(bpy.context.scene, whole, rows, 1, target)
    assert note == "; 2 objects to clean again: press Clean Objects"
    bpy.ops.bgs.clean_objects(strength=1.0)
    whole.bgs.parts_stale = True
    capfd.readouterr()
    bpy.ops.bgs.update_collections()
    assert capfd.readouterr().out.strip() == "Info: 2 objects up to date"


def test_accepted_crumbs_say_what_to_clean_again(scene, capfd) -> None:
    whole, _ = scene
    whole.bgs.level = 1
    bpy.ops.bgs.clean_objects(strength=1.0)
    bpy.ops.bgs.find_crumbs(strength=1.0)
    capfd.readouterr()
    bpy.ops.bgs.accept_crumbs()
    left = sum(not trimmed.strength_of(one) for one in (part(whole), part(whole, FLOOR[0])))
    assert left and f"; {counted(left, 'object')} to clean again" in capfd.readouterr().out


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_the_message_says_what_was_done(scene, capfd, strength) -> None:
    whole, _ = scene
    box, faint = part(whole), len(whole.data.points) + FAINT
    select(box)
    bpy.ops.bgs.clean_objects(strength=strength)
    points, marked = rows_of(box), point_clouds.need_column(box.data, at.TRIMMED)
    untouched = points[~marked]
    bpy.ops.bgs.clean_objects(strength=0.0)
    keep_only(box, np.isin(rows_of(box), untouched) | (rows_of(box) == faint))
    capfd.readouterr()
    bpy.ops.bgs.clean_objects(strength=strength)
    said = "Info: 1 Gaussian of 1 object taken away. Merge Back gives the original ones back"
    assert capfd.readouterr().out.strip() == said
    bpy.ops.bgs.clean_objects(strength=0.0)
    keep_only(box, rows_of(box) != faint)
    capfd.readouterr()
    bpy.ops.bgs.clean_objects(strength=strength)
    more = {0.5: "0.50. Give a larger one in Adjust Last Operation", 1.0: "1.00, the largest one"}[strength]
    assert capfd.readouterr().out.strip() == f"Info: Nothing to trim of {box.name} at Strength {more}"


@can_join
@pytest.mark.parametrize("turned", [False, True])
def test_a_moved_and_joined_object_gives_back_its_shapes_where_it_is(scene, tmp_path, turned) -> None:
    whole, file = scene
    bpy.ops.bgs.clean_objects(strength=1.0)
    box = part(whole)
    box.matrix_world = Matrix.Translation((5, 0, 0)) @ box.matrix_world @ Matrix.Rotation(0.5 * turned, 4, "Z")
    bpy.context.view_layer.update()
    joined(part(whole, FLOOR[0]), box)
    bpy.ops.bgs.merge_back()
    found, source = load_gaussians(read_ply(exported(tmp_path))), load_gaussians(read_ply(file))
    assert len(found) == len(source) and (found.means[-902:, 0] > 3.5).all()
    if not turned:
        assert np.allclose(found.means[-902:] - source.means[-902:], (5, 0, 0), atol=1e-4)
    assert np.allclose(found.scales, source.scales, rtol=1e-3)
    assert np.array_equal(found.opacities, source.opacities)
    assert np.array_equal(found.means[:-902], source.means[:-902])


@pytest.mark.skipif("separate" not in dir(bpy.ops.pointcloud), reason="no Delete for points")
def test_a_cleaned_object_without_points_merges(scene) -> None:
    whole, _ = scene
    bpy.ops.bgs.clean_objects(strength=1.0)
    keep_only(part(whole), np.zeros(len(part(whole).data.points), bool))
    assert bpy.ops.bgs.merge_back() == {"FINISHED"}
    assert len(whole.data.points) == 3431

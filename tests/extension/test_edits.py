"""What Blender's own tools do to points: shapes and colours follow, or the splat says by name that they cannot."""

import bpy
import numpy as np
import pytest

from bgs_engine.core.harmonics import basis
from bgs_engine.core.quaternions import quaternion_matrices
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, point_clouds, shapes
from blender_bgs.logic import attributes as at
from tests.helpers import made_splat

HAS_EDIT_MODE = bpy.app.version >= (4, 5)
edit_mode = pytest.mark.skipif(not HAS_EDIT_MODE, reason="this Blender has no edit mode and no Join for point clouds")
DIRECTIONS = np.random.default_rng(5).normal(size=(40, 3))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


class Splat:
    """The numbers of a PLY that a viewer sees, float64: positions, covariances and coefficients."""

    def __init__(self, table: np.ndarray) -> None:
        def stack(names):
            return np.stack([table[n] for n in names], 1).astype(np.float64)

        self.means = stack("xyz")
        axes = quaternion_matrices(stack([f"rot_{k}" for k in range(4)]))
        axes = axes * np.exp(stack([f"scale_{k}" for k in range(3)]))[:, None]
        self.covs = axes @ axes.transpose(0, 2, 1)
        rest = sum(n.startswith("f_rest_") for n in table.dtype.names) // 3
        self.rest = stack([f"f_rest_{k}" for k in range(rest)])  # the red channel

    @classmethod
    def of(cls, path):
        ply = read_ply(path)
        return cls(ply.take(np.arange(ply.count)))

    def colors(self, directions=DIRECTIONS):
        return basis(directions)[:, 1 : self.rest.shape[1] + 1] @ self.rest.T


def assert_is(found: Splat, source: Splat, matrix: np.ndarray, rows=slice(None)) -> None:
    """`found` is `source` after the map [4, 4]: computed here without the code under test."""
    linear = matrix[:3, :3]
    want = source.means[rows] @ linear.T + matrix[:3, 3]
    assert np.abs(found.means[rows] - want).max() < 3e-6 * max(1.0, np.abs(want).max(), np.abs(matrix).max())
    covs = linear @ source.covs[rows] @ linear.T
    # float32 logs, quaternions and object matrices, relative to each Gaussian's own size
    sizes = np.abs(covs).max((1, 2), keepdims=True)
    assert (np.abs(found.covs[rows] - covs) / sizes).max() < 5e-5
    u, _, vt = np.linalg.svd(linear)
    seen = found.colors(DIRECTIONS @ (u @ vt).T)[:, rows]
    assert np.abs(seen - source.colors()[:, rows]).max() < 1e-5


def import_(path):
    bpy.ops.bgs.import_splat(filepath=str(path))
    bpy.context.view_layer.update()
    return bpy.context.view_layer.objects.active


def make(path, per=60, seed=0, rest=45):
    rows, codes = made_splat.made_splat(per_object=per, rest=rest, seed=seed)
    made_splat.write(path, made_splat.with_codes(rows, codes))
    return import_(path)


def activate(*objects) -> None:
    for other in bpy.context.view_layer.objects:
        other.select_set(other in objects)
    bpy.context.view_layer.objects.active = objects[0]


def exported(obj, path) -> Splat:
    activate(obj)
    bpy.ops.bgs.export_splat(filepath=str(path), what="SELECTED")
    return Splat.of(path)


def change_of(obj, before) -> np.ndarray:
    """The map in file space that moving the object made. A label object's points are not in that space."""
    bpy.context.view_layer.update()
    file = before if obj.bgs.whole is None else point_clouds.world_of(obj.bgs.whole)
    return np.linalg.inv(file) @ np.array(obj.matrix_world, np.float64) @ np.linalg.inv(before) @ file


TRANSFORMS = {
    "moved": ((1, 2, 3), (0, 0, 0), (1, 1, 1)),
    "turned": ((1, 2, 3), (0.4, -0.5, 1.6), (1, 1, 1)),
    "even": ((1, 2, 3), (0.4, 0.5, 0.6), (2, 2, 2)),
    "uneven": ((1, -2, 3), (0.4, 0.5, 0.6), (0.5, 2, 3)),
    "mirrored": ((1, 2, 3), (0.4, 0.5, 0.6), (-1, 1, 1)),
    "all": ((100, 2, 3), (2.4, 0.5, 0.6), (-2, 0.7, 1)),
}
APPLY = {
    "Blender's": lambda: bpy.ops.object.transform_apply(location=True, rotation=True, scale=True),
    "ours": lambda: bpy.ops.bgs.apply_transform(),
}


@pytest.mark.parametrize("how", APPLY)
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_apply_then_export_is_the_transformed_splat(tmp_path, kind: str, how: str) -> None:
    obj = make(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    obj.location, obj.rotation_euler, obj.scale = TRANSFORMS[kind]
    matrix = change_of(obj, before)
    APPLY[how]()
    bpy.context.view_layer.update()
    assert np.allclose(obj.matrix_world, np.eye(4))
    assert shapes.are_true(obj.data) and not shapes.problems
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), matrix)


@pytest.mark.parametrize("options", [(True, False, False), (False, True, False), (False, False, True)])
def test_parts_of_the_transform_can_be_applied(tmp_path, options) -> None:
    obj = make(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    obj.location, obj.rotation_euler, obj.scale = TRANSFORMS["all"]
    matrix = change_of(obj, before)
    world = np.array(obj.matrix_world)
    positions = point_clouds.need_column(obj.data, at.POSITION) @ world[:3, :3].T + world[:3, 3]
    bpy.ops.bgs.apply_transform(location=options[0], rotation=options[1], scale=options[2])
    bpy.context.view_layer.update()
    after = np.array(obj.matrix_world)
    assert not np.allclose(after, world)
    there = point_clouds.need_column(obj.data, at.POSITION) @ after[:3, :3].T + after[:3, 3]
    assert np.allclose(there, positions, atol=1e-4)
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), matrix)


@pytest.mark.parametrize("per", [60, 1])  # four Gaussians, one for each label: too few to tell by themselves
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_applied_label_objects_merge_back_as_transformed(tmp_path, kind: str, per: int) -> None:
    obj = make(tmp_path / "a.ply", per)
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    part = code_tables.parts_of(obj)[1]
    rows = point_clouds.need_column(part.data, at.ROW)
    before = np.array(part.matrix_world, np.float64)
    part.location, part.rotation_euler, part.scale = TRANSFORMS[kind]
    matrix = change_of(part, before)
    activate(part)
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    bpy.ops.bgs.merge_back()
    assert len(obj.data.points) == 4 * per
    source, found = Splat.of(tmp_path / "a.ply"), exported(obj, tmp_path / "b.ply")
    assert_is(found, source, matrix, rows)
    others = np.setdiff1d(np.arange(4 * per), rows)
    assert np.array_equal(found.means[others], source.means[others])


@pytest.mark.parametrize("edited", [False, True])
def test_update_collections_leaves_an_applied_label_object_in_its_place(tmp_path, edited) -> None:
    """An object with its own Gaussians stays as it is; one that is made again has its transform in its matrix again."""
    obj = make(tmp_path / "a.ply")
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    part = code_tables.parts_of(obj)[0]
    part.location, part.rotation_euler = (5, 6, 7), (0.2, 0.3, 0.4)
    bpy.context.view_layer.update()
    before = np.array(part.matrix_world)
    there = exported(part, tmp_path / "before.ply")
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    from blender_bgs.parts.edited import edited_parts, lost_parts

    assert edited_parts(obj) == [] and lost_parts(obj) == []
    if edited:
        position = point_clouds.need_column(part.data, at.POSITION)
        position[0] += 1
        point_clouds.set_column(part.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))
        bpy.ops.bgs.keep_shapes()
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    assert np.allclose(part.matrix_world, before if edited else np.eye(4), atol=1e-5)
    found = exported(part, tmp_path / "after.ply")
    assert np.allclose(found.means, there.means, atol=1e-5) and np.allclose(found.covs, there.covs, atol=1e-7)


def test_set_origin_changes_no_shape(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    raw = point_clouds.need_column(obj.data, at.RAW_ROTATION)
    activate(obj)
    bpy.ops.object.origin_set(type="ORIGIN_GEOMETRY")
    bpy.context.view_layer.update()
    assert np.array_equal(point_clouds.need_column(obj.data, at.RAW_ROTATION), raw)
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), np.eye(4))


def test_apply_right_after_the_import_exports_the_source(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    activate(obj)
    APPLY["Blender's"]()
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), np.eye(4))
    obj.bgs.up_axis = "Y"  # y pointed down, now up: the splat turns upside down in the world and not in the file
    bpy.context.view_layer.update()
    assert_is(exported(obj, tmp_path / "c.ply"), Splat.of(tmp_path / "a.ply"), np.eye(4))
    assert np.allclose(shapes.positions_in_file(obj), Splat.of(tmp_path / "a.ply").means, atol=1e-5)


def test_apply_on_a_point_that_does_not_move(tmp_path) -> None:
    rows, codes = made_splat.made_splat(per_object=1, rest=9)
    rows = rows[:1]
    rows["x"] = rows["y"] = rows["z"] = 0
    made_splat.write(tmp_path / "a.ply", made_splat.with_codes(rows, codes[:1]))
    obj = import_(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    obj.rotation_euler, obj.scale = (0.4, 0.5, 0.6), (1, 2, 3)
    matrix = change_of(obj, before)
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), matrix)


def test_undo_and_redo_of_apply(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    name, before = obj.name, np.array(obj.matrix_world, np.float64)
    obj.rotation_euler, obj.scale = (0.4, 0.5, 0.6), (1, 2, 3)
    matrix = change_of(obj, before)
    activate(obj)
    bpy.ops.ed.undo_push(message="turned")
    source = Splat.of(tmp_path / "a.ply")
    APPLY["Blender's"]()
    bpy.ops.ed.undo_push(message="applied")  # before the shapes follow, as in Blender's window
    bpy.context.view_layer.update()
    assert_is(exported(bpy.data.objects[name], tmp_path / "b.ply"), source, matrix)
    for turn in range(2):
        bpy.ops.ed.undo()
        obj = bpy.data.objects[name]
        assert shapes.are_true(obj.data)
        assert np.allclose(obj.scale, (1, 2, 3)), turn
        raw = point_clouds.need_column(obj.data, at.RAW_ROTATION)
        quats = read_ply(tmp_path / "a.ply").columns([f"rot_{k}" for k in range(4)])
        assert np.array_equal(raw, quats)
        assert_is(exported(obj, tmp_path / "c.ply"), source, matrix)
        bpy.ops.ed.redo()
        obj = bpy.data.objects[name]
        assert np.allclose(obj.scale, (1, 1, 1))
        assert_is(exported(obj, tmp_path / "d.ply"), source, matrix)


def test_our_apply_is_one_undo_step(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    name = obj.name
    obj.scale = (1, 2, 3)
    activate(obj)
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.bgs.apply_transform()
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert np.allclose(obj.scale, (1, 2, 3)) and shapes.are_true(obj.data)


def test_apply_after_the_file_was_opened_again(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 1)
    before = np.array(obj.matrix_world, np.float64)
    obj.rotation_euler = (0.4, 0.5, 0.6)
    matrix = change_of(obj, before)
    name = obj.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    obj = bpy.data.objects[name]
    activate(obj)
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), matrix)


def bend(obj) -> None:
    """An edit that no shape can follow."""
    position = point_clouds.need_column(obj.data, at.POSITION)
    position[:, 0] += 0.1 * position[:, 1] ** 2
    point_clouds.set_column(obj.data, at.Column(at.POSITION, "FLOAT_VECTOR", position))


def test_an_edit_that_shapes_cannot_follow_is_refused_by_name(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    (tmp_path / "b.ply").write_text("earlier")
    bend(obj)
    bpy.context.view_layer.update()
    assert obj.name in shapes.problems_of(obj)[0]
    for work in (
        lambda: bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE"),
        lambda: bpy.ops.bgs.make_collections(),
        lambda: bpy.ops.bgs.apply_transform(),
    ):
        with pytest.raises(RuntimeError, match=rf"points of {obj.name} were edited .*\n?.*Keep Shapes"):
            work()
    assert (tmp_path / "b.ply").read_text() == "earlier"
    before = point_clouds.need_column(obj.data, at.POSITION)
    bpy.ops.bgs.keep_shapes()
    assert not shapes.problems and not bpy.ops.bgs.keep_shapes.poll()
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE")
    assert np.array_equal(Splat.of(tmp_path / "b.ply").means.astype(np.float32), before)


def test_merge_back_refuses_before_it_changes_anything(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    bpy.ops.bgs.make_collections()
    part = code_tables.parts_of(obj)[2]
    bend(part)
    with pytest.raises(RuntimeError, match=part.name):
        bpy.ops.bgs.merge_back()
    assert len(code_tables.parts_of(obj)) == 4
    part.scale = (1, 0, 1)
    bpy.ops.bgs.keep_shapes()
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match=f"{part.name} is scaled to nothing"):
        bpy.ops.bgs.merge_back()
    assert len(code_tables.parts_of(obj)) == 4


def test_undoing_such_an_edit_helps(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    name = obj.name
    bpy.ops.ed.undo_push(message="before")
    bend(obj)
    bpy.ops.ed.undo_push(message="after")
    bpy.context.view_layer.update()
    assert shapes.problems
    bpy.ops.ed.undo()
    assert not shapes.problems
    assert_is(exported(bpy.data.objects[name], tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), np.eye(4))


@pytest.mark.parametrize("scale", [(0, 1, 1), (0, 0, 0), (1e-8, 1, 1)])
def test_a_splat_that_is_scaled_to_nothing_is_refused(tmp_path, scale) -> None:
    obj = make(tmp_path / "a.ply", 5)
    obj.scale = scale
    bpy.context.view_layer.update()
    for work in (
        lambda: bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE"),
        lambda: bpy.ops.bgs.apply_transform(),
    ):
        with pytest.raises(RuntimeError, match=f"{obj.name} is scaled to nothing"):
            work()
    if scale == (0, 0, 0):
        return  # Blender's own Apply refuses nothing, and no point is left to see what it did
    APPLY["Blender's"]()
    bpy.context.view_layer.update()
    with pytest.raises(RuntimeError, match="cannot follow"):
        bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE")


def test_parents_and_delta_transforms(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    empty = bpy.data.objects.new("Empty", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.scale, empty.rotation_euler = (1, 3, 1), (0, 0, 0.7)
    obj.parent = empty
    obj.delta_location, obj.delta_rotation_euler, obj.delta_scale = (0, 1, 0), (0.3, 0, 0), (1, 1, 2)
    obj.rotation_euler = (0.3, 0.9, 0.1)
    matrix = change_of(obj, before)
    source = Splat.of(tmp_path / "a.ply")
    assert_is(exported(obj, tmp_path / "b.ply"), source, matrix)
    APPLY["Blender's"]()
    found = exported(obj, tmp_path / "c.ply")
    want = source.means @ matrix[:3, :3].T + matrix[:3, 3]
    assert np.allclose(found.means, want, atol=1e-5)
    covs = matrix[:3, :3] @ source.covs @ matrix[:3, :3].T
    assert np.abs(found.covs - covs).max() < 1e-4 * np.abs(covs).max()


def test_shared_points_are_refused_by_name(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 5)
    twin = obj.copy()
    bpy.context.scene.collection.objects.link(twin)
    activate(obj)
    with pytest.raises(RuntimeError, match="shares its points"):
        bpy.ops.bgs.apply_transform()


def test_a_duplicated_label_object_gets_rows_of_its_own(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    part = code_tables.parts_of(obj)[0]
    activate(part)
    bpy.ops.object.duplicate()
    copy = bpy.context.view_layer.objects.active
    copy.location.x += 50
    bpy.context.view_layer.update()
    bpy.ops.bgs.merge_back()
    rows = point_clouds.need_column(obj.data, at.ROW)
    assert len(rows) == 300 and len(np.unique(rows)) == 300
    assert (point_clouds.need_column(obj.data, at.POSITION)[240:, 0] > 40).all()
    label = point_clouds.need_column(obj.data, at.CODE)[240:] >> 20
    assert len(np.unique(label)) == 1


def test_a_check_of_a_million_is_quick(tmp_path) -> None:
    import time

    count = 1_000_000
    cloud = point_clouds.new_cloud("big", count)
    values = np.random.default_rng(0).random((count, 3)).astype(np.float32)
    point_clouds.set_column(cloud, at.Column(at.POSITION, "FLOAT_VECTOR", values))
    obj = bpy.data.objects.new("big", cloud)
    shapes.start(obj)
    times = []
    for _ in range(5):
        started = time.process_time()
        assert shapes.are_true(cloud)
        times.append(time.process_time() - started)
    assert min(times) < 0.04  # 20 ms is the promise on an idle machine; twice of it, as others share the memory
    print(f"\ncheck of 1M: {min(times) * 1000:.1f} ms")


def select_points(obj, rows) -> None:
    chosen = np.zeros(len(obj.data.points), bool)
    chosen[rows] = True
    point_clouds.set_column(obj.data, at.Column(at.SELECTED, "BOOLEAN", chosen))


EDITS = {
    "grab": lambda: bpy.ops.transform.translate(value=(1, 2, 0.5)),
    "rotate": lambda: bpy.ops.transform.rotate(value=0.7, orient_axis="Y"),
    "scale": lambda: bpy.ops.transform.resize(value=(2, 0.5, 1)),
    "mirror": lambda: bpy.ops.transform.mirror(constraint_axis=(True, False, False)),
}


@edit_mode
@pytest.mark.parametrize("world", ["import", "all"])
@pytest.mark.parametrize("edit", EDITS)
def test_a_selection_transformed_in_edit_mode(tmp_path, edit: str, world: str) -> None:
    obj = make(tmp_path / "a.ply")
    before = np.array(obj.matrix_world, np.float64)
    if world == "all":
        obj.location, obj.rotation_euler, obj.scale = TRANSFORMS["all"]
    whole = change_of(obj, before)
    now = np.array(obj.matrix_world, np.float64)
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    rows = np.arange(10, 70)
    select_points(obj, rows)
    bpy.context.view_layer.update()
    source, start = Splat.of(tmp_path / "a.ply"), point_clouds.need_column(obj.data, at.POSITION).astype(float)
    EDITS[edit]()
    bpy.context.view_layer.update()
    assert not shapes.problems and shapes.are_true(obj.data)
    bpy.ops.object.mode_set(mode="OBJECT")
    # The map, from what Blender was told. Its pivot follows from the middle of the points; it is in world axes.
    c, s = np.cos(0.7), np.sin(0.7)
    linear = {"grab": np.eye(3), "rotate": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
              "scale": np.diag((2, 0.5, 1)), "mirror": np.diag((-1.0, 1, 1))}[edit]  # fmt: skip
    places = start @ now[:3, :3].T + now[:3, 3]
    there = point_clouds.need_column(obj.data, at.POSITION).astype(float) @ now[:3, :3].T + now[:3, 3]
    if edit == "rotate" and not np.allclose(there[rows] - there[rows].mean(0),
                                            (places[rows] - places[rows].mean(0)) @ linear.T, atol=1e-3):  # fmt: skip
        linear = linear.T  # versions differ in the direction of rotation
    edited = np.eye(4)
    edited[:3, :3] = linear
    edited[:3, 3] = there[rows].mean(0) - linear @ places[rows].mean(0)
    in_file = np.linalg.inv(before) @ edited @ before @ whole
    found = exported(obj, tmp_path / "b.ply")
    others = np.setdiff1d(np.arange(240), rows)
    assert_is(found, source, whole, others)
    want = source.means[rows] @ in_file[:3, :3].T + in_file[:3, 3]
    assert np.abs(found.means[rows] - want).max() < 1e-4
    covs = in_file[:3, :3] @ source.covs[rows] @ in_file[:3, :3].T
    sizes = np.abs(covs).max((1, 2), keepdims=True)
    assert (np.abs(found.covs[rows] - covs) / sizes).max() < 2e-4
    if world == "import":
        u, _, vt = np.linalg.svd(in_file[:3, :3])
        seen = found.colors(DIRECTIONS @ (u @ vt).T)[:, rows]
        assert np.abs(seen - source.colors()[:, rows]).max() < 1e-4


@edit_mode
def test_one_edit_after_the_other_and_back(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    name = obj.name
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, np.arange(5, 50))
    bpy.ops.ed.undo_push(message="start")
    for edit in ("rotate", "scale"):
        EDITS[edit]()
        bpy.ops.ed.undo_push(message=edit)
        bpy.context.view_layer.update()
        assert not shapes.problems
    first = point_clouds.need_column(obj.data, at.RAW_SCALE)
    bpy.ops.ed.undo()
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    assert not shapes.problems and shapes.are_true(obj.data)
    source = read_ply(tmp_path / "a.ply")
    assert np.array_equal(
        point_clouds.need_column(obj.data, at.RAW_SCALE), source.columns([f"scale_{k}" for k in range(3)])
    )
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    obj = bpy.data.objects[name]
    assert shapes.are_true(obj.data)
    assert np.allclose(point_clouds.need_column(obj.data, at.RAW_SCALE), first, atol=1e-5)
    bpy.ops.object.mode_set(mode="OBJECT")


@edit_mode
def test_to_sphere_is_refused_and_one_point_can_be_moved(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, [7])
    EDITS["grab"]()
    bpy.context.view_layer.update()
    assert not shapes.problems
    select_points(obj, np.arange(50))
    bpy.ops.transform.tosphere(value=1)
    bpy.context.view_layer.update()
    assert obj.name in shapes.problems_of(obj)[0]
    bpy.ops.object.mode_set(mode="OBJECT")
    with pytest.raises(RuntimeError, match="cannot follow"):
        exported(obj, tmp_path / "b.ply")


@edit_mode
def test_points_duplicated_in_edit_mode_get_rows_of_their_own(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, np.arange(20))
    bpy.ops.pointcloud.duplicate()
    bpy.context.view_layer.update()
    EDITS["rotate"]()
    bpy.context.view_layer.update()
    bpy.ops.object.mode_set(mode="OBJECT")
    rows = point_clouds.need_column(obj.data, at.ROW)
    assert not shapes.problems and np.array_equal(rows, np.arange(260))
    assert exported(obj, tmp_path / "b.ply").means.shape == (260, 3)


def join(*objects) -> None:
    activate(*objects)
    bpy.ops.object.join()
    bpy.context.view_layer.update()


@edit_mode
@pytest.mark.parametrize("kind", TRANSFORMS)
def test_joined_splats_keep_shapes_rows_and_labels_apart(tmp_path, kind: str) -> None:
    one, two = make(tmp_path / "a.ply", 30), make(tmp_path / "b.ply", 50, seed=3)
    before = np.array(two.matrix_world, np.float64)
    two.location, two.rotation_euler, two.scale = TRANSFORMS[kind]
    matrix = change_of(two, before)
    names = {row.name for row in one.bgs.labels}
    join(one, two)
    assert not shapes.problems and len(one.data.points) == 320
    rows = point_clouds.need_column(one.data, at.ROW)
    assert np.array_equal(rows, np.arange(320))
    labels = point_clouds.need_column(one.data, at.CODE).view(np.uint32) >> 20
    assert not set(labels[:120]) & set(labels[120:]) and len(set(labels)) == 8
    assert [sum(r.count for r in one.bgs.labels if r.level == level) for level in (1, 2, 3)] == [320] * 3
    assert sum(row.level == 1 for row in one.bgs.labels) == 8 and names <= {row.name for row in one.bgs.labels}
    found = exported(one, tmp_path / "c.ply")
    first, second = Splat.of(tmp_path / "a.ply"), Splat.of(tmp_path / "b.ply")
    assert np.array_equal(found.covs[:120], first.covs) and np.array_equal(found.means[:120], first.means)
    joined = Splat.of(tmp_path / "c.ply")
    joined.means, joined.covs, joined.rest = found.means[120:], found.covs[120:], found.rest[120:]
    assert_is(joined, second, matrix)
    bpy.ops.bgs.make_collections()
    assert len(code_tables.parts_of(one)) == 8
    bpy.ops.bgs.merge_back()
    assert len(one.data.points) == 320


@edit_mode
@pytest.mark.parametrize("per", [40, 1])
def test_joined_label_objects_merge_back(tmp_path, per: int) -> None:
    obj = make(tmp_path / "a.ply", per)
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    parts = code_tables.parts_of(obj)
    matrices = {}
    for part, kind in zip(parts[1:3], ("uneven", "mirrored"), strict=True):
        before = np.array(part.matrix_world, np.float64)
        part.location, part.rotation_euler, part.scale = TRANSFORMS[kind]
        matrices[kind] = (change_of(part, before), point_clouds.need_column(part.data, at.ROW))
    join(*parts[:3])
    assert not shapes.problems
    bpy.ops.bgs.merge_back()
    source, found = Splat.of(tmp_path / "a.ply"), exported(obj, tmp_path / "b.ply")
    assert len(found.means) == 4 * per
    for matrix, rows in matrices.values():
        assert_is(found, source, matrix, rows)
    others = np.setdiff1d(np.arange(4 * per), np.concatenate([rows for _, rows in matrices.values()]))
    assert np.array_equal(found.means[others], source.means[others])


@edit_mode
def test_a_label_object_of_another_splat_joined_into_one(tmp_path) -> None:
    one, two = make(tmp_path / "a.ply", 30, rest=9), make(tmp_path / "b.ply", 50, seed=3, rest=45)
    for obj in (one, two):
        activate(obj)
        bpy.ops.bgs.make_collections()
        bpy.context.view_layer.update()
    mine, other = code_tables.parts_of(one)[0], code_tables.parts_of(two)[2]
    rows = point_clouds.need_column(other.data, at.ROW)
    join(mine, other)
    codes = point_clouds.need_column(mine.data, at.CODE)
    one.bgs.level = 2
    activate(mine)
    bpy.ops.bgs.select_label(index=0)
    bpy.ops.bgs.merge_back()
    assert np.array_equal(point_clouds.need_column(one.data, at.ROW), np.arange(170))
    assert np.array_equal(point_clouds.need_column(one.data, at.CODE)[120:], codes[30:])
    labels = point_clouds.need_column(one.data, at.CODE).view(np.uint32) >> 20
    assert len(set(labels)) == 5
    found, source = exported(one, tmp_path / "c.ply"), Splat.of(tmp_path / "b.ply")
    assert found.rest.shape[1] == 15 and not found.rest[:120, 3:].any()
    assert np.array_equal(found.rest[120:], source.rest[rows])
    assert np.array_equal(found.rest[:120, :3], Splat.of(tmp_path / "a.ply").rest)


@edit_mode
def test_points_that_are_no_gaussians_are_refused(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 10)
    cloud = point_clouds.new_cloud("points", 7)
    point_clouds.set_column(cloud, at.Column(at.POSITION, "FLOAT_VECTOR", np.ones((7, 3), np.float32)))
    other = bpy.data.objects.new("points", cloud)
    bpy.context.scene.collection.objects.link(other)
    bpy.context.view_layer.update()
    join(obj, other)
    assert "7 points" in shapes.problems_of(obj)[0] and not bpy.ops.bgs.keep_shapes.poll()
    with pytest.raises(RuntimeError, match="no Gaussians"):
        bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE")
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, np.arange(40, 47))
    bpy.ops.pointcloud.delete()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert len(exported(obj, tmp_path / "b.ply").means) == 40


@edit_mode
def test_separated_points_are_a_splat_with_true_shapes(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    activate(obj)
    bpy.ops.object.mode_set(mode="EDIT")
    select_points(obj, np.arange(30))
    bpy.ops.pointcloud.separate()
    bpy.ops.object.mode_set(mode="OBJECT")
    new = next(o for o in bpy.data.objects if o != obj and point_clouds.is_splat(o))
    before = np.array(new.matrix_world, np.float64)
    new.scale = (1, 2, 3)
    matrix = change_of(new, before)
    activate(new)
    APPLY["Blender's"]()
    found, source = exported(new, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply")
    source.means, source.covs, source.rest = source.means[:30], source.covs[:30], source.rest[:30]
    assert_is(found, source, matrix)


@pytest.mark.parametrize("rests", [(9, 45), (45, 9)])
def test_an_export_of_two_splats_keeps_the_colours_of_both(tmp_path, rests) -> None:
    one, two = (make(tmp_path / f"{n}.ply", 10, seed=n, rest=rest) for n, rest in enumerate(rests))
    activate(one, two)
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "both.ply"), what="SELECTED")
    found = Splat.of(tmp_path / "both.ply")
    for n, rest in enumerate(rests):
        mine = found.rest[40 * n : 40 * (n + 1)]
        assert np.array_equal(mine[:, : rest // 3], Splat.of(tmp_path / f"{n}.ply").rest)
        assert not mine[:, rest // 3 :].any()


def transform_by_nodes(obj, matrix_inputs) -> None:
    """Apply a geometry-nodes modifier that transforms the points, before the extension's own."""
    group = bpy.data.node_groups.new("turn", "GeometryNodeTree")
    for direction in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=direction, socket_type="NodeSocketGeometry")
    first, node, last = (group.nodes.new(kind) for kind in (
        "NodeGroupInput", "GeometryNodeTransform", "NodeGroupOutput"))  # fmt: skip
    group.links.new(first.outputs[0], node.inputs["Geometry"])
    group.links.new(node.outputs[0], last.inputs[0])
    for name, value in matrix_inputs.items():
        node.inputs[name].default_value = value
    modifier = obj.modifiers.new("turn", "NODES")
    modifier.node_group = group
    activate(obj)
    bpy.ops.object.modifier_move_to_index(modifier="turn", index=0)
    bpy.ops.object.modifier_apply(modifier="turn")
    bpy.context.view_layer.update()


def test_an_applied_modifier_is_followed(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    transform_by_nodes(obj, {"Scale": (1, 2, 3), "Translation": (1, 0, 0)})
    matrix = np.diag((1.0, 2, 3, 1))
    matrix[0, 3] = 1
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), matrix)

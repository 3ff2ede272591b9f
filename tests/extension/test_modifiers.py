"""Modifiers: what they make of the Gaussians is exported and rendered, or refused by name."""

import json
import re

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix

from bgs_engine.core.codes import CODE_BYTE_NAMES
from bgs_engine.core.errors import BgsError, UsageError
from bgs_engine.io.ply import read_ply
from blender_bgs.cloud import code_tables, evaluated, geometry_nodes, point_clouds
from blender_bgs.files.exporter import ExportConfig, export_splats
from blender_bgs.frames.shot import RenderConfig, write_shot
from blender_bgs.logic import attributes as at
from tests.extension import node_groups as nodes
from tests.extension.edited_splat import Splat, activate, assert_is, exported, make

TURN = (0.3, -0.4, 0.9)


def codes_in(path) -> np.ndarray:
    return read_ply(path).columns(CODE_BYTE_NAMES)


def matrix_of(euler=(0, 0, 0), offset=(0, 0, 0), scale=1.0) -> np.ndarray:
    return np.array(Matrix.LocRotScale(offset, Euler(euler), (scale,) * 3), np.float64)


def in_file(obj, matrix) -> np.ndarray:
    """A map of the object's points as one of the file's. Both are the same space for a splat as it was imported."""
    assert np.allclose(obj.bgs.ply_layout.offset, 0)
    return matrix


def some(splat: Splat, rows) -> Splat:
    """Some Gaussians of a splat."""
    out = object.__new__(Splat)
    out.means, out.covs, out.rest = splat.means[rows], splat.covs[rows], splat.rest[rows]
    return out


def state() -> tuple:
    """What an export must leave as it was."""
    objects = [(o.name, o.hide_get(), o.hide_viewport, [m.name for m in o.modifiers]) for o in bpy.data.objects]
    return objects, sorted(c.name for c in bpy.data.pointclouds), bpy.context.view_layer.objects.active


def test_a_modifier_that_transforms(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    nodes.modify(obj, nodes.transform(Translation=(1, 2, 3), Rotation=TURN, Scale=(1, 2, 0.5)))
    matrix = matrix_of(TURN, (1, 2, 3)) @ np.diag((1, 2, 0.5, 1))
    before, data = state(), point_clouds.need_column(obj.data, at.POSITION)
    found, source = exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply")
    assert_is(found, source, in_file(obj, matrix))
    assert np.array_equal(codes_in(tmp_path / "b.ply"), codes_in(tmp_path / "a.ply"))
    assert state() == before and np.array_equal(point_clouds.need_column(obj.data, at.POSITION), data)
    obj.rotation_euler.rotate(Euler((0, 0, 1)))
    bpy.context.view_layer.update()
    world = obj.bgs.imported_at
    moved = np.linalg.inv(world) @ np.array(obj.matrix_world) @ matrix
    assert_is(exported(obj, tmp_path / "c.ply"), source, moved)


def test_the_same_after_the_modifier_was_applied(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    nodes.modify(obj, nodes.transform(Rotation=TURN, Scale=(-1, 2, 1)))
    before = exported(obj, tmp_path / "b.ply")
    bpy.ops.object.modifier_apply(modifier="User")
    bpy.context.view_layer.update()
    after = exported(obj, tmp_path / "c.ply")
    assert np.allclose(after.means, before.means, atol=1e-6) and np.allclose(after.covs, before.covs, atol=1e-7)
    assert np.allclose(after.colors(), before.colors(), atol=1e-6)


def test_deleted_and_moved_points(tmp_path) -> None:
    obj = make(tmp_path / "a.ply")
    source, codes = Splat.of(tmp_path / "a.ply"), codes_in(tmp_path / "a.ply")
    nodes.modify(obj, nodes.delete_below(100))
    nodes.modify(obj, nodes.move_below(150, (0, 0, 7)), name="Second")
    found = exported(obj, tmp_path / "b.ply")
    assert np.array_equal(codes_in(tmp_path / "b.ply"), codes[100:])
    lifted = np.eye(4)
    lifted[2, 3] = 7
    assert_is(found, some(source, slice(100, None)), lifted, slice(0, 50))
    # What the nodes left alone has the bytes of the file.
    assert np.array_equal(found.means[50:], source.means[150:]) and np.array_equal(found.covs[50:], source.covs[150:])


def test_instances_of_the_splat_itself(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 30)
    nodes.modify(obj, nodes.array(3, (5, 0, 1), TURN, (2, 2, 2)))
    found, source = exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply")
    assert len(found.means) == 360
    for n in range(3):
        assert_is(some(found, slice(120 * n, 120 * n + 120)), source, matrix_of(TURN, (5 * n, 0, n), 2))
    assert np.array_equal(codes_in(tmp_path / "b.ply"), np.tile(codes_in(tmp_path / "a.ply"), (3, 1)))


def test_instances_of_another_splat_keep_their_labels_apart(tmp_path) -> None:
    one, two = make(tmp_path / "a.ply", 30), make(tmp_path / "b.ply", 50, seed=3)
    nodes.modify(one, nodes.instances_of(two))
    names = [row.name for row in one.bgs.labels]
    found = exported(one, tmp_path / "c.ply")
    first, second = Splat.of(tmp_path / "a.ply"), Splat.of(tmp_path / "b.ply")
    assert np.array_equal(found.means[:120], first.means) and np.array_equal(found.covs[:120], first.covs)
    assert_is(some(found, slice(120, None)), second, matrix_of(offset=(3, 0, 0)))
    labels = read_ply(tmp_path / "c.ply").columns(CODE_BYTE_NAMES).astype(np.uint8).view("<u4")[:, 0] >> 20
    assert len(set(labels[:120])) == len(set(labels[120:])) == 4 and not set(labels[:120]) & set(labels[120:])
    assert [row.name for row in one.bgs.labels] == names


def test_a_mirror_image_beside_the_splat(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 30)
    nodes.modify(obj, nodes.with_mirrored)
    found, source = exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply")
    first = slice(0, 120) if np.array_equal(found.means[:120], source.means) else slice(120, 240)
    second = slice(120, 240) if first.start == 0 else slice(0, 120)
    assert np.array_equal(found.covs[first], source.covs)
    assert_is(some(found, second), source, np.diag((-1.0, 1, 1, 1)))
    assert np.array_equal(codes_in(tmp_path / "b.ply"), np.tile(codes_in(tmp_path / "a.ply"), (2, 1)))


@pytest.mark.parametrize("offset", [(0, 0, 0), (3, 2, 1)])
def test_rotations_that_the_nodes_write(tmp_path, offset) -> None:
    """Colours follow, and nothing follows a second time if the points moved too."""
    obj = make(tmp_path / "a.ply")
    nodes.modify(obj, nodes.spin(TURN, offset))
    found, source = exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply")
    assert np.abs(found.means - source.means - offset).max() < 3e-6
    centred = some(found, slice(None))
    centred.means = source.means @ matrix_of(TURN)[:3, :3].T  # each turned about its own centre
    assert_is(centred, source, matrix_of(TURN))


REFUSED = {
    "bent": (nodes.bend, "moves points in a way that their shapes cannot follow"),
    "no rotation": (nodes.remove("rotation"), "removes the attribute rotation"),
    "no codes": (nodes.remove("bgs_code"), "removes the attribute bgs_code"),
    "another type": (nodes.retyped("scale"), "stores the attribute scale with another type"),
    "a mesh": (nodes.as_mesh, "leaves no Gaussians"),
    "all deleted": (nodes.delete_below(10_000), "leaves no Gaussians"),
    "bare points": (nodes.with_points(False), "adds 2 points that are no Gaussians"),
    "flat": (nodes.transform(Scale=(1, 0, 1)), "cannot follow"),
    "flat instances": (nodes.array(2, (1, 0, 0), (0, 0, 0), (0, 1, 1)), "makes an instance of scale 0"),
    "a simulation": (nodes.simulation, "has a simulation or a bake"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_written_truly_is_refused_by_name(tmp_path, kind) -> None:
    obj = make(tmp_path / "a.ply", 20)
    (tmp_path / "b.ply").write_text("earlier")
    build, words = REFUSED[kind]
    modifier = nodes.modify(obj, build)
    before = state()
    with pytest.raises(RuntimeError, match=rf"modifier User of {re.escape(obj.name)} .*{words}.*\. [A-Z].*\."):
        exported(obj, tmp_path / "b.ply")
    assert (tmp_path / "b.ply").read_text() == "earlier" and state() == before
    modifier.show_viewport = False
    assert_is(exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply"), np.eye(4))


def test_gaussians_that_the_nodes_add(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 20)
    nodes.modify(obj, nodes.with_points(True))
    exported(obj, tmp_path / "b.ply")
    ply = read_ply(tmp_path / "b.ply")
    assert ply.count == 82
    assert np.allclose(ply.columns(("x", "y", "z"))[80:], (50, 0, 0))
    assert np.allclose(np.exp(ply.columns([f"scale_{k}" for k in range(3)])[80:]), (0.1, 0.2, 0.3), atol=1e-6)
    assert np.allclose(ply.columns([f"rot_{k}" for k in range(4)])[80:], (1, 0, 0, 0))
    assert np.allclose(ply.columns(("opacity",))[80:], 0, atol=1e-6)  # the logit of 0.5
    assert np.allclose(ply.columns(("f_dc_0", "f_dc_1", "f_dc_2"))[80:], (0.1, 0.2, 0.3))


def test_our_own_modifier_does_not_count_and_stays_the_last(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 20)
    assert evaluated.modifiers_of(obj) == []
    nodes.modify(obj, nodes.transform())
    if obj.modifiers.get(geometry_nodes.MODIFIER) is not None:
        assert [m.name for m in obj.modifiers] == ["User", geometry_nodes.MODIFIER]
        obj.modifiers[geometry_nodes.MODIFIER].name = "Renamed"
    assert [m.name for m in evaluated.modifiers_of(obj)] == ["User"]
    assert read_ply(tmp_path / "a.ply").path.read_bytes() == exported_bytes(obj, tmp_path / "b.ply")


def exported_bytes(obj, path) -> bytes:
    exported(obj, path)
    return path.read_bytes()


def test_label_objects_with_modifiers(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 30)
    bpy.ops.bgs.make_collections()
    bpy.context.view_layer.update()
    part = code_tables.parts_of(obj)[1]
    rows = point_clouds.need_column(part.data, at.ROW)
    nodes.modify(part, nodes.transform(Translation=(0, 0, 9)))
    part.hide_set(True)  # Blender does not evaluate it, and it is exported nevertheless
    activate(obj)
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE")
    found, source = Splat.of(tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply")
    lifted = np.eye(4)
    lifted[2, 3] = 9
    assert_is(found, source, lifted, rows)
    others = np.setdiff1d(np.arange(120), rows)
    assert np.array_equal(found.means[others], source.means[others])
    with pytest.raises(RuntimeError, match=f"{part.name} has the modifier User, which Merge Back would lose"):
        bpy.ops.bgs.merge_back()
    assert len(code_tables.parts_of(obj)) == 4


def test_the_rest_of_a_whole_cloud_with_a_modifier(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 30)
    obj.bgs.labels[0].selected = True
    bpy.ops.bgs.select_label(index=0)
    bpy.ops.bgs.make_collections(only="SELECTED")
    bpy.context.view_layer.update()
    nodes.modify(obj, nodes.transform(Translation=(0, 0, 9)))
    part = code_tables.parts_of(obj)[0]
    rows = point_clouds.need_column(part.data, at.ROW)
    activate(part)
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "b.ply"), what="WHOLE")
    found, source = Splat.of(tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply")
    assert np.array_equal(found.means[rows], source.means[rows])
    others = np.setdiff1d(np.arange(120), rows)
    assert np.abs(found.means[others] - source.means[others] - (0, 0, 9)).max() < 3e-6


def test_collections_are_not_made_without_the_modifier(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 20)
    nodes.modify(obj, nodes.transform())
    with pytest.raises(RuntimeError, match=f"{obj.name} has the modifier User, which its label objects would not have"):
        bpy.ops.bgs.make_collections()


def test_the_engine_and_splat_as_imported_get_the_data(tmp_path) -> None:
    """Segment gives codes to the points of the data, and the modifiers carry them on."""
    obj = make(tmp_path / "a.ply", 20)
    nodes.modify(obj, nodes.delete_below(30))
    export_splats([obj], tmp_path / "b.ply", ExportConfig(transforms=False))
    assert read_ply(tmp_path / "b.ply").count == 80
    bpy.ops.bgs.export_splat(filepath=str(tmp_path / "c.ply"), what="SOURCE")
    assert (tmp_path / "c.ply").read_bytes() == (tmp_path / "a.ply").read_bytes()


def test_render_splats_uses_the_modifiers_of_renders(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 20)
    nodes.modify(obj, nodes.transform(Translation=(0, 0, 9)), show_viewport=False)
    nodes.modify(obj, nodes.delete_below(30), name="Viewport only", show_render=False)
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    shot = write_shot(scene, tmp_path / "shot", RenderConfig())
    name = json.loads(shot.read_text())["parts"][0]
    found = Splat.of(tmp_path / "shot" / name)
    assert np.abs(found.means - Splat.of(tmp_path / "a.ply").means - (0, 0, 9)).max() < 3e-6


def test_render_splats_refuses_modifiers_that_change_from_frame_to_frame(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 20)
    modifier = nodes.modify(obj, nodes.transform(Translation=(0, 0, 9)))
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    scene.collection.objects.link(scene.camera)
    write_shot(scene, tmp_path / "still", RenderConfig(frames=(1, 2, 3)))
    socket = next(n for n in modifier.node_group.nodes if n.bl_idname == "GeometryNodeTransform").inputs["Translation"]
    curve = socket.driver_add("default_value", 2).driver
    curve.expression = "frame"
    write_shot(scene, tmp_path / "one", RenderConfig(frames=(3,)))
    found = Splat.of(tmp_path / "one" / "part_0.ply")
    assert np.abs(found.means - Splat.of(tmp_path / "a.ply").means - (0, 0, 3)).max() < 3e-6
    with pytest.raises(UsageError, match="modifier User of a makes other Gaussians in frame 2 than in frame 1"):
        write_shot(scene, tmp_path / "several", RenderConfig(frames=(1, 2, 3)))
    assert scene.frame_current == 1


MOVERS = {
    "animation": lambda obj: (obj.keyframe_insert("location", frame=1), setattr(obj, "location", (10, 0, 0)),
                              obj.keyframe_insert("location", frame=10)),
    "driver": lambda obj: setattr(obj.driver_add("location", 0).driver, "expression", "frame"),
    "constraint": lambda obj: setattr(obj.constraints.new("COPY_LOCATION"), "target", moving_empty()),
    "parent": lambda obj: setattr(obj, "parent", moving_empty()),
}  # fmt: skip


def moving_empty():
    empty = bpy.data.objects.new("Empty", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.driver_add("location", 0).driver.expression = "frame"
    return empty


@pytest.mark.parametrize("mover", MOVERS)
@pytest.mark.parametrize("how", ["eye", "monitor", "collection"])
def test_a_hidden_splat_is_where_its_animation_has_it(tmp_path, mover, how) -> None:
    """Blender computes nothing of hidden objects, so their matrices are those of an earlier frame."""
    scene = bpy.context.scene
    scene.frame_set(1)
    obj = make(tmp_path / "a.ply", 10)
    MOVERS[mover](obj)
    scene.frame_set(1)
    scene.frame_set(10)
    shown = exported(obj, tmp_path / "shown.ply")
    scene.frame_set(1)
    if how == "eye":
        obj.hide_set(True)
    elif how == "monitor":
        obj.hide_viewport = True
    else:
        kit = bpy.data.collections.new("Kit")
        kit.objects.link(obj)
        scene.collection.children.link(kit)
        for other in list(obj.users_collection):
            if other != kit:
                other.objects.unlink(obj)
        kit.hide_viewport = True
    scene.frame_set(10)
    bpy.context.view_layer.objects.active = obj
    try:
        export_splats([obj], tmp_path / "hidden.ply", ExportConfig())
    finally:
        scene.frame_set(1)
    hidden = Splat.of(tmp_path / "hidden.ply")
    assert np.abs(shown.means[:, 0] - Splat.of(tmp_path / "a.ply").means[:, 0]).min() > 8
    assert np.array_equal(hidden.means, shown.means)


def test_a_hidden_splat_that_its_animation_hides_is_refused(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 10)
    nodes.modify(obj, nodes.transform(Scale=(1, 2, 1)))
    obj.driver_add("hide_viewport").driver.expression = "1"
    bpy.context.view_layer.update()
    with pytest.raises(BgsError, match=f"{obj.name} is hidden by its animation"):
        export_splats([obj], tmp_path / "b.ply", ExportConfig())


def test_merging_takes_hidden_label_objects_where_their_animation_has_them(tmp_path) -> None:
    scene = bpy.context.scene
    scene.frame_set(1)
    obj = make(tmp_path / "a.ply", 30)
    bpy.ops.bgs.make_collections()
    part = code_tables.parts_of(obj)[0]
    rows, home = point_clouds.need_column(part.data, at.ROW), part.location.x
    curve = part.driver_add("location", 0).driver
    curve.expression = f"{home} + frame - 1"
    part.hide_viewport = True
    scene.frame_set(6)
    bpy.ops.bgs.merge_back()
    scene.frame_set(1)
    found, source = exported(obj, tmp_path / "b.ply"), Splat.of(tmp_path / "a.ply")
    assert np.abs(found.means[rows] - source.means[rows] - (5, 0, 0)).max() < 1e-5

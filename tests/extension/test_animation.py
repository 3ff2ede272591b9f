"""Animations as nodes of a GLB: each frame has what a PLY of that frame has, or it is refused by name."""

from pathlib import Path

import bpy
import numpy as np
import pytest

from bgs_engine.formats.read import open_splat
from blender_bgs.cloud import code_tables
from blender_bgs.headless.command_line import main
from tests.extension import node_groups as nodes
from tests.extension.edited_splat import Splat, activate, drive, make, scene_of_frames
from tests.helpers.glb_player import world_in
from tests.helpers.made_gltf import parts_of


@pytest.fixture(autouse=True)
def four_frames():
    with scene_of_frames(4):
        yield


def stored(path: Path) -> dict[str, np.ndarray]:
    """The positions [N, 3] that the mesh of each name has in a GLB, in the axes of a PLY."""
    made, data = parts_of(path)
    found = {}
    for node in made["nodes"]:
        if "mesh" in node:
            place = made["meshes"][node["mesh"]]["primitives"][0]["attributes"]["POSITION"]
            accessor = made["accessors"][place]
            start = made["bufferViews"][accessor["bufferView"]]["byteOffset"] + accessor.get("byteOffset", 0)
            values = np.frombuffer(data, "<f4", 3 * accessor["count"], start).reshape(-1, 3)
            found[node["name"]] = values.astype(float) * (-1, -1, 1)
    return found


def assert_plays(path: Path, sequence: Path, frames: int = 4) -> None:
    """The GLB has the same positions in each frame as the files of a sequence, in any order."""
    clouds = stored(path)
    for n in range(frames):
        played = []
        for name, means in clouds.items():
            world = world_in(path, name, n)
            played.append(means @ world[:3, :3].T + world[:3, 3])
        found = np.concatenate(played)
        want = Splat.of(sequence.with_name(f"{sequence.stem}.{n + 1:04d}.ply")).means
        near = np.abs(found[:, None] - want).max(2)
        assert len(found) == len(want) and near.min(1).max() < 2e-5 and near.min(0).max() < 2e-5, n


def export_both(folder: Path, what: str) -> None:
    bpy.ops.bgs.export_animation(filepath=str(folder / "walk.glb"), what=what)
    bpy.ops.bgs.export_splat(filepath=str(folder / "walk.ply"), what=what, frames="RANGE")
    assert_plays(folder / "walk.glb", folder / "walk.ply")


def test_a_splat_that_moves_turns_and_grows(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 30)
    obj.rotation_mode = "XYZ"
    drive(obj, "location", 0, "frame * 2")
    drive(obj, "rotation_euler", 2, "frame * 0.9")
    for axis in range(3):
        drive(obj, "scale", axis, "1 + frame * 0.5")
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = 24, 1
    export_both(tmp_path, "WHOLE")
    made, _ = parts_of(tmp_path / "walk.glb")
    clock = made["accessors"][made["animations"][0]["samplers"][0]["input"]]
    assert clock["min"] == [0] and clock["max"] == pytest.approx([3 / 24]) and clock["count"] == 4
    assert bpy.context.scene.frame_current == 2


def test_a_constant_uneven_scale_and_shear_are_baked(tmp_path) -> None:
    """What a node cannot say is in the Gaussians if it stays the same."""
    obj = make(tmp_path / "a.ply", 30)
    empty = bpy.data.objects.new("Empty", None)
    bpy.context.scene.collection.objects.link(empty)
    obj.parent = empty
    obj.scale, obj.rotation_mode = (1, -2, 0.5), "XYZ"
    drive(empty, "location", 1, "frame")
    drive(empty, "rotation_euler", 0, "frame * 0.3")
    export_both(tmp_path, "WHOLE")
    found, source = open_splat(tmp_path / "walk.glb").ply, Splat.of(tmp_path / "walk.0001.ply")
    first = Splat(found.take(np.arange(found.count)))
    assert np.allclose(first.means, source.means, atol=1e-5) and np.allclose(first.covs, source.covs, atol=1e-6)
    assert np.allclose(first.colors(), source.colors(), atol=1e-5)


def test_label_objects_are_nodes_with_their_names(tmp_path) -> None:
    obj = make(tmp_path / "a.ply", 30)
    bpy.ops.bgs.make_collections()
    one, two = code_tables.parts_of(obj)[:2]
    one.rotation_mode = "XYZ"
    drive(one, "rotation_euler", 2, f"{one.rotation_euler.z} + frame")
    drive(two, "location", 0, f"{two.location.x} + frame * frame")
    nodes.modify(two, nodes.transform(Scale=(1, 2, 1)))
    activate(obj)
    export_both(tmp_path, "WHOLE")
    made, _ = parts_of(tmp_path / "walk.glb")
    assert {p.name for p in code_tables.parts_of(obj)} == {
        made["nodes"][k]["name"] for k in made["nodes"][0]["children"]
    }
    moving = {made["nodes"][c["target"]["node"]]["name"] for c in made["animations"][0]["channels"]}
    assert moving == {one.name, two.name}


def test_selected_objects(tmp_path) -> None:
    one, two = make(tmp_path / "a.ply", 10), make(tmp_path / "b.ply", 20, seed=3)
    make(tmp_path / "c.ply", 30)
    drive(one, "location", 0, "frame")
    activate(one, two)
    export_both(tmp_path, "SELECTED")
    assert set(stored(tmp_path / "walk.glb")) == {one.name, two.name}


def sheared_in_time(obj) -> None:
    drive(obj, "scale", 0, "1 + frame")
    obj.rotation_mode = "XYZ"
    obj.delta_rotation_euler = (0, 0, 0.5)
    empty = bpy.data.objects.new("Empty", None)
    bpy.context.scene.collection.objects.link(empty)
    empty.scale = (1, 3, 1)
    obj.parent = empty


def changing_modifier(obj) -> None:
    modifier = nodes.modify(obj, nodes.transform())
    node = next(n for n in modifier.node_group.nodes if n.bl_idname == "GeometryNodeTransform")
    node.inputs["Translation"].driver_add("default_value", 2).driver.expression = "frame"


def shown_twice(obj) -> None:
    kit = bpy.data.collections.new("Kit")
    kit.objects.link(obj)
    empty = bpy.data.objects.new("Copy", None)
    empty.instance_type, empty.instance_collection = "COLLECTION", kit
    bpy.context.scene.collection.objects.link(empty)


REFUSED = {
    "sheared": (sheared_in_time, "a is sheared in the course of its animation"),
    "scaled to nothing": (lambda obj: drive(obj, "scale", 1, "3 - frame"), "a is scaled to nothing .* in frame 3"),
    "mirrored": (lambda obj: drive(obj, "scale", 1, "2.5 - frame"), "a is mirrored in the course"),
    "modifier": (changing_modifier, "modifier User of a makes other Gaussians in frame 2 than in frame 1"),
    "instance": (shown_twice, "Copy shows an instance of a in frame 1"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_nodes_cannot_say_is_refused_by_name(tmp_path, kind) -> None:
    obj = make(tmp_path / "a.ply", 10)
    build, words = REFUSED[kind]
    build(obj)
    bpy.context.view_layer.update()
    (tmp_path / "walk.glb").write_text("earlier")
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.bgs.export_animation(filepath=str(tmp_path / "walk.glb"), what="WHOLE")
    assert (tmp_path / "walk.glb").read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.ply", "walk.glb"]
    assert bpy.context.scene.frame_current == 2


def test_the_command_writes_it(tmp_path, capsys) -> None:
    obj = make(tmp_path / "a.ply", 10)
    drive(obj, "location", 0, "frame")
    blend = tmp_path / "a.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))
    assert main(["animate", str(blend), "-o", str(tmp_path / "walk.glb")]) == 0
    assert "4 frames" in capsys.readouterr().out
    assert main(["export", str(blend), "-o", str(tmp_path / "walk.ply"), "--frames", "1-4"]) == 0
    assert_plays(tmp_path / "walk.glb", tmp_path / "walk.ply")
    assert main(["animate", str(blend), "-o", str(tmp_path / "walk.ply")]) == 2

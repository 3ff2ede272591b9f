"""Cages in Blender: points of a mesh bend Gaussians with their shapes, and nothing else does."""

import bpy
import numpy as np
import pytest

from blender_bgs.cloud import code_tables, companions, pivot, point_clouds, shapes
from blender_bgs.cloud.active_splat import make_active
from blender_bgs.logic import attributes as at
from blender_bgs.logic.following import followed
from tests.helpers.splat_of_balls import APART, splat_of_balls


@pytest.fixture
def parts(tmp_path):
    """The label objects of three balls."""
    whole = splat_of_balls(tmp_path)
    bpy.ops.bgs.make_collections(only="ALL")
    bpy.context.view_layer.update()
    return sorted(code_tables.parts_of(whole), key=lambda part: pivot.pivot_of(part)[0])


def cage_around(obj, points: int = 2):
    """Press Make Cage for one object."""
    make_active(bpy.context, obj)
    assert bpy.ops.bgs.make_cage(points=points) == {"FINISHED"}
    return companions.companion_of(obj, companions.CAGE)


def all_of(obj) -> dict[str, np.ndarray]:
    """All attributes, by name."""
    return {c.name: c.values for c in point_clouds.columns(obj.data)}


def move(cage, function) -> None:
    """Move the points of a cage: `function` gives new places [V, 3] for old ones."""
    places = np.empty(3 * len(cage.data.vertices), np.float32)
    cage.data.vertices.foreach_get("co", places)
    cage.data.vertices.foreach_set("co", function(places.reshape(-1, 3)).astype(np.float32).ravel())
    cage.data.update()


@pytest.mark.parametrize("points", [2, 3, 4])
def test_a_cage_is_a_box_around_its_object_and_is_selected(parts, points) -> None:
    cage = cage_around(parts[1], points)
    assert cage.name == f"{parts[1].name} Cage" and cage.parent == parts[1]
    assert len(cage.data.vertices) == points**3 and len(cage.data.polygons) == 6 * (points - 1) ** 2
    assert len(cage.data.edges) == 3 * points**2 * (points - 1)  # all lines of the lattice, once
    assert not cage.data.validate()
    assert bpy.context.view_layer.objects.active == cage and cage.select_get() and not parts[1].select_get()
    places = np.array([v.co for v in cage.data.vertices])
    own = point_clouds.need_column(parts[1].data, at.POSITION)
    assert (places.min(0) < own.min(0)).all() and (places.max(0) > own.max(0)).all()
    assert np.abs(places).max() < 0.75  # the ball has radius 0.5
    assert cage.hide_render and cage.display_type == "WIRE"


@pytest.mark.parametrize("points", [2, 3, 4])
def test_a_cage_at_rest_gives_back_every_bit(parts, points) -> None:
    before = all_of(parts[0])
    cage_around(parts[0], points)
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}
    after = all_of(parts[0])
    assert before.keys() == after.keys()
    for name, values in before.items():
        assert after[name].tobytes() == values.tobytes(), name
    assert companions.companion_of(parts[0], companions.CAGE) is None
    assert not [o for o in bpy.data.objects if o.type == "MESH"]
    assert bpy.context.view_layer.objects.active == parts[0]


def test_where_the_cage_object_is_bends_nothing(parts) -> None:
    before = all_of(parts[0])
    cage = cage_around(parts[0])
    cage.location, cage.scale = (0.2, 0, 0), (2, 2, 2)
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}
    assert all(all_of(parts[0])[name].tobytes() == values.tobytes() for name, values in before.items())


def test_stretching_the_cage_stretches_positions_and_shapes(parts) -> None:
    before = all_of(parts[0])
    move(cage_around(parts[0]), lambda places: places * (1, 1, 3))
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}
    after = all_of(parts[0])
    assert np.allclose(after[at.POSITION], before[at.POSITION] * (1, 1, 3), atol=1e-5)
    size = [one[at.SCALE].prod(1) for one in (before, after)]
    assert np.allclose(size[1], 3 * size[0], rtol=1e-4)  # the volume of each Gaussian
    assert shapes.are_true(parts[0].data)
    untouched = (at.BASE, at.CODE, at.ROW, at.RAW_OPACITY, at.CONFIDENCE)
    assert all(after[n].tobytes() == before[n].tobytes() for n in untouched if n in before)


def test_turning_the_points_turns_colors_as_every_rotation_does(parts) -> None:
    before, turn = all_of(parts[0]), np.eye(4)
    turn[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]
    move(cage_around(parts[0], 3), lambda places: places @ turn[:3, :3].T)
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}
    after = all_of(parts[0])
    want = {c.name: c.values for c in followed(lambda name: before[name].copy() if name in before else None, turn)}
    for name in (at.POSITION, *(at.harmonic(k) for k in range(3))):
        assert np.allclose(after[name], want[name], atol=1e-5), name
    assert not np.allclose(after[at.harmonic(0)], before[at.harmonic(0)], atol=1e-2)


def test_a_turned_and_scaled_label_object_bends_in_its_own_space(parts) -> None:
    parts[0].rotation_euler, parts[0].scale = (0.3, 1, 2), (1, 2, 0.5)
    bpy.context.view_layer.update()
    before = all_of(parts[0])
    move(cage_around(parts[0], 3), lambda places: places * 2)
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}
    assert np.allclose(all_of(parts[0])[at.POSITION], before[at.POSITION] * 2, atol=1e-5)


def test_blenders_apply_between_making_and_applying_does_no_harm(parts) -> None:
    cage = cage_around(parts[0])
    make_active(bpy.context, parts[0])
    parts[0].scale = (2, 2, 2)
    bpy.context.view_layer.update()
    assert bpy.ops.bgs.apply_transform(location=False, rotation=False) == {"FINISHED"}
    bpy.context.view_layer.update()
    before = all_of(parts[0])
    move(cage, lambda places: places * (1, 1, 3))
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}
    assert np.allclose(all_of(parts[0])[at.POSITION], before[at.POSITION] * (1, 1, 3), atol=1e-4)


def test_a_cage_can_be_applied_from_its_edit_mode(parts) -> None:
    before = all_of(parts[0])
    cage = cage_around(parts[0])
    move(cage, lambda places: places + np.array([0, 0, 1]))
    bpy.ops.object.mode_set(mode="EDIT")
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}
    assert bpy.context.mode == "OBJECT"
    assert np.allclose(all_of(parts[0])[at.POSITION], before[at.POSITION] + [0, 0, 1], atol=1e-6)
    assert all_of(parts[0])[at.SCALE].tobytes() == before[at.SCALE].tobytes()  # a move keeps shapes


def test_merge_back_keeps_what_a_cage_did(parts) -> None:
    whole = parts[0].bgs.whole
    move(cage_around(parts[1]), lambda places: places + np.array([0, 0, 5]))
    bpy.ops.bgs.apply_cage()
    assert bpy.ops.bgs.merge_back() == {"FINISHED"}
    position = point_clouds.need_column(whole.data, at.POSITION)
    moved = np.abs(position[:, 2]) > 3
    assert moved.sum() == 1500 and position[moved, 0].mean() == pytest.approx(APART, abs=0.02)


def test_bad_cages_are_refused_and_change_nothing(parts) -> None:
    before = all_of(parts[0])
    cage = cage_around(parts[0])
    move(cage, lambda places: places * (1, 1, 0))
    with pytest.raises(RuntimeError, match="flat"):
        bpy.ops.bgs.apply_cage()
    cage = cage_around(parts[0])
    cage.data.vertices.add(1)
    with pytest.raises(RuntimeError, match="has 9 points instead of 8"):
        bpy.ops.bgs.apply_cage()
    cage = cage_around(parts[0])
    copy = parts[0].copy()
    bpy.context.scene.collection.objects.link(copy)
    with pytest.raises(RuntimeError, match="shares its points"):
        bpy.ops.bgs.apply_cage()
    assert companions.companion_of(parts[0], companions.CAGE) == cage
    assert all(all_of(parts[0])[name].tobytes() == values.tobytes() for name, values in before.items())


def _no_width(cage) -> None:
    cage.scale = (0, 1, 1)


def _no_numbers(cage) -> None:
    move(cage, lambda places: places * np.nan)


def _no_box(cage) -> None:
    del cage["bgs_cage"]


def _bad_box(cage) -> None:
    cage["bgs_cage"] = [2.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]  # it has no width


def _modifier(cage) -> None:
    cage.modifiers.new("Twist", "SIMPLE_DEFORM")


def _shape_keys(cage) -> None:
    cage.shape_key_add()
    cage.shape_key_add().value = 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_no_width, "Ball.* Cage is scaled to nothing.*scale that is not 0"),
        (_no_numbers, "not finite.*press Make Cage"),
        (_no_box, "lost its custom property bgs_cage.*press Make Cage"),
        (_bad_box, "lost its custom property bgs_cage"),
        (_modifier, "has the modifier Twist: .*Apply them first"),
        (_shape_keys, "has shape keys: .*Apply them first"),
    ],
)
def test_a_spoilt_cage_is_refused_with_what_to_do(parts, spoil, says) -> None:
    before, cage = all_of(parts[0]), cage_around(parts[0])
    cage.name = "Ball Cage"
    move(cage, lambda places: places * (1, 1, 3))
    spoil(cage)
    with pytest.raises(RuntimeError, match=says):
        bpy.ops.bgs.apply_cage()
    assert companions.companion_of(parts[0], companions.CAGE) == cage
    assert all(all_of(parts[0])[name].tobytes() == values.tobytes() for name, values in before.items())
    cage = cage_around(parts[0])  # Make Cage makes it anew
    for one in list(cage.modifiers):
        cage.modifiers.remove(one)
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}


def test_a_flat_object_is_refused_by_its_name(parts) -> None:
    cage_around(parts[0])
    parts[0].scale = (1, 0, 1)
    with pytest.raises(RuntimeError, match=f"{parts[0].name} is scaled to nothing"):
        bpy.ops.bgs.apply_cage()


def test_undo_takes_back_a_cage_in_one_step(parts) -> None:
    name, cage = parts[0].name, cage_around(parts[0])
    before = all_of(parts[0])
    move(cage, lambda places: places * (1, 1, 3))
    bpy.ops.ed.undo_push(message="bent")
    bpy.ops.bgs.apply_cage()
    bpy.ops.ed.undo_push(message="applied")
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    bpy.context.view_layer.update()
    assert all(all_of(obj)[key].tobytes() == values.tobytes() for key, values in before.items())
    assert companions.companion_of(obj, companions.CAGE) is not None
    bpy.ops.ed.redo()
    stretched = all_of(bpy.data.objects[name])
    assert np.allclose(stretched[at.POSITION], before[at.POSITION] * (1, 1, 3), atol=1e-5)
    assert np.allclose(stretched[at.SCALE].prod(1), 3 * before[at.SCALE].prod(1), rtol=1e-4)  # once, not twice


def test_a_proxy_and_a_cage_are_apart(parts) -> None:
    cage = cage_around(parts[0])
    make_active(bpy.context, cage)
    assert bpy.ops.bgs.make_proxy(detail=32, faces=100) == {"FINISHED"}
    proxy = companions.companion_of(parts[0], companions.PROXY)
    assert proxy is not None and proxy != cage
    assert companions.companion_of(parts[0], companions.CAGE) == cage


def test_the_buttons_are_grey_while_another_mesh_is_edited(parts) -> None:
    cage_around(parts[0])
    bpy.ops.mesh.primitive_cube_add()
    parts[0].select_set(True)
    assert bpy.ops.bgs.make_cage.poll() and bpy.ops.bgs.make_proxy.poll() and bpy.ops.bgs.apply_cage.poll()
    bpy.ops.object.mode_set(mode="EDIT")
    assert not (bpy.ops.bgs.make_cage.poll() or bpy.ops.bgs.make_proxy.poll() or bpy.ops.bgs.apply_cage.poll())
    bpy.ops.object.mode_set(mode="OBJECT")


def test_a_whole_splat_can_be_bent(tmp_path) -> None:
    whole = splat_of_balls(tmp_path)
    before = all_of(whole)
    move(cage_around(whole), lambda places: places * (1, 2, 1))
    assert bpy.ops.bgs.apply_cage() == {"FINISHED"}
    after = all_of(whole)
    assert np.allclose(after[at.POSITION], before[at.POSITION] * (1, 2, 1), atol=1e-5)
    assert np.allclose(after[at.SCALE].prod(1), 2 * before[at.SCALE].prod(1), rtol=1e-4)
    assert (after[at.CODE] == before[at.CODE]).all()


def test_apply_is_grey_without_a_cage(parts) -> None:
    make_active(bpy.context, parts[0])
    assert not bpy.ops.bgs.apply_cage.poll()
    cage_around(parts[0])
    assert bpy.ops.bgs.apply_cage.poll()

"""What a splat looks like right after its import: colouring, and the objects that stand in it."""

import bpy
import numpy as np
import pytest

from tests.helpers import made_splat


def cube(location: tuple[float, float, float], size: float, name: str) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=size, location=location)
    made = bpy.context.active_object
    assert made is not None
    made.name = name
    return made


@pytest.fixture
def crowded(tmp_path):
    """A splat imported where the default cube stands, with a far cube, a wire cube and a floor; returns the splat."""
    path = made_splat.write(tmp_path / "a.ply", made_splat.made_splat()[0])
    bpy.ops.bgs.import_splat(filepath=str(path))
    first = bpy.context.active_object
    points = np.array([first.matrix_world @ v.co for v in first.data.points])
    low, high = points.min(0), points.max(0)
    bpy.data.objects.remove(first)
    cube((low + high) / 2, 0.3, "Cube")
    cube(high + 20, 2, "Far")
    cube((low + high) / 2, 1, "Wire").display_type = "WIRE"
    bpy.ops.mesh.primitive_plane_add(size=50, location=(0, 0, low[2]))
    bpy.context.active_object.name = "Floor"
    bpy.context.view_layer.update()
    return path


def test_the_default_cube_is_offered_and_not_touched(crowded) -> None:
    bpy.ops.bgs.import_splat(filepath=str(crowded))
    splat = bpy.context.active_object
    assert [entry.name for entry in splat.bgs.obstacles] == ["Cube"]
    it = bpy.data.objects["Cube"]
    assert it.visible_get() and not it.hide_render
    bpy.ops.bgs.hide_obstacles()
    assert it.hide_get() and it.hide_render and "Far" in bpy.data.objects and not bpy.data.objects["Far"].hide_get()
    bpy.ops.bgs.hide_obstacles(show=True)
    assert it.visible_get() and not it.hide_render
    bpy.ops.bgs.hide_obstacles(forget=True)
    assert not splat.bgs.obstacles and it.visible_get()
    assert not bpy.ops.bgs.hide_obstacles.poll()


def test_the_import_hides_only_if_asked(crowded) -> None:
    bpy.ops.bgs.import_splat(filepath=str(crowded), hide_obstacles=True)
    hidden = {obj.name for obj in bpy.data.objects if obj.hide_get()}
    assert hidden == {"Cube"} and bpy.data.objects["Cube"].hide_render
    bpy.ops.bgs.hide_obstacles(show=True)
    assert bpy.data.objects["Cube"].visible_get()


def test_labels_are_shown_mixed_and_a_chosen_colouring_stays(coded, tmp_path) -> None:
    from blender_bgs.cloud import labels

    obj, _, codes = coded
    assert obj.bgs.color_mode == "MIXED"
    obj.bgs.color_mode = "CONFIDENCE"
    labels.attach(obj, codes, obj.bgs.bits)
    assert obj.bgs.color_mode == "CONFIDENCE"
    plain = made_splat.write(tmp_path / "plain.ply", made_splat.made_splat()[0])
    bpy.ops.bgs.import_splat(filepath=str(plain))
    assert bpy.context.active_object.bgs.color_mode == "COLOR"

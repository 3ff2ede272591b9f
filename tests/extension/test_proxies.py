"""Proxies in Blender: meshes at their objects, which follow them, and which nothing of the splat's confuses."""

from types import SimpleNamespace

import bpy
import numpy as np
import pytest

from blender_bgs.cloud import code_tables, companions, pivot, point_clouds
from blender_bgs.cloud.active_splat import make_active
from blender_bgs.viewport import object_picking
from tests.helpers.splat_of_balls import APART, splat_of_balls

BALL = np.pi / 6


def vertices_of(obj) -> np.ndarray:
    """The vertices in the world, [V, 3]."""
    bpy.context.view_layer.update()
    out = np.empty(3 * len(obj.data.vertices), np.float32)
    obj.data.vertices.foreach_get("co", out)
    world = np.array(obj.matrix_world)
    return out.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3]


def middle_of(obj) -> np.ndarray:
    """The middle of the box of the vertices in the world, [3]."""
    places = vertices_of(obj)
    return (places.min(0) + places.max(0)) / 2


def make(*objects, **settings) -> list:
    """Press Make Proxy with these objects selected; returns their proxies."""
    make_active(bpy.context, objects[0])
    for obj in objects:
        obj.select_set(True)
    assert bpy.ops.bgs.make_proxy(faces=300, detail=32, **settings) == {"FINISHED"}
    return [companions.companion_of(obj, companions.PROXY) for obj in objects]


@pytest.fixture
def parts(tmp_path):
    """The label objects of three balls."""
    whole = splat_of_balls(tmp_path)
    make_active(bpy.context, whole)
    bpy.ops.bgs.make_collections(only="ALL")
    bpy.context.view_layer.update()
    return sorted(code_tables.parts_of(whole), key=lambda part: pivot.pivot_of(part)[0])


def test_each_selected_label_object_gets_a_closed_mesh_at_its_place(parts) -> None:
    proxies = make(*parts[:2])
    assert [p.name for p in proxies] == [f"{part.name} Proxy" for part in parts[:2]]
    assert companions.companion_of(parts[2], companions.PROXY) is None
    for number, (proxy, part) in enumerate(zip(proxies, parts, strict=False)):
        assert proxy.parent == part and list(proxy.users_collection) == list(part.users_collection)
        assert 100 < len(proxy.data.polygons) <= 300
        edges = np.zeros(len(proxy.data.edges), int)
        np.add.at(edges, [loop.edge_index for loop in proxy.data.loops], 1)
        assert (edges == 2).all()
        assert not proxy.data.validate()  # Blender finds nothing to repair
        away = np.linalg.norm(vertices_of(proxy) - [number * APART, 0, 0], axis=1)
        assert np.abs(away - 0.5).max() < 2 / 32  # two cells


def test_it_follows_its_object_and_a_rotated_splat(parts) -> None:
    (proxy,) = make(parts[0])
    parts[0].location = (5, 6, 7)
    parts[0].rotation_euler = (1, 2, 3)
    bpy.context.view_layer.update()
    assert middle_of(proxy) == pytest.approx([5, 6, 7], abs=0.1)
    parts[0].scale = (2, 1, 1)
    (again,) = make(parts[0])
    assert again == proxy and middle_of(proxy) == pytest.approx([5, 6, 7], abs=0.1)


def test_running_it_again_swaps_the_mesh_and_keeps_what_the_user_added(parts) -> None:
    (proxy,) = make(parts[0], use="PLAIN")
    material = bpy.data.materials.new("mine")
    proxy.data.materials.append(material)
    proxy.modifiers.new("mine", "DECIMATE")
    proxy.name, mesh = "My own", proxy.data.name
    count = len(bpy.data.meshes)
    bpy.ops.bgs.make_proxy(faces=100, detail=32, use="PLAIN")
    assert companions.companion_of(parts[0], companions.PROXY) == proxy and proxy.name == "My own"
    assert len(proxy.data.polygons) <= 100 and list(proxy.data.materials) == [material]
    assert proxy.modifiers.get("mine") is not None and proxy.data.name == mesh
    assert len(bpy.data.meshes) == count


def test_each_use_sets_and_takes_back_its_own(parts) -> None:
    (proxy,) = make(parts[0], use="SHADOW")
    assert proxy.is_shadow_catcher and not proxy.is_holdout and not proxy.hide_render
    make(parts[0], use="HOLDOUT")
    assert proxy.is_holdout and not proxy.is_shadow_catcher
    make(parts[0], use="COLLISION")
    assert not proxy.is_holdout and proxy.hide_render and proxy.display_type == "WIRE"
    assert [m.type for m in proxy.modifiers] == ["COLLISION"]
    body = proxy.rigid_body
    assert (body.type, body.collision_shape, body.kinematic) == ("PASSIVE", "MESH", True)
    make(parts[0], use="COLLISION")
    assert len(proxy.modifiers) == 1
    make(parts[0], use="PLAIN")
    assert proxy.rigid_body is None and not len(proxy.modifiers) and not proxy.hide_render
    assert proxy.display_type == "TEXTURED"


def test_a_proxy_that_is_selected_stands_for_its_object(parts) -> None:
    (proxy,) = make(parts[1])
    make_active(bpy.context, proxy)
    assert bpy.ops.bgs.make_proxy(faces=100, detail=32) == {"FINISHED"}
    assert len(proxy.data.polygons) <= 100


def test_a_whole_splat_gets_one_too(tmp_path) -> None:
    whole = splat_of_balls(tmp_path)
    (proxy,) = make(whole)
    assert proxy.name == "balls Proxy"
    x = vertices_of(proxy)[:, 0]
    assert x.min() == pytest.approx(-0.5, abs=0.2) and x.max() == pytest.approx(2 * APART + 0.5, abs=0.2)


def test_update_collections_keeps_it(parts) -> None:
    whole = parts[0].bgs.whole
    (proxy,) = make(parts[0])
    before = vertices_of(proxy)
    whole.bgs.parts_stale = True
    assert bpy.ops.bgs.update_collections() == {"FINISHED"}
    assert proxy.parent == parts[0] and (vertices_of(proxy) == before).all()


@pytest.mark.parametrize("command", ["merge_back", "remove_collections"])
def test_when_label_objects_go_their_proxies_and_children_stay_where_they_are(parts, command) -> None:
    whole = parts[0].bgs.whole
    parts[0].location.z += 3
    parts[0].scale = (2, 2, 2)
    (proxy,) = make(parts[0])
    lamp = bpy.data.objects.new("lamp", None)
    bpy.context.scene.collection.objects.link(lamp)
    lamp.parent, lamp.location = parts[0], (1, 0, 0)
    before = vertices_of(proxy)
    bpy.context.view_layer.update()
    lamp_place = np.array(lamp.matrix_world)
    make_active(bpy.context, parts[0])
    assert getattr(bpy.ops.bgs, command)() == {"FINISHED"}
    assert proxy.parent == whole and lamp.parent == whole
    assert np.allclose(vertices_of(proxy), before, atol=1e-5)
    assert np.allclose(np.array(lamp.matrix_world), lamp_place, atol=1e-5)
    assert [c.name for c in proxy.users_collection] == [c.name for c in whole.users_collection]
    assert not any(c.get("bgs_label") for c in bpy.data.collections)  # no empty collections are left
    make(whole)  # the kept one is not the whole splat's proxy, so it is not replaced
    assert np.allclose(vertices_of(proxy), before, atol=1e-5)


def test_exports_do_not_see_it(parts, tmp_path) -> None:
    whole = parts[0].bgs.whole
    target = [tmp_path / name for name in ("before.ply", "after.ply")]
    make_active(bpy.context, parts[0])
    bpy.ops.bgs.export_splat(filepath=str(target[0]), what="WHOLE")
    make(*parts)
    bpy.ops.bgs.export_splat(filepath=str(target[1]), what="WHOLE")
    assert target[0].read_bytes() == target[1].read_bytes()
    assert not any(point_clouds.is_splat(o) for o in bpy.data.objects if o.type == "MESH") and whole


def test_a_click_goes_through_a_proxy_and_stops_at_other_meshes(parts) -> None:
    (proxy,) = make(parts[0])
    layer = bpy.context.view_layer
    view = SimpleNamespace(view_layer=layer, space_data=None)
    assert object_picking.nearer_object(view, (0, 0), 1.0) is None  # only companions: Blender's click is not asked
    assert companions.is_companion(proxy) and companions.owner_of(proxy) == parts[0]


def test_what_has_no_surface_is_said_and_nothing_changes(parts) -> None:
    for part in parts[:2]:
        base = point_clouds.need_column(part.data, "radiance:base")
        base[:, 3] = 0.001
        attribute = part.data.attributes["radiance:base"]
        values = np.ascontiguousarray(base).ravel()
        attribute.data.foreach_set("color" if attribute.data_type == "FLOAT_COLOR" else "vector", values)
    make_active(bpy.context, parts[0])
    count = len(bpy.data.meshes)
    with pytest.raises(RuntimeError, match="too thin or too transparent"):
        bpy.ops.bgs.make_proxy()
    assert not [o for o in bpy.data.objects if o.type == "MESH"] and len(bpy.data.meshes) == count
    for part in parts:
        part.select_set(True)
    assert bpy.ops.bgs.make_proxy(detail=32, faces=300) == {"FINISHED"}
    assert [companions.companion_of(p, companions.PROXY) is not None for p in parts] == [False, False, True]


def test_the_button_is_grey_without_a_target() -> None:
    assert not bpy.ops.bgs.make_proxy.poll()


def test_cycles_shows_only_the_shadow_on_a_catcher(parts, tmp_path) -> None:
    """A lamp above a cube above the ball's proxy: the picture has alpha where the shadow falls, and nowhere else."""
    (proxy,) = make(parts[0], use="SHADOW")
    scene = bpy.context.scene
    middle = middle_of(proxy)
    bpy.ops.mesh.primitive_cube_add(size=0.25, location=middle + np.array([0, 0, 2]))
    cube = bpy.context.view_layer.objects.active
    cube.visible_camera = False
    lamp = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    for obj in (lamp, camera):
        scene.collection.objects.link(obj)
    camera.location, camera.data.type, camera.data.ortho_scale = middle + np.array([0, 0, 6]), "ORTHO", 1.6
    for part in parts:
        part.hide_render = True
    scene.camera, scene.render.engine = camera, "CYCLES"
    scene.render.resolution_x = scene.render.resolution_y = 32
    scene.render.resolution_percentage = 100
    scene.render.film_transparent, scene.render.image_settings.color_mode = True, "RGBA"
    scene.cycles.samples, scene.cycles.use_denoising = 8, False
    scene.render.filepath = str(tmp_path / "caught.png")
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(scene.render.filepath)
    pixels = np.empty(32 * 32 * 4, np.float32)
    image.pixels.foreach_get(pixels)
    alpha = pixels.reshape(32, 32, 4)[..., 3]
    assert alpha[14:18, 14:18].mean() > 0.7  # under the cube
    assert alpha[16, 8] < 0.3 and alpha[16, 0] == 0  # on the ball beside the shadow, and beside the ball

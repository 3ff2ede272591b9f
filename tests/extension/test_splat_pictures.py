"""Renders of splats: the scene's camera in the engine's numbers, shots and their frames, F12 without any set-up."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from bgs_engine.core.errors import UsageError
from bgs_engine.io.exr import write_exr
from bgs_engine.io.ply import read_ply
from blender_bgs.frames import shot
from blender_bgs.frames.shot import RenderConfig, write_shot
from tests.helpers import made_splat

ROOT = Path(__file__).resolve().parents[2]
needs_engine = pytest.mark.skipif(
    "BGS_TEST_ENGINE" not in os.environ, reason="BGS_TEST_ENGINE names no Python with the engine"
)


@pytest.fixture
def camera():
    """A camera that looks at the origin from aside, and a small picture."""
    data = bpy.data.cameras.new("Camera")
    obj = bpy.data.objects.new("Camera", data)
    scene = bpy.context.scene
    scene.collection.objects.link(obj)
    scene.camera = obj
    obj.location = (4, -7, 3.5)
    obj.rotation_euler = (-obj.location).to_track_quat("-Z", "Y").to_euler()
    obj.scale = (2, 0.5, 1)  # changes nothing that a camera sees
    settings = scene.render
    settings.resolution_x, settings.resolution_y, settings.resolution_percentage = 320, 200, 50
    settings.pixel_aspect_x = settings.pixel_aspect_y = 1
    scene.frame_start, scene.frame_end, scene.frame_step = 1, 3, 1
    scene.frame_set(1)
    yield obj
    bpy.data.objects.remove(obj)


def pixels_of(entry: dict, points: np.ndarray) -> np.ndarray:
    """Where the engine draws world points [N, 3]: pixels from the upper left corner, [N, 2]."""
    viewmat = np.array(entry["viewmat"]).reshape(4, 4)
    x, y, z = (points @ viewmat[:3, :3].T + viewmat[:3, 3]).T
    depth = np.ones_like(z) if entry["orthographic"] else z
    return np.stack([entry["fx"] * x / depth + entry["cx"], entry["fy"] * y / depth + entry["cy"]], 1)


def blenders_pixels(camera: bpy.types.Object, points: np.ndarray) -> np.ndarray:
    scene = bpy.context.scene
    width, height = shot.picture_size(scene)
    seen = [world_to_camera_view(scene, camera, Vector(point)) for point in points]
    return np.array([(v.x * width, (1 - v.y) * height) for v in seen])


@pytest.mark.parametrize("kind", ["PERSP", "ORTHO"])
@pytest.mark.parametrize("fit", ["AUTO", "HORIZONTAL", "VERTICAL"])
@pytest.mark.parametrize(("shift", "aspect"), [((0, 0), (1, 1)), ((0.2, -0.15), (1, 1)), ((-0.1, 0.3), (1.6, 1)),
                                               ((0.05, 0.1), (1, 2))])  # fmt: skip
def test_points_land_where_blender_puts_them(camera, kind: str, fit: str, shift: tuple, aspect: tuple) -> None:
    data, settings = camera.data, bpy.context.scene.render
    data.type, data.sensor_fit, data.lens, data.ortho_scale = kind, fit, 35, 9
    data.shift_x, data.shift_y = shift
    settings.pixel_aspect_x, settings.pixel_aspect_y = aspect
    for percentage in (50, 33):  # the second makes a size that Blender rounds
        settings.resolution_percentage = percentage
        bpy.context.view_layer.update()
        points = np.random.default_rng(0).uniform(-2, 2, (30, 3))
        entry = shot.camera_entry(bpy.context.scene, *shot.picture_size(bpy.context.scene))
        ours, theirs = pixels_of(entry, points), blenders_pixels(camera, points)
        # At a rounded size Blender's two functions differ by the rounding: half a pixel of 106 over the whole width.
        limit = 0.01 if percentage == 50 else 0.6
        assert np.abs(ours - theirs).max() < limit


def test_a_shot_follows_camera_and_objects(camera, coded, tmp_path: Path) -> None:
    obj, _, _ = coded
    scene = bpy.context.scene
    camera.location = (4, -7, 3.5)
    camera.keyframe_insert("location", frame=1)
    camera.location = (6, -7, 3.5)
    camera.keyframe_insert("location", frame=3)
    obj.location = (0, 0, 0)
    obj.keyframe_insert("location", frame=1)
    obj.location = (0, 0, 1)
    obj.keyframe_insert("location", frame=3)
    scene.frame_set(2)
    obj.bgs.labels[0].hidden = True
    path = write_shot(scene, tmp_path / "shot", RenderConfig(passes=("color", "mask"), frames=(1, 2, 3)))
    assert scene.frame_current == 2  # the user's frame, as before
    shot = json.loads(path.read_text())
    assert [frame["name"] for frame in shot["frames"]] == ["0001", "0002", "0003"]
    heights = [np.array(frame["transforms"]).reshape(4, 4)[2, 3] for frame in shot["frames"]]
    assert heights[0] == 0 and heights[2] == 1 and heights[1] == pytest.approx(0.5, abs=0.01)
    eyes = [np.linalg.inv(np.array(frame["camera"]["viewmat"]).reshape(4, 4))[0, 3] for frame in shot["frames"]]
    assert eyes[0] == pytest.approx(4, abs=1e-4) and eyes[2] == pytest.approx(6, abs=1e-4)
    assert shot["size"] == [160, 100] and shot["level_bits"] == "12,10,10"
    part = read_ply(path.parent / "part_0.ply")
    assert part.count == 4500  # the hidden ball's 1500 are not there
    assert len(shot["labels"]) == 3 and all(row["label"] != obj.bgs.labels[0].label for row in shot["labels"])


def test_parts_are_rendered_instead_of_their_whole(camera, coded, tmp_path: Path) -> None:
    obj, _, _ = coded
    bpy.ops.bgs.make_collections(only="ALL")
    names = {o.name for o in shot.renderable(bpy.context.scene)}
    assert obj.name not in names and len(names) == 4
    path = write_shot(bpy.context.scene, tmp_path / "shot", RenderConfig())
    counts = [read_ply(path.parent / name).count for name in json.loads(path.read_text())["parts"]]
    assert counts == [1500] * 4


def test_what_cannot_be_rendered_is_said(camera, coded, tmp_path: Path) -> None:
    obj, _, _ = coded
    scene = bpy.context.scene
    camera.data.type = "PANO"
    with pytest.raises(UsageError, match="panoramic"):
        write_shot(scene, tmp_path / "a", RenderConfig())
    camera.data.type = "PERSP"
    obj.hide_render = True
    with pytest.raises(UsageError, match="visible"):
        write_shot(scene, tmp_path / "b", RenderConfig())
    obj.hide_render = False
    obj.bgs.level_bits = ""
    with pytest.raises(UsageError, match="labels"):
        write_shot(scene, tmp_path / "c", RenderConfig(passes=("mask",)))
    scene.camera = None
    with pytest.raises(UsageError, match="no camera"):
        write_shot(scene, tmp_path / "d", RenderConfig())


def dots(points: np.ndarray) -> np.ndarray:
    """One small, opaque, white Gaussian at each point (Z up)."""
    rows, _ = made_splat.made_splat(per_object=max(1, len(points) // 4), rest=0)
    rows = rows[: len(points)]
    for axis, name in enumerate("xyz"):
        rows[name] = points[:, axis]
        rows[f"f_dc_{axis}"], rows[f"scale_{axis}"] = 1.7724539, math.log(0.02)
    rows["opacity"] = 8
    return rows


@needs_engine
def test_frames_show_points_where_the_camera_has_them(camera, tmp_path: Path) -> None:
    """The whole way: an animated camera with shift and odd pixels, the engine, pictures."""
    points = np.random.default_rng(3).uniform(-1.5, 1.5, (4, 3))
    source = made_splat.write(tmp_path / "dots.ply", dots(points))
    bpy.ops.bgs.import_splat(filepath=str(source), up_axis="Z")
    obj = bpy.context.view_layer.objects.active
    scene = bpy.context.scene
    data, settings = camera.data, scene.render
    data.lens, data.shift_x, data.shift_y = 30, 0.12, -0.2
    data.keyframe_insert("shift_x", frame=1)
    data.shift_x = -0.1
    data.keyframe_insert("shift_x", frame=2)
    settings.pixel_aspect_x, settings.resolution_percentage = 1.5, 100
    obj.location = (0.3, 0.2, -0.4)
    bpy.context.view_layer.update()
    blend = tmp_path / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), copy=True)
    out = tmp_path / "frames"
    arguments = ["frames", blend, "-o", out, "--frames", "1-2", "--passes", "color,depth", "--engine",
                 os.environ["BGS_TEST_ENGINE"]]  # fmt: skip
    command = [sys.executable, "-m", "blender_bgs", *map(str, arguments)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 frames" in done.stdout
    world = points + np.array(obj.matrix_world)[:3, 3]
    for number in (1, 2):
        scene.frame_set(number)
        image = bpy.data.images.load(str(out / "color" / f"{number:04d}.png"))
        width, height = map(int, tuple(image.size))
        alpha = np.empty(width * height * 4, np.float32)
        image.pixels.foreach_get(alpha)
        alpha = alpha.reshape(height, width, 4)[::-1, :, 3]
        inside = 0
        for x, y in blenders_pixels(camera, world):
            if not (8 < x < width - 8 and 8 < y < height - 8):
                continue
            inside += 1
            left, top = int(x) - 7, int(y) - 7
            patch = alpha[top : top + 15, left : left + 15]
            ys, xs = np.mgrid[top : top + 15, left : left + 15] + 0.5
            found = (xs * patch).sum() / patch.sum(), (ys * patch).sum() / patch.sum()
            # 8-bit alpha of a dot 3 px wide, cut at the patch's edge: its middle is known to a tenth of a pixel.
            assert math.dist(found, (x, y)) < 0.2
        assert inside >= 2


def rendered(folder: Path, name: str) -> np.ndarray:
    """F12 in Cycles, nothing set but the size; [H, W, 4], upper row first."""
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.device, scene.cycles.samples = "CYCLES", "CPU", 8
    scene.cycles.use_denoising = False  # Debian's Blender has none
    scene.render.film_transparent = True
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 80, 60, 100
    scene.render.filepath = str(folder / name)
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(folder / name))
    out = np.empty(80 * 60 * 4, np.float32)
    image.pixels.foreach_get(out)
    bpy.data.images.remove(image)
    return out.reshape(60, 80, 4)[::-1]


def test_f12_shows_the_splat_without_set_up(camera, tmp_path: Path) -> None:
    rows, codes = made_splat.made_splat(per_object=300)
    for axis in range(3):
        rows[f"scale_{axis}"] += 0.9
    bpy.ops.bgs.import_splat(filepath=str(made_splat.write(tmp_path / "a.ply", made_splat.with_codes(rows, codes))))
    obj = bpy.context.view_layer.objects.active
    assert bpy.context.scene.cycles.transparent_max_bounces >= 64
    camera.data.lens, obj.bgs.color_mode = 35, "COLOR"
    color = rendered(tmp_path, "color.png")
    covered = color[..., 3] > 0.5
    assert 0.08 < covered.mean() < 0.7
    straight = color[covered][:, :3]  # as PNG has it
    for wanted in made_splat.COLORS:  # 0.95 is the middle of the variation, see made_splat.py; 8 samples leave grain
        assert (np.abs(straight - 0.95 * np.array(wanted)).max(1) < 0.16).mean() > 0.02, wanted
    assert ((color[..., 3] > 0.1) & (color[..., 3] < 0.9)).mean() > 0.02  # soft edges, not balls
    obj.bgs.color_mode = "LABEL"
    label = rendered(tmp_path, "label.png")
    assert np.abs(label - color)[covered].max(-1).mean() > 0.1
    obj.bgs.level = 1
    for row in obj.bgs.labels:
        if row.level == 1:
            row.hidden = True
    assert rendered(tmp_path, "hidden.png")[..., 3].max() == 0
    obj.bgs.labels[0].hidden = False
    assert 0.01 < (rendered(tmp_path, "one.png")[..., 3] > 0.5).mean() < 0.6 * covered.mean()


def test_too_many_for_ellipsoids_are_balls(camera, tmp_path: Path) -> None:
    rows, codes = made_splat.made_splat(per_object=300)
    bpy.ops.bgs.import_splat(filepath=str(made_splat.write(tmp_path / "a.ply", made_splat.with_codes(rows, codes))))
    obj = bpy.context.view_layer.objects.active
    one = rendered(tmp_path, "one.png")
    from blender_bgs.cloud import geometry_nodes

    geometry_nodes._set_inputs(obj.modifiers[0], {"Most Ellipsoids": 100})
    obj.update_tag()
    balls = rendered(tmp_path, "balls.png")
    assert (balls[..., 3] > 0.5).any()
    # Solid balls of one standard deviation cover less than soft ellipsoids of two and a half.
    assert (balls[..., 3] > 0.02).sum() < 0.9 * (one[..., 3] > 0.02).sum()


@needs_engine
def test_blender_reads_the_exr_layers(camera, coded, tmp_path: Path) -> None:
    path = write_shot(bpy.context.scene, tmp_path / "shot", RenderConfig(passes=("mask",)))
    command = [os.environ["BGS_TEST_ENGINE"], "-m", "bgs_engine", "frames", str(path), "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--exr", "--passes", "color,label,mask,depth"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    image = bpy.data.images.load(str(tmp_path / "out" / "0001.exr"))
    scene = bpy.context.scene
    if bpy.app.version >= (5, 0):  # compositor trees became node groups
        tree = bpy.data.node_groups.new("Compositing", "CompositorNodeTree")
    else:
        scene.use_nodes = True
        tree = scene.node_tree
    node = tree.nodes.new("CompositorNodeImage")
    node.image = image
    names = {socket.name for socket in node.outputs}
    masks = {name for name in names if name.startswith("Mask ")}
    assert image.type == "MULTILAYER"
    assert {"Combined", "Depth", "Label"} <= names and len(masks) == 4, names


def test_blender_reads_the_exrs_numbers(tmp_path: Path) -> None:
    """Half and float, blocks that shrink and that do not, a last block that is not whole."""
    values = np.random.default_rng(0).random((37, 21, 4)).astype(np.float32)
    values[:20, :, 1] = 0.25
    halves = {channel: values[..., k].astype(np.float16) for k, channel in enumerate("RGBA")}
    for name, channels in (("half", halves), ("float", {c: values[..., k] for k, c in enumerate("RGBA")})):
        write_exr(tmp_path / f"{name}.exr", channels)
        image = bpy.data.images.load(str(tmp_path / f"{name}.exr"))
        image.colorspace_settings.name = "Non-Color"
        assert tuple(image.size) == (21, 37)
        found = np.empty(values.size, np.float32)
        image.pixels.foreach_get(found)
        truth = np.stack([channels[c].astype(np.float32) for c in "RGBA"], -1)
        np.testing.assert_array_equal(found.reshape(37, 21, 4)[::-1], truth)

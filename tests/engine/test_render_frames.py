"""Frames of a shot: parallel rays as in the reference, moved parts, masks, depth, and EXR files that read back."""

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bgs_engine.core.cameras import Camera, look_at
from bgs_engine.core.errors import InputError, UsageError
from bgs_engine.core.events import Reporter
from bgs_engine.io.exr import write_exr
from bgs_engine.output.frames import FramesConfig, Stage, load_part, mask_names, moved, render_shot
from bgs_engine.output.shot import ShotLabel
from bgs_engine.raster import reference
from bgs_engine.raster.color_frames import render_color
from bgs_engine.raster.cpu.view import ViewBuilder
from bgs_engine.raster.scene import RasterScene
from tests.helpers.made_files import splat_dtype, splat_rows, write_splat
from tests.helpers.made_scenes import CAMERA, made_scene, random_gaussians

SIZE = (96, 64)


def test_parallel_rays_match_the_reference() -> None:
    camera = replace(CAMERA, orthographic=True, fx=20.0, fy=17.0, cx=CAMERA.cx + 3.3)
    scene = made_scene(random_gaussians(3, 200, np.float64), camera).scene
    view = ViewBuilder(scene).build(camera)
    covs = torch.as_tensor(scene.covs)[:, [0, 1, 2, 1, 3, 4, 2, 4, 5]].reshape(-1, 3, 3)
    truth = reference.project(torch.as_tensor(scene.means), covs, camera)
    assert len(view.order) > 20
    # float64 on both sides: what is left is the order of additions.
    np.testing.assert_allclose(view.records[:, :2], truth.centers[view.order].numpy(), rtol=1e-10, atol=1e-9)
    np.testing.assert_allclose(view.records[:, 2:5], truth.conics[view.order].numpy(), rtol=1e-8, atol=1e-10)


def test_a_far_pinhole_camera_sees_what_parallel_rays_see() -> None:
    gaussians = random_gaussians(5, 150, np.float64)
    far = 1e5  # so far away that rays differ by 1e-4 of a pixel over the scene's depth of a few units
    viewmat = CAMERA.viewmat.copy()
    flat = replace(CAMERA, orthographic=True, fx=20.0, fy=20.0)
    viewmat[2, 3] += far
    pinhole = replace(CAMERA, viewmat=viewmat, fx=20.0 * far, fy=20.0 * far)
    one = ViewBuilder(made_scene(gaussians, flat).scene).build(flat)
    other = ViewBuilder(made_scene(gaussians, pinhole).scene).build(pinhole)
    both = np.intersect1d(one.order, other.order)
    a, b = (view.records[np.argsort(view.order)][np.isin(np.sort(view.order), both)] for view in (one, other))
    assert len(both) > 20
    assert np.abs(a[:, :2] - b[:, :2]).max() < 0.05  # px: pictures are 20 px a unit, depths within 10 units of 1e5


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A splat with codes: two halves, labels 1 and 2 of level 1, at z from 2 to 4."""
    rows = splat_rows(400, splat_dtype(9, [(f"seg_{k}", "u1") for k in range(4)]), seed=1)
    rng = np.random.default_rng(0)
    for name, low, high in (("x", -1, 1), ("y", -1, 1), ("z", 2, 4)):
        rows[name] = rng.uniform(low, high, 400)
    for name in (n for n in rows.dtype.names or () if n.startswith("f_")):
        # Colours within 0..1 from every side: straight alpha, as PNG has it, cannot hold brighter ones.
        rows[name] = rng.uniform(-1, 1, 400) if "dc" in name else rng.uniform(-0.05, 0.05, 400)
    for k in range(3):
        rows[f"scale_{k}"] = rng.uniform(-3.2, -2.4, 400)
    rows["opacity"] = rng.uniform(0, 4, 400)
    codes = (np.where(rows["x"] < 0, 1, 2).astype(np.uint32)) << 20
    for k in range(4):
        rows[f"seg_{k}"] = codes >> (8 * k) & 255
    write_splat(tmp_path / "part_0.ply", rows)
    return tmp_path


def shot(folder: Path, frames: object, **more: object) -> Path:
    labels = [{"label": n, "name": name, "color": [1, 0, 0]} for n, name in ((1, "Left/side"), (2, "Right"))]
    data: dict[str, object] = {
        "format": 1, "size": SIZE, "parts": ["part_0.ply"], "level_bits": "12,10,10", "level": 1, "labels": labels,
        "depth_far": 10.0, "frames": frames,
    }  # fmt: skip
    (folder / "shot.json").write_text(json.dumps(data | more))
    return folder / "shot.json"


def frame(name: str, viewmat: np.ndarray, *transforms: np.ndarray, **more: object) -> dict:
    camera = {"fx": 70.0, "fy": 60.0, "cx": 50.0, "cy": 30.0, "orthographic": False,
              "viewmat": viewmat.ravel().tolist(), **more}  # fmt: skip
    return {"name": name, "camera": camera, "transforms": [m.ravel().tolist() for m in transforms]}


def test_all_passes_of_a_moved_part(part: Path) -> None:
    turn = look_at(np.array([0.3, -0.2, 0.5]), np.array([0.0, 0.1, 3.0]), np.array([0.0, -1.0, 0.1]))
    move = np.diag([1.5, 1.5, 1.5, 1.0]) @ turn
    # A part moved by M seen by camera V is the part as it is seen by V M: same picture, depths alike.
    frames = [frame("0001", turn, np.eye(4)), frame("0002", turn @ np.linalg.inv(move), move)]
    out = part / "out"
    render_shot(shot(part, frames), out, FramesConfig(("color", "label", "mask", "depth")), Reporter())
    one, two = (np.asarray(Image.open(out / "color" / f"000{k}.png")).astype(int) for k in (1, 2))
    assert one.shape == (SIZE[1], SIZE[0], 4)
    assert np.abs(one - two).max() <= 2  # float32 matrices multiplied in another order, rounded to bytes
    left, right = (np.asarray(Image.open(out / "mask" / n / "0001.png")).astype(int) for n in ("Left_side", "Right"))
    assert np.abs(left + right - one[..., 3]).max() <= 2  # every Gaussian has one of the two labels
    label = np.asarray(Image.open(out / "label" / "0001.png"))
    assert set(np.unique(label)) == {0, 1, 2}
    assert (left[label == 1] > 127).all() and (right[label == 2] > 127).all()  # what wins a pixel has over half of it
    depth = (
        np.asarray(Image.open(out / "depth" / "0001.png")) * json.loads((out / "legend.json").read_text())["depth_unit"]
    )
    assert depth[depth > 0].min() > 1.0 and depth.max() < 4.0  # z from 2 to 4, seen from 0.5


def test_color_is_that_of_bgs_render(part: Path) -> None:
    turn = look_at(np.array([0.3, -0.2, 0.5]), np.array([0.0, 0.1, 3.0]), np.array([0.0, -1.0, 0.1]))
    render_shot(shot(part, [frame("a", turn, np.eye(4))]), part / "out", FramesConfig(), Reporter())
    rgba = np.asarray(Image.open(part / "out" / "color" / "a.png")) / 255.0
    camera = Camera("a", *SIZE, 70.0, 60.0, 50.0, 30.0, turn)
    truth = render_color(RasterScene.from_gaussians(load_part(part / "part_0.ply").gaussians), camera)
    # One byte step of the colour and one of the alpha.
    assert np.abs(rgba[..., :3] * rgba[..., 3:] - truth).max() < 2.1 / 255


def test_shapes_follow_any_matrix(part: Path) -> None:
    loaded = load_part(part / "part_0.ply")
    matrix = np.eye(4)
    matrix[:3, :3] = np.random.default_rng(2).normal(size=(3, 3))  # turned, stretched, sheared, mirrored
    _, covs = moved(loaded, matrix)
    index = np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])
    truth = matrix[:3, :3] @ loaded.covs[:, index] @ matrix[:3, :3].T
    np.testing.assert_allclose(covs[:, index], truth, rtol=1e-4, atol=1e-7)


def test_several_parts_are_one_scene(part: Path) -> None:
    loaded = load_part(part / "part_0.ply")
    away = np.eye(4)
    away[:3, 3] = (0, 0, 1)
    camera = Camera("a", *SIZE, 70.0, 60.0, 50.0, 30.0, np.eye(4))
    view = Stage([loaded, loaded]).view(camera, np.stack([np.eye(4), away]))
    assert (np.diff(view.records[:, 7]) >= 0).all() and view.order.max() >= 400  # sorted across both


def test_bad_shots_are_refused(part: Path) -> None:
    good = frame("a", np.eye(4), np.eye(4))
    for change, kind in (({"frames": 3}, InputError), ({"format": 2}, InputError), ({"size": [1]}, InputError),
                         ({"parts": ["none.ply"]}, InputError), ({"parts": []}, InputError)):  # fmt: skip
        with pytest.raises(kind):
            render_shot(shot(part, **{"frames": [good]} | change), part / "out", FramesConfig(), Reporter())
    with pytest.raises(InputError, match="need labels"):
        render_shot(shot(part, [good], level_bits=""), part / "out", FramesConfig(("mask",)), Reporter())
    with pytest.raises(UsageError):
        FramesConfig(("colour",))


def read_exr(path: Path) -> dict[str, np.ndarray]:
    """The other half of the format, written from its description, for single-part ZIP scan lines."""
    data = path.read_bytes()
    assert struct.unpack_from("<ii", data)[0] == 20000630
    at, attributes = 8, {}

    def text(at: int) -> tuple[str, int]:
        end = data.index(b"\0", at)
        return data[at:end].decode(), end + 1

    while data[at]:
        name, at = text(at)
        _, at = text(at)
        (size,) = struct.unpack_from("<i", data, at)
        attributes[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    at += 1
    listed, channels = attributes["channels"], []
    place = 0
    while listed[place]:
        end = listed.index(b"\0", place)
        channels.append((listed[place:end].decode(), struct.unpack_from("<i", listed, end + 1)[0]))
        place = end + 17
    x0, y0, x1, y1 = struct.unpack("<iiii", attributes["dataWindow"])
    width, height = x1 - x0 + 1, y1 - y0 + 1
    out = {n: np.empty((height, width), "<f2" if kind == 1 else "<f4") for n, kind in channels}
    line = sum(2 * width if kind == 1 else 4 * width for _, kind in channels)
    for (offset,) in struct.iter_unpack("<Q", data[at : at + 8 * -(-height // 16)]):
        top, size = struct.unpack_from("<ii", data, offset)
        raw, lines = data[offset + 8 : offset + 8 + size], min(16, height - top)
        if size < lines * line:
            values = np.frombuffer(zlib.decompress(raw), np.uint8).astype(np.int64)
            values = ((np.cumsum(values) - 128 * np.arange(len(values))) % 256).astype(np.uint8)
            half = -(-len(values) // 2)
            whole = np.empty(len(values), np.uint8)
            whole[::2], whole[1::2] = values[:half], values[half:]
            raw = whole.tobytes()
        place = 0
        for y in range(top, top + lines):
            for n, kind in channels:
                count = width * (2 if kind == 1 else 4)
                out[n][y] = np.frombuffer(raw[place : place + count], out[n].dtype)
                place += count
    return out


def test_exr_reads_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    channels: dict[str, np.ndarray] = {
        "Splats.Combined.R": rng.random((37, 21)).astype(np.float16),  # noise: a block that does not shrink
        "Splats.Depth.Z": np.tile(np.linspace(0, 1, 21, dtype=np.float32), (37, 1)),
        "Splats.Mask with a name longer than 31 letters.X": np.zeros((37, 21), np.float16),
    }
    write_exr(tmp_path / "a.exr", channels, 1.5)
    back = read_exr(tmp_path / "a.exr")
    assert set(back) == set(channels)
    for name, values in channels.items():
        assert np.array_equal(back[name], values)


def test_exr_of_a_shot(part: Path) -> None:
    path = shot(part, [frame("0001", np.eye(4), np.eye(4))])
    render_shot(path, part / "out", FramesConfig(("color", "label", "mask", "depth"), exr=True), Reporter())
    layers = read_exr(part / "out" / "0001.exr")
    depth, alpha = layers["Splats.Depth.Z"], layers["Splats.Combined.A"].astype(np.float32)
    assert ((depth > 1e9) == (depth > 5)).all() and depth.min() >= 2.0
    assert (depth[alpha > 0.55] < 5).all()  # half the light is caught where depth is given
    both = layers["Splats.Mask Left_side.X"] + layers["Splats.Mask Right.X"]
    assert np.abs(both.astype(np.float32) - alpha).max() < 2e-3  # half floats


def test_masks_of_like_names_get_a_folder_each() -> None:
    """Names that are one on Windows and macOS, and names that those systems do not take."""
    names = ["Chair", "chair", "a.b", "a/b", "", "CON", "Chair"]
    labels = [ShotLabel(number, name, (0.0, 0.0, 0.0)) for number, name in enumerate(names)]
    found = mask_names(labels)
    assert found == ["Chair", "chair (2)", "a_b", "a_b (2)", "4", "CON_", "Chair (3)"]

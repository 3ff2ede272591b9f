"""Dataset folders: the same cameras from every format, what is left out or scaled, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import Dataset, find_levels, level_folder, open_dataset
from bgs_engine.io.masks import load_level_maps, masked_cameras, write_level_maps
from bgs_engine.io.transforms import read_transforms, read_views, write_transforms
from tests.helpers.made_datasets import (
    HEIGHT,
    INTRINSICS,
    NAMES,
    VIEWMATS,
    WIDTH,
    colmap_binary,
    colmap_text,
    transforms,
    write_files,
    write_images,
)
from tests.helpers.made_files import splat_dtype, splat_rows, write_splat


def make_dataset(folder: Path, kind: str = "binary", scale: float = 1.0, images: str = "images") -> Path:
    """A dataset of two views with cameras of the given kind."""
    if kind == "transforms":
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "transforms.json").write_text(json.dumps(transforms()))
    else:
        write_files(folder / "sparse" / "0", colmap_binary() if kind == "binary" else colmap_text())
    write_images(folder / images, scale)
    return folder


def values(camera: Camera) -> tuple[object, ...]:
    return (camera.name, camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy)


@pytest.mark.parametrize("kind", ["binary", "text", "transforms"])
def test_every_format_gives_the_same_cameras(tmp_path: Path, kind: str) -> None:
    reporter = Reporter()
    dataset = open_dataset(make_dataset(tmp_path, kind), reporter=reporter)
    assert [values(c) for c in dataset.cameras] == [(n[:1], WIDTH, HEIGHT, *INTRINSICS) for n in NAMES]
    assert [c.image for c in dataset.cameras] == [tmp_path / "images" / name for name in NAMES]
    for camera, viewmat in zip(dataset.cameras, VIEWMATS, strict=True):
        # The quaternion's sqrt(1/2) and, from transforms.json, one inversion: a few roundings.
        np.testing.assert_allclose(camera.viewmat, viewmat, atol=1e-14)
        np.testing.assert_allclose(camera.viewmat @ np.append(camera.position, 1), (0, 0, 0, 1), atol=1e-14)
    assert reporter.warnings == [] and dataset.mask_levels == () and dataset.ply is None


def test_colmap_counts_where_both_are_there(tmp_path: Path) -> None:
    make_dataset(tmp_path, "binary")
    shifted = transforms()
    shifted["fl_x"] = 99
    (tmp_path / "transforms.json").write_text(json.dumps(shifted))
    assert open_dataset(tmp_path).cameras[0].fx == INTRINSICS[0]


@pytest.mark.parametrize("kind", ["binary", "transforms"])
def test_missing_images_are_counted_in_one_warning(tmp_path: Path, kind: str) -> None:
    reporter = Reporter()
    make_dataset(tmp_path, kind)
    (tmp_path / "images" / NAMES[0]).unlink()
    assert [c.name for c in open_dataset(tmp_path, reporter=reporter).cameras] == ["b"]
    assert reporter.warnings == ["1 of 2 frames have no image; they are left out."]
    (tmp_path / "images" / NAMES[1]).unlink()
    with pytest.raises(InputError, match="Not one of the 2 images"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("kind", ["binary", "text", "transforms"])
def test_intrinsics_follow_downscaled_images(tmp_path: Path, kind: str) -> None:
    dataset = open_dataset(make_dataset(tmp_path, kind, scale=0.5, images="images_2"))
    for camera in dataset.cameras:
        assert values(camera)[1:] == (WIDTH // 2, HEIGHT // 2, *(v / 2 for v in INTRINSICS))


@pytest.mark.parametrize("kind", ["binary", "transforms", "transforms without sizes"])
def test_unusable_images_cost_their_view_and_no_other(tmp_path: Path, kind: str) -> None:
    make_dataset(tmp_path, kind.split()[0])
    if kind.endswith("sizes"):
        without = {key: value for key, value in transforms().items() if key not in ("w", "h")}
        (tmp_path / "transforms.json").write_text(json.dumps(without))
    first, second = (tmp_path / "images" / name for name in NAMES)
    second.write_bytes(b"")
    reporter = Reporter()
    assert [c.name for c in open_dataset(tmp_path, reporter=reporter).cameras] == ["a"]
    assert reporter.warnings == ["b is left out: images/b.png cannot be read: no readable image."]
    if not kind.endswith("sizes"):
        Image.new("L", (30, 6)).save(second)
        assert len(open_dataset(tmp_path, reporter=reporter).cameras) == 1
        assert reporter.warnings[1] == "b is left out: b.png is 30x6 pixels, its camera 8x6."
    first.write_bytes(second.read_bytes())
    if not kind.endswith("sizes"):
        with pytest.raises(InputError, match=r"a.png is 30x6 pixels, its camera 8x6"):
            open_dataset(tmp_path)
    else:
        with pytest.raises(InputError, match=r"a.png cannot be read"):
            open_dataset(tmp_path)


def test_poses_that_are_not_finite_name_their_frame(tmp_path: Path) -> None:
    make_dataset(tmp_path, "text")
    (tmp_path / "sparse/0/images.txt").write_bytes(colmap_text()["images.txt"].replace(b"0.5 -1.0 2.0", b"nan -1 2"))
    with pytest.raises(InputError, match=r"'b.png' has a pose that is not finite"):
        open_dataset(tmp_path)
    broken = transforms()
    broken["frames"][1]["transform_matrix"][0][3] = float("nan")
    (tmp_path / "t.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match=r"'images/b.png' .* not finite"):
        read_transforms(tmp_path / "t.json")
    broken["frames"][1]["transform_matrix"] = np.diag([1.0, 1, -1, 1]).tolist()
    (tmp_path / "t.json").write_text(json.dumps(broken))
    with pytest.raises(InputError, match="mirrored"):
        read_transforms(tmp_path / "t.json")


@pytest.mark.parametrize(
    ("number", "name", "params"),
    [
        (2, "SIMPLE_RADIAL", (9.0, 4.25, 2.75, 0.05)),
        (4, "OPENCV", (*INTRINSICS, 0.1, 0, 0, 0)),
        (5, "OPENCV_FISHEYE", (*INTRINSICS, 0, 0, 0, 0)),  # a fisheye is no pinhole even with all zeros
        (10, "THIN_PRISM_FISHEYE", (*INTRINSICS, *(0.0,) * 8)),
    ],
)
def test_lens_distortion_is_refused_by_name(tmp_path: Path, number: int, name: str, params: tuple[float, ...]) -> None:
    write_images(tmp_path / "images")
    for files in (colmap_binary(number, params), colmap_text(name, params)):
        write_files(tmp_path / "sparse" / "0", files)
        with pytest.raises(InputError, match=rf"model {name}\).*image_undistorter"):
            open_dataset(tmp_path)
        for file in files:
            (tmp_path / "sparse" / "0" / file).unlink()


def test_views_to_draw_have_a_size(tmp_path: Path) -> None:
    frame = {"file_path": "images/gone.png", "transform_matrix": np.eye(4).tolist()}
    file = tmp_path / "t.json"
    file.write_text(json.dumps({"camera_angle_x": 1.0, "frames": [frame]}))
    with pytest.raises(InputError, match=r"'gone' of t\.json has no size"):
        read_views(file)
    file.write_text(json.dumps({"camera_angle_x": 1.0, "w": 40, "h": 30, "frames": [frame]}))
    assert read_views(file)[0].width == 40


def test_zero_distortion_is_a_pinhole(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    write_files(tmp_path / "sparse" / "0", colmap_binary(4, (*INTRINSICS, 0.0, 0.0, 0.0, 0.0)))
    assert values(open_dataset(tmp_path).cameras[0])[3:] == INTRINSICS
    write_files(tmp_path / "sparse" / "0", colmap_binary(2, (9.0, 4.25, 2.75, 0.0)))
    assert values(open_dataset(tmp_path).cameras[0])[3:] == (9.0, 9.0, 4.25, 2.75)


def test_distorted_transforms_are_refused(tmp_path: Path) -> None:
    write_images(tmp_path / "images")
    for key, value in (("k1", 0.01), ("is_fisheye", True), ("camera_model", "OPENCV_FISHEYE")):
        (tmp_path / "transforms.json").write_text(json.dumps({**transforms(), key: value}))
        with pytest.raises(InputError, match="lens distortion"):
            open_dataset(tmp_path)


def test_a_model_cut_short_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    for file, data in colmap_binary().items():
        path = tmp_path / "sparse" / "0" / file
        for keep in (0, 4, 8, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:keep])
            with pytest.raises(InputError, match=f"{file} is damaged or cut short"):
                open_dataset(tmp_path)
        path.write_bytes(data)


def test_folders_without_cameras(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no cameras"):
        open_dataset(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "sparse").mkdir()
    write_files(tmp_path / "sparse", {"images.bin": colmap_binary()["images.bin"]})
    with pytest.raises(InputError, match=r"cameras.bin cannot be read"):
        open_dataset(tmp_path)


def test_written_transforms_come_back(tmp_path: Path) -> None:
    make_dataset(tmp_path)
    write_splat(tmp_path / "splat.ply", splat_rows(3, splat_dtype(0)))
    cameras = open_dataset(tmp_path).cameras
    other = tmp_path / "again"
    write_images(other / "images")
    write_transforms(other / "transforms.json", cameras, {"bgs_up": [0, 0, 2], "ply_file_path": "../splat.ply"})
    again = open_dataset(other)
    assert [values(c) for c in again.cameras] == [values(c) for c in cameras]
    for ours, theirs in zip(again.cameras, cameras, strict=True):
        np.testing.assert_allclose(ours.viewmat, theirs.viewmat, atol=1e-14)
    assert again.up is not None and again.up.tolist() == [0, 0, 1]
    assert again.scene == other / "../splat.ply"


# --- masks -----------------------------------------------------------------------------------------------------------

COARSE = np.repeat([[0, 1, 1, 1, 2, 2, 2, 2]], HEIGHT, 0)
FINE = np.repeat([[0, 1, 1, 2, 3, 3, 4, 300]], HEIGHT, 0)


def masked(folder: Path) -> Dataset:
    """A dataset with two levels of masks for its first view."""
    dataset = open_dataset(make_dataset(folder))
    write_level_maps(dataset, dataset.cameras[0], np.stack([COARSE, FINE]))
    return replace(dataset, mask_levels=find_levels(dataset.folder))


def test_masks_come_back(tmp_path: Path) -> None:
    dataset = masked(tmp_path)
    assert dataset.mask_levels == open_dataset(tmp_path).mask_levels
    maps = load_level_maps(dataset, dataset.cameras[0])
    np.testing.assert_array_equal(maps, np.stack([COARSE, FINE]))


def test_missing_masks(tmp_path: Path) -> None:
    dataset = open_dataset(make_dataset(tmp_path))
    with pytest.raises(InputError, match="has no masks/level_1"):
        masked_cameras(dataset)
    dataset = masked(tmp_path)
    reporter = Reporter()
    assert [c.name for c in masked_cameras(dataset, reporter)] == ["a"]
    assert reporter.warnings[0] == "1 of 2 images have no label map; they are not used."
    (level_folder(tmp_path, 1) / "a.png").unlink()  # one level of two: that level is unlabelled there
    maps = load_level_maps(dataset, masked_cameras(dataset)[0])
    assert not maps[0].any() and (maps[1] == FINE).all()
    (level_folder(tmp_path, 2) / "a.png").rename(level_folder(tmp_path, 2) / "frame_a.png")
    with pytest.raises(InputError, match=r"Not one of the 2 images .* has a label map"):
        masked_cameras(dataset)


def test_masks_of_another_size(tmp_path: Path) -> None:
    dataset = masked(tmp_path)
    Image.fromarray(np.ones((3, 4), np.uint8)).save(level_folder(tmp_path, 2) / "a.png")
    with pytest.raises(InputError, match=r"level_2/a.png is 4x3 pixels, its image 8x6"):
        load_level_maps(dataset, dataset.cameras[0])


def test_masks_that_are_not_nested(tmp_path: Path) -> None:
    dataset = masked(tmp_path)
    crossing = FINE.copy()
    crossing[0, 3:6] = 9  # one pixel of it in mask 1, two in mask 2 of the level above
    Image.fromarray(crossing.astype(np.uint16)).save(level_folder(tmp_path, 2) / "a.png")
    with pytest.raises(InputError, match="masks of a are not nested: at level 2, 1 pixels"):
        load_level_maps(dataset, dataset.cameras[0])
    with pytest.raises(InputError, match="not nested"):
        write_level_maps(dataset, dataset.cameras[1], np.stack([COARSE, crossing]))
    assert not (level_folder(tmp_path, 1) / "b.png").exists()


def test_colour_pictures_are_no_masks(tmp_path: Path) -> None:
    dataset = masked(tmp_path)
    Image.new("RGB", (WIDTH, HEIGHT)).save(level_folder(tmp_path, 1) / "a.png")
    with pytest.raises(InputError, match="is a colour picture, not a label map"):
        load_level_maps(dataset, dataset.cameras[0])
    with pytest.raises(InputError, match="ids beyond 65,535"):
        write_level_maps(dataset, dataset.cameras[1], np.full((1, HEIGHT, WIDTH), 65536))

"""Datasets as other programs and machines leave them: names, encodings, files that are split or left out."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgs_engine.core.errors import InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import open_dataset
from bgs_engine.io.image_names import ImageFinder, view_name
from bgs_engine.io.masks import load_level_maps, masked_cameras
from bgs_engine.masks.imported import ImportedMasks
from tests.helpers.made_datasets import (
    HEIGHT,
    NAMES,
    VIEWMATS,
    WIDTH,
    colmap_text,
    transforms,
    write_files,
    write_images,
)


def text_model(folder: Path, images: str) -> Path:
    write_files(folder / "sparse" / "0", {"cameras.txt": colmap_text()["cameras.txt"], "images.txt": images.encode()})
    write_images(folder / "images")
    return folder


LINES = [line for line in colmap_text()["images.txt"].decode().splitlines() if line.endswith(".png")]


@pytest.mark.parametrize(
    "images",
    [
        "\n".join(LINES),  # no lines of points at all
        "\n".join(LINES) + "\n",
        f"{LINES[0]}\n\n{LINES[1]}\n\n",  # empty ones
        f"{LINES[0]}\n1.5 2.5 -1\n{LINES[1]}\n1 2 3 4 5 6 7 8 9 10 11 12\n",  # twelve whole numbers are points
        f"{LINES[0]}\n{LINES[1]}\n1.5 2.5 -1\n",  # some left out
        f"# a\n{LINES[0]}\n# b\n\n\n{LINES[1]}",
    ],
)
def test_images_txt_with_and_without_lines_of_points(tmp_path: Path, images: str) -> None:
    dataset = open_dataset(text_model(tmp_path, images))
    assert [camera.name for camera in dataset.cameras] == ["a", "b"]
    for camera, viewmat in zip(dataset.cameras, VIEWMATS, strict=True):
        np.testing.assert_allclose(camera.viewmat, viewmat, atol=1e-14)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    model = {name: mark + data.decode().encode(encoding) for name, data in colmap_text().items()}
    write_files(tmp_path / "colmap" / "sparse" / "0", model)
    write_images(tmp_path / "colmap" / "images")
    write_files(tmp_path / "json", {"transforms.json": mark + json.dumps(transforms()).encode(encoding)})
    write_images(tmp_path / "json" / "images")
    for kind in ("colmap", "json"):
        assert [camera.name for camera in open_dataset(tmp_path / kind).cameras] == ["a", "b"]
    folder = tmp_path / "masks" / "a"
    folder.mkdir(parents=True)
    Image.fromarray(np.full((HEIGHT, WIDTH), 255, np.uint8)).save(folder / "0.png")
    (folder / "metadata.csv").write_bytes(mark + "id,predicted_iou\n0,0.25\n".encode(encoding))
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert ImportedMasks(tmp_path / "masks").propose(picture, "a", lambda: None).scores.tolist() == [0.25]


def test_transforms_split_into_train_val_and_test(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("val", "b"), ("test", "c")):
        data = transforms()
        data["frames"] = [{**data["frames"][0], "file_path": f"./{part}/{name}"}]
        (tmp_path / f"transforms_{part}.json").write_text(json.dumps(data))
        write_images(tmp_path / part, names=(f"{name}.png",))
    assert [camera.name for camera in open_dataset(tmp_path).cameras] == ["train/a", "val/b", "test/c"]
    (tmp_path / "transforms_val.json").unlink()
    assert [camera.name for camera in open_dataset(tmp_path).cameras] == ["train/a", "test/c"]
    (tmp_path / "transforms_train.json").unlink()
    with pytest.raises(InputError, match="no cameras"):
        open_dataset(tmp_path)  # test views alone are no dataset


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 3)).save(path)
    return path


@pytest.mark.parametrize(
    ("there", "written"),
    [
        ("images/view.JPG", "view.jpg"),
        ("images/view.jpg", "images/VIEW.JPG"),
        ("Images/view.png", "images/view.png"),
        ("images/view.jpg", "view.png"),
        ("images/view.tiff", "images/view.png"),
        ("images/left/view.jpg", "/home/somebody/capture/images/left/view.jpg"),
        ("images/view.jpg", "C:\\Users\\somebody\\capture\\images\\view.jpg"),
        ("images/view.jpg", "/data/view.jpg"),
        ("images_4/view.jpg", "images/view.JPG"),
        ("train/view.png", "./train/view"),
        ("images/view.jpg", "images/./view.jpg"),
    ],
)
def test_images_are_found_under_other_names(tmp_path: Path, there: str, written: str) -> None:
    path = picture(tmp_path / there)
    assert ImageFinder(tmp_path).find(written) == path


def test_images_that_are_others_are_not_taken(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "left" / "view.jpg")
    picture(tmp_path / "images" / "._other.jpg")
    (tmp_path / "images" / "other.txt").write_text("x")
    for name in (
        "right/view.jpg",
        "view.jpg",
        "other.jpg",
        "..",
        "/",
        "",
        "../images/left/nothing.jpg",
        "a" * 9000,
        "\0",
    ):
        assert ImageFinder(tmp_path).find(name) is None
    exact = picture(tmp_path / "images" / "twin.png")
    picture(tmp_path / "images" / "TWIN.jpg")
    assert ImageFinder(tmp_path).find("twin.png") == exact
    assert ImageFinder(tmp_path).find("twin.PNG") == exact  # the same suffix before another


def test_names_of_views() -> None:
    names = {
        "images_4/left/0001.jpg": "left/0001", "scan.tif": "scan", "scan.TIFF": "scan", "a.jpg.png": "a",
        "v1.2.JPG": "v1.2", "/abs/images/left/x.png": "left/x", "/abs/x.png": "x", "C:\\data\\x.bmp": "x",
        "Images/x.webp": "x",
    }  # fmt: skip
    for file, name in names.items():
        assert view_name(file) == name


def test_tiff_images_and_masks_with_two_suffixes(tmp_path: Path) -> None:
    data = transforms()
    for frame, name in zip(data["frames"], ("a.tif", "b.jpg"), strict=True):
        frame["file_path"] = f"images/{name}"
        picture_path = tmp_path / "images" / name
        picture_path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(picture_path)
    (tmp_path / "transforms.json").write_text(json.dumps(data))
    masks = tmp_path / "masks" / "level_1"
    masks.mkdir(parents=True)
    for name in ("a.tif.png", "b.jpg.png"):
        Image.fromarray(np.full((HEIGHT, WIDTH), 3, np.uint8)).save(masks / name)
    dataset = open_dataset(tmp_path)
    assert [camera.name for camera in masked_cameras(dataset)] == ["a", "b"]
    assert all((load_level_maps(dataset, camera) == 3).all() for camera in dataset.cameras)
    found = ImportedMasks(masks).propose(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "b", lambda: None)
    assert len(found) == 1 and found.mask(0).all()


def test_masks_of_few_views_are_warned_of(tmp_path: Path) -> None:
    (tmp_path / "transforms.json").write_text(json.dumps(transforms()))
    write_images(tmp_path / "images")
    masks = tmp_path / "masks" / "level_1"
    masks.mkdir(parents=True)
    for count, name in enumerate(NAMES, 1):
        Image.fromarray(np.ones((HEIGHT, WIDTH), np.uint8)).save(masks / name)
        reporter = Reporter()
        masked_cameras(open_dataset(tmp_path), reporter)
        assert f"Only {'one view has' if count == 1 else '2 views have'} masks" in reporter.warnings[-1]

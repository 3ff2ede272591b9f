"""The whole stage on a small made dataset: results, cache, resuming, cancelling, and images of every kind."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bgs_engine.core.cameras import Camera
from bgs_engine.core.errors import CancelledError, InputError
from bgs_engine.core.events import Reporter
from bgs_engine.io.dataset import Dataset, find_levels, open_dataset
from bgs_engine.io.masks import load_level_maps
from bgs_engine.masks.bits import MaskStack
from bgs_engine.masks.nesting import build_forest
from bgs_engine.masks.pipeline import CACHE_FOLDER, MasksConfig, _frame, make_masks
from bgs_engine.masks.sizes import node_sizes
from bgs_engine.masks.sources.table import model_from_text
from tests.helpers.toy_mask_model import write_models

VIEWS = 6
W, H = 128, 96


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    encoder, decoder = write_models(tmp_path_factory.mktemp("toy"))
    return f"onnx:{encoder},{decoder}"


def picture(shift: int) -> np.ndarray:
    """A green ground, a large red box with a part, a blue box; `shift` moves the boxes."""
    image = np.full((H, W, 3), (20, 90, 20), np.uint8)
    image[16:80, 8 + shift : 72 + shift] = (200, 20, 20)
    image[24:48, 16 + shift : 40 + shift] = (200, 60, 40)
    image[40:72, 84 + shift : 116 + shift] = (20, 20, 200)
    return image


def write_dataset(folder: Path) -> Dataset:
    (folder / "images").mkdir(parents=True)
    frames = []
    for k in range(VIEWS):
        Image.fromarray(picture(2 * k)).save(folder / "images" / f"{k:03}.png")
        frames.append({"file_path": f"images/{k:03}.png", "transform_matrix": np.eye(4).tolist()})
    shared = {"w": W, "h": H, "fl_x": 100, "fl_y": 100, "cx": W / 2, "cy": H / 2, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(shared))
    return open_dataset(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.png"))}


def test_levels_previews_and_an_immediate_second_run(model, tmp_path):
    dataset = write_dataset(tmp_path / "set")
    events: list[dict] = []
    report = make_masks(dataset, MasksConfig(model=model), Reporter([events.append]))
    assert (report.images, report.made, report.reused, report.skipped) == (VIEWS, VIEWS, 0, [])
    # Blending at borders belongs to no mask of the toy: a cell of 4 pixels round 3 boxes, about a sixth of the picture.
    assert report.labelled_share > 0.8
    dataset = replace(dataset, mask_levels=find_levels(dataset.folder))
    assert len(dataset.mask_levels) == 3
    for camera in dataset.cameras:
        maps = load_level_maps(dataset, camera)  # checks nesting
        shift = 2 * int(camera.name)
        assert maps[0, 60, 60 + shift] != maps[0, 56, 100 + shift] != maps[0, 4, 4]
        assert maps[-1, 36, 28 + shift] != maps[-1, 64, 60 + shift]  # the part stands out at the finest level
    done = [(e["done"], e["total"]) for e in events if e["event"] == "progress" and e["total"] == VIEWS]
    assert (VIEWS, VIEWS) in done
    assert all((dataset.folder / f"preview/masks_level_{level}.png").is_file() for level in (1, 2, 3))

    before = files_of(dataset.folder / "masks")
    again = make_masks(dataset, MasksConfig(model=model), Reporter())
    assert (again.made, again.reused) == (0, VIEWS)
    assert files_of(dataset.folder / "masks") == before
    fewer = make_masks(dataset, MasksConfig(model=model, levels=1), Reporter())  # same forests, another cut
    assert fewer.made == 0 and not (dataset.folder / "masks/level_2").exists()
    other = make_masks(dataset, MasksConfig(model=model, thoroughness=0.25), Reporter())
    assert other.made == VIEWS


def test_cancelled_run_stops_soon_and_goes_on_where_it_was(model, tmp_path):
    dataset = write_dataset(tmp_path / "set")
    reporter = Reporter()

    def cancel_after_two(event: dict) -> None:
        if event["event"] == "progress" and event["done"] >= 2:
            reporter.cancel()
            event["cancelled_at"] = time.monotonic()
            stamps.append(event["cancelled_at"])

    stamps: list[float] = []
    reporter.sinks.append(cancel_after_two)
    with pytest.raises(CancelledError):
        make_masks(dataset, MasksConfig(model=model), reporter)
    assert time.monotonic() - stamps[0] < 1  # the contract of every stage
    assert not (dataset.folder / "masks").exists()
    report = make_masks(dataset, MasksConfig(model=model), Reporter())
    assert report.reused >= 2 and report.made + report.reused == VIEWS


def test_damaged_cache_entries_are_made_again(model, tmp_path):
    dataset = write_dataset(tmp_path / "set")
    make_masks(dataset, MasksConfig(model=model), Reporter())
    before = files_of(dataset.folder / "masks")
    entries = sorted((dataset.folder / CACHE_FOLDER).glob("*.npz"))
    entries[0].write_bytes(b"")
    entries[1].write_bytes(entries[1].read_bytes()[:-40])
    entries[2].write_bytes(b"\x80\x04K\x01.")  # a pickle: never loaded
    report = make_masks(dataset, MasksConfig(model=model), Reporter())
    assert report.made == 3 and files_of(dataset.folder / "masks") == before


def camera_of(path: Path, width: int, height: int) -> Camera:
    return Camera(path.stem, width, height, 100, 100, width / 2, height / 2, np.eye(4), path)


def test_images_of_every_kind(model, tmp_path):
    """Grey, 16-bit, RGBA, sideways, 1x1: used. Truncated, wrong size, empty, missing: left out, the rest goes on."""
    folder = tmp_path / "images"
    folder.mkdir()
    rgb = Image.fromarray(picture(0))
    rgb.convert("L").save(folder / "grey.png")
    Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257).save(folder / "deep.png")
    rgb.convert("RGBA").save(folder / "alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    rgb.transpose(Image.Transpose.ROTATE_90).save(folder / "sideways.jpg", exif=exif)
    Image.new("RGB", (1, 1), (200, 0, 0)).save(folder / "pixel.png")
    whole = (folder / "alpha.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").touch()
    rgb.resize((50, 50)).save(folder / "small.png")
    good = ["grey.png", "deep.png", "alpha.png", "sideways.jpg"]
    bad = ["cut.png", "empty.png", "small.png", "gone.png"]
    cameras = [camera_of(folder / name, W, H) for name in good + bad] + [camera_of(folder / "pixel.png", 1, 1)]
    reporter = Reporter()
    report = make_masks(Dataset(tmp_path, tuple(cameras)), MasksConfig(model=model), reporter)
    assert sorted(report.skipped) == ["cut", "empty", "gone", "small"]
    assert len(reporter.warnings) == 4 and any("50x50" in w for w in reporter.warnings)
    dataset = Dataset(tmp_path, tuple(cameras), mask_levels=find_levels(tmp_path))
    for camera in cameras[:4]:
        assert load_level_maps(dataset, camera)[-1].max() >= 2  # a box and the ground; grey tells no more apart
    with pytest.raises(InputError, match="cannot be read"):
        make_masks(Dataset(tmp_path, (cameras[5],)), MasksConfig(model=model), Reporter())


def test_bad_images_of_a_folder_are_left_out_before_the_model_sees_them(model, tmp_path):
    """From the folder on, as the command does it: a 0-byte photo and one of another camera cost two views of six."""
    folder = write_dataset(tmp_path / "set").folder
    (folder / "images/001.png").write_bytes(b"")
    Image.new("RGB", (50, 50)).save(folder / "images/004.png")
    reporter = Reporter()
    dataset = open_dataset(folder, reporter=reporter)
    report = make_masks(dataset, MasksConfig(model=model), reporter)
    assert (report.images, report.made) == (VIEWS - 2, VIEWS - 2)
    assert reporter.warnings == [
        f"2 of {VIEWS} images cannot be used; they are left out. "
        "The first: images/001.png cannot be read: no readable image."
    ]


def test_node_sizes_are_angles():
    """Twice the root of the summed variances; a square of side s has s²/12 along each axis."""
    camera = Camera("v", W, H, 100, 100, W / 2, H / 2, np.eye(4))
    whole, part = np.zeros((2, H, W), bool)
    whole[20:60, 64:104] = part[30:40, 70:80] = True
    forest = build_forest(MaskStack.pack(H, W, [whole, part], np.array([0.9, 0.9], np.float32)))
    sizes = node_sizes(forest, camera)
    for pixel, side in (((25, 66), 0.4), ((35, 75), 0.1)):
        assert sizes[int(forest.node_map[pixel])] == pytest.approx(2 * np.sqrt(2 * side**2 / 12), rel=0.01)


def test_only_points_that_show_the_splat_are_asked(model):
    box = np.zeros((H, W), bool)
    box[20:60, 30:80] = True
    proposer = model_from_text(model)
    assert len(proposer.propose(picture(0), "v", lambda: None, np.zeros((H, W), bool))) == 0
    inside = proposer.propose(picture(0), "v", lambda: None, box)
    assert 0 < len(inside) < len(proposer.propose(picture(0), "v", lambda: None))


def test_model_sees_what_the_splat_shows_as_large_as_it_can(model):
    """A small object in an empty picture is cut out for the model and its masks are put back in place."""
    where = np.zeros((H, W), bool)
    where[40:64, 50:82] = True
    box = _frame(where)
    assert (box[0].start, box[0].stop, box[1].start, box[1].stop) == (38, 66, 47, 85)  # 8 % of 24 and of 32 pixels more
    small = MaskStack.pack(28, 38, [where[box]])
    assert np.array_equal(small.placed(H, W, 38, 47).mask(0), where)
